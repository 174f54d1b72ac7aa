"""States that come into a layer: what is checked, and what a sequence starts from."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from nlp_lstm.cells._cell import Cell, State
from nlp_lstm.cells._lengths import fits_type
from nlp_lstm.errors import ShapeError


def read(
    state: Tensor | State,
    cell: Cell,
    widths: tuple[int, ...],
    rows_and_batch: tuple[int, int],
    x: Tensor,
    unbatched: bool = False,
) -> State:
    """Give a state's tensors, each (layers * directions, batch, width); raise ShapeError where they do not fit x.

    `unbatched` tensors come as (layers * directions, width).
    """
    states = check_tensors(state, cell.name, cell.state_names)
    if unbatched:
        states = tuple([tensor.unsqueeze(1) for tensor in states])
    for index, width in enumerate(widths):
        tensor = states[index]
        expected = (*rows_and_batch, width)
        if tensor.shape != expected:
            raise ShapeError(
                f"The state's {cell.state_names[index]} has the shape {tuple(tensor.shape)}; this call needs "
                f"{expected}: (layers * directions, batch, width)."
            )
        if tensor.device != x.device or tensor.dtype != x.dtype:
            check_like(tensor, cell.state_names[index], x)
    return states


def check_tensors(state: object, cell: str, names: tuple[str, ...]) -> State:
    """Give a state's tensors, one for each name; raise ShapeError where it is anything else."""
    if isinstance(state, Tensor):
        states: tuple[Any, ...] = (state,)
    elif isinstance(state, tuple | list):
        states = tuple(state)
    else:
        raise ShapeError(f"The state is a {type(state).__name__}; the cell {cell!r} takes {_listed(names)}.")
    if len(states) != len(names):
        raise ShapeError(f"The state has {len(states)} tensors; the cell {cell!r} takes {_listed(names)}.")
    for name, one in zip(names, states, strict=True):
        if not isinstance(one, Tensor):
            raise ShapeError(f"The state's {name} is a {type(one).__name__}; the cell {cell!r} takes {_listed(names)}.")
    return states


def _listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names)}, a tuple of tensors" if len(names) > 1 else f"{names[0]}, one tensor"


def check_like(tensor: Tensor, name: str, x: Tensor) -> None:
    """Raise ShapeError unless a tensor of the state is on the device of the input x, and of its type."""
    if tensor.device != x.device:
        raise ShapeError(f"The state's {name} is on {tensor.device}, the input on {x.device}. Move one with .to().")
    if not fits_type(tensor, x.dtype):
        raise ShapeError(
            f"The state's {name} is of the type {tensor.dtype}, the input of {x.dtype}. Give state.to({x.dtype})."
        )


def start(cell: Cell, widths: tuple[int, ...], rows_and_batch: tuple[int, int], x: Tensor) -> State:
    """Give what a sequence starts from: zeros, but for what the cell names in `initial_state`."""
    values = [cell.initial_state.get(name, 0.0) for name in cell.state_names]
    return tuple(x.new_full((*rows_and_batch, width), value) for width, value in zip(widths, values, strict=True))
