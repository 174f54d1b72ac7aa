"""Writing a text file whole or not at all, and never over another by accident."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from nlp_lstm.errors import UsageError


def write_new(path: Path, text: str, *, overwrite: bool, hint: str) -> None:
    """Write `text` as UTF-8 under a temporary name beside `path`, then rename it.

    Raises UsageError where the folder is missing, or where the file is there and `overwrite` is False; `hint` then
    says what to do.
    """
    if path.exists() and not overwrite:
        raise UsageError(f"{path} is already there; {hint}.")
    require_folder_above(path)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        Path(temporary).chmod(0o644)  # mkstemp makes files that only their owner reads
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def require_folder_above(path: Path) -> None:
    """Raise UsageError where the folder that `path` is to be written in is missing."""
    if not path.parent.is_dir():
        raise UsageError(f"There is no folder {path.parent} to write {path.name} in. Make it first, or name another.")
