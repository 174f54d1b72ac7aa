"""An exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Averages a model's weights over the steps (Polyak and Juditsky 1992), with exponential forgetting.

    average = decay * average + (1 - decay) * weights, where the decay grows to its value as (1 + t) / (10 + t), so that
    the random start is forgotten. With a decay of 0 the average is the weights themselves and costs nothing.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights: list[Tensor] = list(model.parameters())
        self.average = [weight.detach().clone() for weight in self.weights] if decay else []

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after optimiser step number `step`, counted from 1."""
        if self.decay:
            decay = min(self.decay, (1 + step) / (10 + step))
            torch._foreach_lerp_(self.average, self.weights, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average in the model's place for the length of a `with`."""
        if not self.decay:
            yield
            return
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for weight, average in zip(self.weights, self.average, strict=True):
            kept = weight.detach().clone()
            weight.copy_(average)
            average.copy_(kept)
