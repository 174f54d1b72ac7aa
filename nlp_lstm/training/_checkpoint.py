"""Checkpoints: all that a resumed run needs to go on as if nothing had happened."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nlp_lstm.errors import TrainingError
from nlp_lstm.training._run import say

_LONGEST_PICKLE = 16 * 2**20


def save_checkpoint(folder: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Write checkpoints/step-N.pt under a temporary name, rename it, and drop all but the newest `keep`."""
    path = folder / "checkpoints" / f"step-{step:09d}.pt"
    write_tensors(path, state)
    for old in sorted(path.parent.glob("step-*.pt"))[:-keep]:
        old.unlink(missing_ok=True)
    return path


def write_tensors(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values under a temporary name, then rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        torch.save(state, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def newest_checkpoint(folder: Path) -> dict[str, Any]:
    """Read the newest checkpoint that loads; a damaged one is named on stderr and skipped.

    Only tensors and plain values are read (`weights_only=True`), from plain files that unpack to no more than they
    are. Raises TrainingError where none loads.
    """
    for path in sorted((folder / "checkpoints").glob("step-*.pt"), reverse=True):
        try:
            return _read_checkpoint(folder, path)
        except Exception as error:  # a damaged file makes torch raise whatever its reader happens to meet
            reason = str(error).partition("\n")[0][:200] or type(error).__name__
            say(f"{path} does not load ({reason}); trying the one before it.")
    raise TrainingError(f"{folder} has no checkpoint that loads, so there is nothing to resume. Train anew.")


def _read_checkpoint(folder: Path, path: Path) -> dict[str, Any]:
    _require_archive(folder, path)
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise ValueError("it holds no state of a training")
    return state


def _require_archive(folder: Path, path: Path) -> None:
    """Raise ValueError, or what `zipfile` raises, where a file is none that `write_tensors` wrote.

    That is a zip archive that is not compressed, of which torch would read all that its entries say they are.
    """
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError("it is a link that leads out of the run folder")
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is no plain file")
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("it is compressed, which no checkpoint is")
    if sum(entry.file_size for entry in entries) > status.st_size:
        raise ValueError("it unpacks to more than it is")
    if any(entry.file_size > _LONGEST_PICKLE for entry in entries if entry.filename.endswith(".pkl")):
        raise ValueError(f"its description has more than {_LONGEST_PICKLE:,} bytes")


def generators() -> list[Tensor]:
    """States of torch's random generators: the processor's, then that of the CUDA device in use."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if torch.cuda.is_available() else [])]


def set_generators(states: list[Tensor]) -> None:
    """Put back what `generators` gave."""
    torch.set_rng_state(states[0])
    if len(states) > 1 and torch.cuda.is_available():
        torch.cuda.set_rng_state(states[1])


def to_device(value: Any, device: torch.device) -> Any:
    """Move the tensors in nested tuples and lists, which become tuples."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, tuple | list):
        return tuple(to_device(one, device) for one in value)
    return value
