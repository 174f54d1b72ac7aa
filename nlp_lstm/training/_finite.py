"""Numbers that are no longer finite: where they arose, and what is kept to see it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from nlp_lstm.errors import TrainingError
from nlp_lstm.training._checkpoint import generators, write_tensors
from nlp_lstm.training._options import TrainingOptions


class NotFiniteError(TrainingError):
    """A loss or a gradient is infinite or not a number."""


def not_finite(
    name: str, value: float, step: int, options: TrainingOptions, model: nn.Module, batch: int | None
) -> NotFiniteError:
    """Build the error for a `value` that is not finite: the step, the place in the data, the layers, and cures."""
    place = "" if batch is None else f", in batch {batch:,} of the data"
    return NotFiniteError(
        f"The {name} is {value} at step {step:,}{place}. {_culprit(model)}"
        f"Lower --learning-rate (now {options.learning_rate}) or "
        f"--clip-norm (now {options.clip_norm}), or give --precision fp32."
    )


def _culprit(model: nn.Module) -> str:
    """Name the first parameter whose weights, or else whose gradient, are not finite."""
    for what in ("weights", "gradient"):
        for name, parameter in model.named_parameters():
            tensor = parameter.detach() if what == "weights" else parameter.grad
            if tensor is not None and not bool(tensor.isfinite().all()):
                return f"The first that is not finite: the {what} of {name}. "
    return ""


def save_failure(folder: Path, step: int, model: nn.Module, batch: int, carry: Any) -> None:
    """Write failed-step-N.pt: weights, carried state, number of the batch and generators, to run the step again.

    The generators are as they were when the step had failed; where it draws (dropout), another draw may pass.
    """
    values = {
        "weights": [parameter.detach() for parameter in model.parameters()],
        "carry": carry,
        "batch": batch,
        "generators": generators(),
    }
    write_tensors(folder / f"failed-step-{step:09d}.pt", values)
