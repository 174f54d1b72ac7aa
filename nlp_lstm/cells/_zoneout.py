"""Zoneout: a state that now and then stays as it was."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import Tensor

from nlp_lstm.cells._cell import Cell, State


@dataclass(frozen=True)
class ZoneoutCell(Cell):
    """Any cell, whose state keeps the old value of random units at each step.

    Krueger et al. 2017, "Zoneout: Regularizing RNNs by Randomly Preserving Hidden Activations", section 3: with s the
    state that the cell would go to, p the probability of its tensor (0 where `probabilities` names none), and d drawn
    anew for each step, sequence and unit, 1 with probability p and else 0,

        s_t = d_t * s_{t-1} + (1 - d_t) * s                      in training
        s_t = p * s_{t-1} + (1 - p) * s                          in evaluation, the expectation

    The draws are columns that `project` adds to the input's, so that `step` stays a function of its arguments.
    """

    inner: Cell
    hidden_size: int
    probabilities: tuple[tuple[str, float], ...]
    training: bool

    name = "zoneout"
    paper = "Krueger et al. 2017, Zoneout: Regularizing RNNs by Randomly Preserving Hidden Activations"

    def __post_init__(self) -> None:
        """Take over the names of the inner cell's state."""
        object.__setattr__(self, "state_names", self.inner.state_names)

    def state_sizes(self, hidden_size: int) -> dict[str, int]:
        """Give the widths of the inner cell."""
        return self.inner.state_sizes(hidden_size)

    def project(self, x: Tensor, weights: SimpleNamespace) -> Tensor:
        """Map the input as the inner cell does, and in training append the draws for each tensor named."""
        projected = self.inner.project(x, weights)
        if not self.training:
            return projected
        sizes = self.state_sizes(self.hidden_size)
        draws = [
            torch.empty(*x.shape[:-1], sizes[name], device=x.device, dtype=projected.dtype).bernoulli_(probability)
            for name, probability in self.probabilities
        ]
        return torch.cat([projected, *draws], dim=-1)

    def step(self, projected: Tensor, state: State, weights: SimpleNamespace) -> State:
        """Make one step of the inner cell, and hold back what was drawn; state as the inner cell's."""
        held: dict[str, Tensor | float] = dict(self.probabilities)
        if self.training:
            sizes = [self.state_sizes(self.hidden_size)[name] for name, _ in self.probabilities]
            projected, *draws = projected.split([projected.shape[-1] - sum(sizes), *sizes], dim=-1)
            held = dict(zip(held, draws, strict=True))
        after = self.inner.step(projected, state, weights)
        return tuple(
            held[name] * old + (1 - held[name]) * new if name in held else new
            for name, old, new in zip(self.inner.state_names, state, after, strict=True)
        )
