"""Checkpoints: all that a resumed run needs to go on as if nothing had happened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nlp_lstm.errors import TrainingError
from nlp_lstm.training._run import say


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

    Only tensors and plain values are read (`weights_only=True`). Raises TrainingError where none loads.
    """
    for path in sorted((folder / "checkpoints").glob("step-*.pt"), reverse=True):
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            return state
        except Exception as error:  # a damaged file makes torch raise whatever its reader happens to meet
            reason = str(error).partition("\n")[0] or type(error).__name__
            say(f"{path} does not load ({reason}); trying the one before it.")
    raise TrainingError(f"{folder} has no checkpoint that loads, so there is nothing to resume. Train anew.")


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
