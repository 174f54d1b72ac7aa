"""What a checkpoint holds, held against what it is to replace: it may be damaged, or of another model."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, optim

from nlp_lstm.training._optimizer import Optimizers

_MOST = 2**62
_DEEPEST_CARRY = 4
_GATHERED = {
    optim.AdamW: {"step", "exp_avg", "exp_avg_sq"},
    optim.Muon: {"momentum_buffer"},
    optim.SGD: {"momentum_buffer"},
}


class MisfitError(ValueError):
    """What a checkpoint holds does not fit the run that is to go on from it."""


def part_of(holder: Any, name: str, kind: type) -> Any:
    """Return what stands under a name in a part of a checkpoint; raises MisfitError where it is not of that kind."""
    if not isinstance(holder, dict) or name not in holder or not isinstance(holder[name], kind):
        raise MisfitError(f"{name} is missing or no {kind.__name__}")
    return holder[name]


def read_numbers(found: dict[str, Any], counts: Iterable[str], measures: Iterable[str]) -> dict[str, int | float]:
    """Take the counts (whole numbers from 0) and the measures (finite, but for the best loss before there is one).

    Raises MisfitError where one is missing or no such number.
    """
    numbers: dict[str, int | float] = {}
    for name in counts:
        value: Any = found.get(name)
        if type(value) is not int or not 0 <= value < _MOST:
            raise MisfitError(f"{name} is {reprlib.repr(value)}, and no count")
        numbers[name] = value
    for name in measures:
        value = found.get(name)
        unknown_yet = name == "best" and value == math.inf
        if type(value) not in (int, float) or not (math.isfinite(value) or unknown_yet):
            raise MisfitError(f"{name} is {reprlib.repr(value)}, and no finite number")
        numbers[name] = float(value)
    return numbers


@torch.no_grad()
def copy_tensors(name: str, tensors: Sequence[Tensor], found: list[Any]) -> None:
    """Copy what a checkpoint has under `name` over tensors, in place.

    Raises MisfitError where they are not as many, or one has another shape: torch would spread it.
    """
    if len(found) != len(tensors):
        raise MisfitError(f"{name} has {len(found)} tensors where {len(tensors)} are expected")
    for place, (tensor, value) in enumerate(zip(tensors, found, strict=True)):
        tensor.copy_(require_shape(value, tensor.shape, f"{name}, tensor {place}"))


def require_shape(value: Any, shape: Sequence[int], name: str) -> Tensor:
    """Return a tensor of real numbers; raises MisfitError where it is none, or of another shape."""
    if not _is_plain(value) or value.shape != shape:
        given = f"{value.dtype} of shape {list(value.shape)}" if isinstance(value, Tensor) else reprlib.repr(value)
        raise MisfitError(f"{name}, is {given}, not numbers of shape {list(shape)}")
    return value  # type: ignore[no-any-return]


def _is_plain(value: Any) -> bool:
    """Whether a value is a tensor of real numbers that has a place for each of them."""
    return (
        isinstance(value, Tensor) and value.is_floating_point() and value.layout == torch.strided and not value.is_meta
    )


def require_rows(carry: Any) -> None:
    """Raise MisfitError where nested tuples hold anything but None and tensors of numbers with equally many rows."""
    found = {tensor.shape[-2] for tensor in _tensors_in(carry, _DEEPEST_CARRY)}
    if len(found) > 1:
        raise MisfitError(f"carry has tensors of {' and of '.join(map(str, sorted(found)))} rows")


def _tensors_in(carry: Any, deepest: int) -> Iterator[Tensor]:
    if isinstance(carry, tuple | list):
        if not deepest:
            raise MisfitError(f"carry is nested more than {_DEEPEST_CARRY} deep")
        for one in carry:
            yield from _tensors_in(one, deepest - 1)
    elif carry is not None:
        if not isinstance(carry, Tensor):
            raise MisfitError(f"carry holds {reprlib.repr(carry)}, which is no tensor")
        if not _is_plain(carry) or carry.dim() < 2:
            raise MisfitError(f"carry holds {carry.dtype} of shape {list(carry.shape)}, which are no rows of numbers")
        yield carry


def require_like(found: Any, like: Any, name: str) -> None:
    """Raise MisfitError where nested tuples of tensors differ from those of `like` in more than rows and positions.

    Rows are the last dimension but one. Positions, as many as there were yet, stand before them in what a Transformer
    remembers, which has five dimensions. Tensors that are of one shape in a tuple of `like` are so in `found` too.
    """
    if isinstance(like, Tensor):
        if not isinstance(found, Tensor) or _lasting_sizes(found) != _lasting_sizes(like):
            given = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise MisfitError(f"{name}, is {given}, where the model's has the shape {list(like.shape)}")
        return
    if not isinstance(found, tuple) or len(found) != len(like):
        given = f"{len(found)} parts" if isinstance(found, tuple) else "no parts"
        raise MisfitError(f"{name}, has {given} where {len(like)} are expected")
    for place, (one, other) in enumerate(zip(found, like, strict=True)):
        require_like(one, other, f"{name}, part {place}")
    pairs = {(one.shape, other.shape) for one, other in zip(found, like, strict=True) if isinstance(other, Tensor)}
    if len(pairs) > len({shape for _, shape in pairs}):
        raise MisfitError(f"{name}, has parts of different lengths")


def _lasting_sizes(tensor: Tensor) -> tuple[int, ...]:
    dimensions = tensor.dim()
    return dimensions, *tensor.shape[: dimensions // 2], tensor.shape[-1] if dimensions else 0


def require_generators(states: list[Any]) -> None:
    """Raise MisfitError where states of random generators, a list a process, are not what torch would take."""
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for found in states:
        if not isinstance(found, list) or not found:
            raise MisfitError("generators hold a process without states")
        for state, device in zip(found, devices, strict=False):
            try:
                torch.Generator(device).set_state(state)
            except (TypeError, RuntimeError) as error:
                raise MisfitError(f"generators hold a state that is none ({error})") from None


def load_optimizer(optimizer: Optimizers, found: list[Any]) -> None:
    """Give optimisers back what they had gathered; their settings stay those of this run, whatever stands there.

    Raises MisfitError where it is not of these optimisers and parameters: torch's kernels trust that the sizes fit.
    """
    if len(found) != len(optimizer.parts):
        raise MisfitError(f"optimizer has {len(found)} parts where {len(optimizer.parts)} are expected")
    optimizer.load_state_dict([_state_of(part, one) for part, one in zip(optimizer.parts, found, strict=True)])


def _state_of(part: optim.Optimizer, found: Any) -> dict[str, Any]:
    groups = part.state_dict()["param_groups"]
    numbering = [part_of(group, "params", list) for group in part_of(found, "param_groups", list)]
    if numbering != [group["params"] for group in groups]:
        raise MisfitError("optimizer puts other parameters together")
    parameters = [parameter for group in part.param_groups for parameter in group["params"]]
    names = next(names for kind, names in _GATHERED.items() if isinstance(part, kind))
    state = {}
    for number, gathered in part_of(found, "state", dict).items():
        if type(number) is not int or not 0 <= number < len(parameters):
            raise MisfitError(f"optimizer has a parameter {reprlib.repr(number)} of {len(parameters)}")
        state[number] = _gathered(gathered, names, parameters[number], f"optimizer, parameter {number}")
    return {"state": state, "param_groups": groups}


@torch.no_grad()
def _gathered(found: Any, names: set[str], parameter: Tensor, place: str) -> dict[str, Tensor]:
    """Copies that lie in memory as the parameter does, since the kernels go by that."""
    if not isinstance(found, dict) or found.keys() != names:
        raise MisfitError(f"{place}, holds other values than {', '.join(sorted(names))}")
    places = {name: torch.zeros(()) if name == "step" else torch.empty_like(parameter) for name in names}
    for name, tensor in places.items():
        tensor.copy_(require_shape(found[name], tensor.shape, f"{place}, {name}"))
    return places
