"""Modules of Python that the engine writes, kept beside the libraries that it compiles."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType

from nlp_lstm.cells.engine._compiler import cache_folder


@cache
def generated(name: str, source: str) -> ModuleType:
    """Import a module of this source from a file, which Triton reads it from.

    The file's name changes with the source, so that no process finds another's text there; one that is not as it was
    written is written anew, which is announced in one line on stderr. Raises OSError where it cannot be written.
    """
    key = hashlib.sha256(source.encode()).hexdigest()[:16]
    module = f"nlp_lstm_{name}_{key}"
    path = cache_folder() / f"{module}.py"
    if not _holds(path, source):
        print(f"nlp-lstm: compiling {name!r} for this GPU, once; it takes some seconds.", file=sys.stderr)
        _write(path, source)
    specification = importlib.util.spec_from_file_location(module, path)
    assert specification is not None
    assert specification.loader is not None
    found = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(found)
    return found


def _holds(path: Path, source: str) -> bool:
    try:
        return path.read_bytes() == source.encode()
    except OSError:
        return False


def _write(path: Path, source: str) -> None:
    """Write to a file beside `path` and put it in place when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
        whole = Path(temporary) / path.name
        whole.write_bytes(source.encode())
        os.replace(whole, path)
