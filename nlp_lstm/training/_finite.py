"""Numbers that are no longer finite: where they arose, and what is kept to see it again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from nlp_lstm.errors import TrainingError
from nlp_lstm.training._checkpoint import read_checkpoint, set_generators, to_device, write_tensors
from nlp_lstm.training._objective import Objective, Resumable
from nlp_lstm.training._options import TrainingOptions
from nlp_lstm.training._restored import MisfitError, copy_tensors, part_of, require_generators


class NotFiniteError(TrainingError):
    """A loss or a gradient is infinite or not a number."""


def not_finite(
    name: str,
    value: float,
    step: int,
    options: TrainingOptions,
    model: nn.Module,
    batch: int | None = None,
    again: Callable[[], object] | None = None,
) -> NotFiniteError:
    """Build the error for a `value` that is not finite: the step, the place in the data, the layers, and cures.

    `again` computes the loss once more, to see which layer loses it.
    """
    place = "" if batch is None else f", in batch {batch:,} of the data"
    return NotFiniteError(
        f"The {name} is {value} at step {step:,}{place}. {_culprit(model, again)}"
        f"Lower --learning-rate (now {options.learning_rate}) or "
        f"--clip-norm (now {options.clip_norm}), or give --precision fp32."
    )


def _culprit(model: nn.Module, again: Callable[[], object] | None) -> str:
    """Name the weights that are lost, and the layer where the pass forward is, or else the gradients."""
    parameters = dict(model.named_parameters())
    weights = _lost("weights", {name: parameter.detach() for name, parameter in parameters.items()})
    layer = _first_layer(model, again) if again is not None else ""
    gradients = {name: parameter.grad for name, parameter in parameters.items() if parameter.grad is not None}
    return weights + layer or _lost("gradients", gradients)


def _lost(what: str, tensors: dict[str, Tensor]) -> str:
    lost = [name for name, tensor in tensors.items() if not _is_finite(tensor)]
    if not lost:
        return ""
    if len(lost) == len(tensors) > 1:
        return f"The {what} of all {len(lost)} parameters are not finite. "
    named = ", ".join(lost[:3]) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")
    return f"The {what} of {len(lost)} of {len(tensors)} parameters are not finite: {named}. "


def _first_layer(model: nn.Module, again: Callable[[], object]) -> str:
    """Name the first module in the order of calls that meets or makes what is not finite; nothing where all are well.

    An inner module is seen before the one it is part of, so that the smallest is named.
    """
    found: list[str] = []

    def watch(name: str, module: nn.Module) -> Iterable[RemovableHandle]:
        label = f"{name} ({type(module).__name__})" if name else f"the {type(module).__name__}"

        def before(_: nn.Module, given: Any, named: Any) -> None:
            if not found and not _is_finite((given, named)):
                found.append(f"What goes into {label} is not finite already. ")

        def after(_: nn.Module, _given: Any, output: Any) -> None:
            if not found and not _is_finite(output):
                found.append(f"The first layer whose output is not finite: {label}. ")

        yield module.register_forward_pre_hook(before, with_kwargs=True)
        yield module.register_forward_hook(after)

    handles = [handle for name, module in model.named_modules() for handle in watch(name, module)]
    try:
        with torch.no_grad():
            again()
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else ""


def _is_finite(value: Any) -> bool:
    """Whether all numbers of a tensor, or of tensors in tuples and dictionaries, are finite."""
    if isinstance(value, Tensor):
        return bool(value.isfinite().all())
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, tuple | list) or all(map(_is_finite, value))


def save_failure(folder: Path, step: int, model: nn.Module, values: dict[str, Any]) -> None:
    """Write failed-step-N.pt: the model's weights, which the step has not changed, and what else `values` holds.

    That is what `repeat_failed_step` needs: `data`, `batch` (the number of the first one), `batches` (how many),
    `position`, `carry`, and `generators`, as they were before the step drew anything, a list of states a process.
    """
    weights = [parameter.detach() for parameter in model.parameters()]
    write_tensors(folder / f"failed-step-{step:09d}.pt", {"weights": weights, **values})


def repeat_failed_step(file: str | Path, objective: Objective) -> Tensor:
    """Compute the loss of a failed-step-N.pt again, to see where it goes wrong; its `backward` gives the gradients.

    `objective` is that of the run, as its recipe builds it: put this in the place of `fit` in a copy of the recipe. Its
    model gets the weights from before the step, and torch's random generators the states that the step drew from, so
    that dropout drops the same. With the threads, the device and the precision of the run, the loss is the same to the
    bit; of several processes all rows are computed here, with the draws of the first.
    `torch.autograd.detect_anomaly()` around both names the operation.

    Raises TrainingError where the file does not load, or is one of another model or of other data.
    """
    path, model = Path(file), objective.model
    try:
        values = read_checkpoint(path.parent, path)
    except Exception as error:  # a damaged file makes torch raise whatever its reader happens to meet
        raise TrainingError(f"{path} does not load ({error}). Train again until the step fails.") from error
    try:
        if part_of(values, "data", str) != objective.data_sha:
            raise MisfitError("its batches are of other data")
        copy_tensors("weights", list(model.parameters()), part_of(values, "weights", list))
        batches = _batches(objective, values)
        states = part_of(values, "generators", list)
        require_generators(states or [[]])  # none is a process without states
    except MisfitError as error:
        raise TrainingError(f"{path} does not fit the model and the data: {error}. Build those of its run.") from None
    carry = to_device(values.get("carry"), next(model.parameters()).device)
    scale, losses = 1 / max(1, sum(map(objective.count, batches))), []
    model.train()
    set_generators(states[0])
    for batch in batches:
        loss, carry = objective.loss(batch, carry, scale)
        losses.append(loss)
    return torch.stack(losses).sum()


def _batches(objective: Objective, values: dict[str, Any]) -> list[Any]:
    number = part_of(values, "batch", int)
    if isinstance(objective, Resumable):
        objective.go_on_from(number, values.get("position"))
    return list(islice(objective.batches(number), part_of(values, "batches", int)))
