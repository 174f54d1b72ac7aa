"""Checkpoints: all that a resumed run needs to go on as if nothing had happened."""

from __future__ import annotations

import os
import re
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nlp_lstm.errors import TrainingError, first_line
from nlp_lstm.tasks import written_whole
from nlp_lstm.training._restored import MisfitError
from nlp_lstm.training._run import say

_NAME = re.compile(r"step-(\d+)\.pt")
_LONGEST_PICKLE = 16 * 2**20


def save_checkpoint(folder: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Write checkpoints/step-N.pt under a temporary name, rename it, and keep `keep` with it, the newest before it."""
    path = folder / "checkpoints" / f"step-{step:09d}.pt"
    write_tensors(path, state)
    before = [old for number, old in _checkpoints(folder) if number < step]
    for old in before[keep - 1 :]:
        old.unlink(missing_ok=True)
    return path


def write_tensors(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values under a temporary name, then rename.

    Raises OSError, which names the file, where it cannot be written: the disk is full, say.
    """
    with written_whole(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            # After a write that failed torch closes its archive all the same; that fails as well, and hides the reason.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def newest_checkpoint(folder: Path) -> dict[str, Any]:
    """Read the newest checkpoint that loads; a damaged one is named on stderr and skipped.

    Only tensors and plain values are read (`weights_only=True`), from plain files that unpack to no more than they
    are and whose checksums hold. Raises TrainingError where there is none.
    """
    return take_newest(folder, lambda _: None)[1]


def take_newest(folder: Path, take: Callable[[dict[str, Any]], object]) -> tuple[int, dict[str, Any]]:
    """Read the newest checkpoint that loads, as `newest_checkpoint` does, and that `take` takes; and give its number.

    `take` gets what a checkpoint holds, and raises MisfitError where that does not fit; such a checkpoint is named on
    stderr and skipped as well. What else it raises ends the search, and so does a lack of memory: an older checkpoint
    would be no cure. Raises TrainingError where none is left.
    """
    misfit = ""
    for step, path in _checkpoints(folder):
        try:
            state = read_checkpoint(folder, path)
        except Exception as error:  # a damaged file makes torch raise whatever its reader happens to meet
            if _is_out_of_memory(error):
                raise
            _skip(path, "load", error)
            continue
        try:
            take(state)
        except MisfitError as error:
            misfit = misfit or f"{_skip(path, 'fit the model', error)}. Train anew."
            continue
        return step, state
    raise TrainingError(misfit or f"{folder} has no checkpoint that loads, so there is nothing to resume. Train anew.")


def set_aside_newer(folder: Path, step: int) -> None:
    """Rename the checkpoints after `step`, from which a run does not go on, and name each on stderr.

    They may be whole, and of use elsewhere: so they are neither written over nor counted among those to keep.
    """
    for number, path in _checkpoints(folder):
        if number > step:
            names = (f"skipped-{path.stem}{ending}.pt" for ending in ("", *(f"-{count}" for count in range(2, 10_000))))
            aside = next(one for one in map(path.with_name, names) if not os.path.lexists(one))
            path.rename(aside)
            say(f"{path}, from which this run does not go on, is kept as {aside.name}.")


def _checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """All checkpoints with the numbers of their steps, the newest first; files with other names are none."""
    found = ((_NAME.fullmatch(path.name), path) for path in (folder / "checkpoints").glob("step-*.pt"))
    return sorted(((int(match[1]), path) for match, path in found if match), reverse=True)


def _skip(path: Path, fails_to: str, error: Exception) -> str:
    reason = first_line(error)
    fault = f"{path} does not {fails_to} ({reason})"
    say(f"{fault}; trying the one before it.")
    return fault


def _is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, for which torch has no class of its own on the processor."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def read_checkpoint(folder: Path, path: Path) -> dict[str, Any]:
    """Read what `write_tensors` wrote to a file in a run folder: tensors and plain values, and nothing else.

    Raises whatever torch's reader happens to meet where the file is damaged, and ValueError where it is refused.
    """
    _require_archive(folder, path)
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise ValueError("it holds no state of a training")
    return state


def _require_archive(folder: Path, path: Path) -> None:
    """Raise ValueError, or what `zipfile` raises, where a file is none that `write_tensors` wrote.

    That is a zip archive that is not compressed, of which torch would read all that its entries say they are. Their
    checksums are looked at here, since torch does not.
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
        damaged = archive.testzip()  # reads a megabyte at a time
    if damaged is not None:
        raise ValueError(f"the checksum of {damaged} in it is wrong")


def generators() -> list[Tensor]:
    """States of torch's random generators: the processor's, then that of the CUDA device, where one is in use."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if torch.cuda.is_initialized() else [])]


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
