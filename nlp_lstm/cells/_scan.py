"""All steps of a cell at once, where its gates wait for nothing but the input."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nlp_lstm.cells._cell import ScanCell, State


def scan_by_steps(decay: Tensor, update: Tensor, start: Tensor) -> Tensor:
    """Give s_t = decay_t * s_{t-1} + update_t one step after the other, which does the least work."""
    states = torch.empty_like(update)
    state = start
    for a, b, s in zip(decay.unbind(), update.unbind(), states.unbind(), strict=True):
        state = torch.addcmul(b, a, state, out=s)
    return states


def scan_by_doubling(decay: Tensor, update: Tensor, start: Tensor) -> Tensor:
    """Give the same in log2(time) passes over all steps, which keeps a chip of many cores busy.

    Two steps s -> a s + b and s -> a' s + b' make one, s -> a' a s + (a' b + b'); each pass joins every step with what
    stands `reach` before it, until all reach the start (Hillis and Steele 1986; Blelloch 1990).
    """
    states = torch.cat([torch.addcmul(update[:1], decay[:1], start.unsqueeze(0)), update[1:]])
    reach = 1
    while reach < len(states):
        joined = torch.addcmul(states[reach:], decay[reach:], states[:-reach])
        decay = torch.cat([decay[:reach], decay[reach:] * decay[:-reach]])
        states = torch.cat([states[:reach], joined])
        reach *= 2
    return states


class _LinearRecurrence(torch.autograd.Function):
    """The scan and its gradient, which is the same scan from the end."""

    @staticmethod
    def forward(ctx: Any, decay: Tensor, update: Tensor, start: Tensor) -> Tensor:
        scan = scan_by_steps if update.device.type == "cpu" else scan_by_doubling
        states = scan(decay, update, start)
        ctx.save_for_backward(decay, start, states)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        decay, start, states = ctx.saved_tensors
        scan = scan_by_steps if gradient.device.type == "cpu" else scan_by_doubling
        nothing = torch.zeros_like(start)
        total = scan(shifted(decay.flip(0), nothing), gradient.flip(0), nothing).flip(0)
        return total * shifted(states, start), total, decay[0] * total[0]


def linear_recurrence(decay: Tensor, update: Tensor, start: Tensor) -> Tensor:
    """Give s_t = decay_t * s_{t-1} + update_t for every t, (time, batch, size), from s before them, (batch, size)."""
    dtype = torch.promote_types(torch.promote_types(decay.dtype, update.dtype), start.dtype)
    states: Tensor = _LinearRecurrence.apply(decay.to(dtype), update.to(dtype), start.to(dtype))
    return states


def shifted(states: Tensor, start: Tensor) -> Tensor:
    """Give what stood before each step: states (time, batch, size) one step later, `start` (batch, size) first."""
    return torch.cat([start.unsqueeze(0).to(states.dtype), states[:-1]])


def run_scan(
    cell: ScanCell, x: Tensor, state: State, lengths: Tensor | None, weights: SimpleNamespace, reverse: bool
) -> tuple[Tensor, State]:
    """Run a cell over x by its `parallel`; takes and gives what `run_cell` of the engine does."""
    if lengths is None:
        states = cell.parallel(cell.project(x.flip(0) if reverse else x, weights), state, weights)
        return states[0].flip(0) if reverse else states[0], tuple(one[-1] for one in states)
    steps = torch.arange(x.shape[0], device=x.device)[:, None]
    valid = steps < lengths  # (time, batch)
    x = x.masked_fill(~valid.unsqueeze(-1), 0.0)
    order = torch.where(valid, lengths - 1 - steps, steps) if reverse else None
    states = cell.parallel(cell.project(_taken(x, order), weights), state, weights)
    last = (lengths - 1).unsqueeze(0)
    end = tuple(_taken(one, last).squeeze(0) for one in states)
    return _taken(states[0], order).masked_fill(~valid.unsqueeze(-1), 0.0), end


def _taken(x: Tensor, steps: Tensor | None) -> Tensor:
    """Take from x (time, batch, size) the steps that `steps` (any, batch) names; all of them in order for None."""
    return x if steps is None else x.gather(0, steps.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
