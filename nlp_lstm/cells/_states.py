"""States that come into a layer: what is checked, and what a sequence starts from."""

from __future__ import annotations

import torch
from torch import Tensor

from nlp_lstm.cells._cell import Cell, State
from nlp_lstm.errors import ShapeError


def read(
    state: Tensor | State,
    cell: Cell,
    widths: tuple[int, ...],
    rows_and_batch: tuple[int, int],
    device: torch.device,
    unbatched: bool = False,
) -> State:
    """Give a state's tensors, each (layers * directions, batch, width); raise ShapeError where they do not fit.

    `unbatched` tensors come as (layers * directions, width).
    """
    states = (state,) if isinstance(state, Tensor) else tuple(state)
    if len(states) != len(widths):
        names = ", ".join(cell.state_names)
        raise ShapeError(f"The state has {len(states)} tensors; the cell {cell.name!r} takes {names}.")
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
        if tensor.device != device:
            name = cell.state_names[index]
            raise ShapeError(f"The state's {name} is on {tensor.device}, the input on {device}. Move one with .to().")
    return states


def start(cell: Cell, widths: tuple[int, ...], rows_and_batch: tuple[int, int], x: Tensor) -> State:
    """Give what a sequence starts from: zeros, but for what the cell names in `initial_state`."""
    values = [cell.initial_state.get(name, 0.0) for name in cell.state_names]
    return tuple(x.new_full((*rows_and_batch, width), value) for width, value in zip(widths, values, strict=True))
