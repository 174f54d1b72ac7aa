"""The readable loop over time, for any cell: always there, and what every faster way is tested against."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Protocol

import torch
from torch import Tensor


class Equations(Protocol):
    """What the loop needs of a cell; `nlp_lstm.cells.Cell` says what the two methods take and give."""

    def project(self, x: Tensor, weights: SimpleNamespace) -> Tensor: ...

    def step(self, projected: Tensor, state: tuple[Tensor, ...], weights: SimpleNamespace) -> tuple[Tensor, ...]: ...


def run_cell(
    cell: Equations,
    x: Tensor,
    state: tuple[Tensor, ...],
    lengths: Tensor | None,
    weights: SimpleNamespace,
    reverse: bool,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run one cell over x (time, batch, input_size), backwards with `reverse`; state tensors are (batch, hidden_size).

    Returns the output (time, batch, hidden_size), zero behind each length, and the state at each sequence's end (its
    beginning with `reverse`). What stands in the padding is replaced before it is read, NaN included.
    """
    time = x.shape[0]
    valid = None
    if lengths is not None:
        valid = (torch.arange(time, device=x.device)[:, None] < lengths).unsqueeze(-1)  # (time, batch, 1)
        x = x.masked_fill(~valid, 0.0)
    projected = cell.project(x, weights)
    outputs: list[Tensor] = []
    for t in reversed(range(time)) if reverse else range(time):
        new_state = cell.step(projected[t], state, weights)
        if valid is None:
            state = new_state
            outputs.append(state[0])
        else:
            mask = valid[t]
            state = tuple(torch.where(mask, new, old) for new, old in zip(new_state, state, strict=True))
            outputs.append(state[0].masked_fill(~mask, 0.0))
    if reverse:
        outputs.reverse()
    return torch.stack(outputs), state
