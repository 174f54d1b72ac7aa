"""Files that may be packed."""

from __future__ import annotations

import gzip
from pathlib import Path


def read_packed(path: Path) -> bytes:
    """Read a file, unpacked where its name ends in .gz."""
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content
