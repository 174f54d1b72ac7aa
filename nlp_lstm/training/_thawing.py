"""Layers that are trained from the top one on, one more whenever so many batches are over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Thawing:
    """Which layers are trained when (gradual unfreezing: Howard and Ruder 2018, section 3.3).

    `layers` are names of parameters, those of the top layer first; `batches` is after how many one layer more is
    trained, and 0 trains all at once.
    """

    layers: Sequence[Sequence[str]]
    batches: float

    def thawed(self, number: int) -> int:
        """Return how many layers the batch of this number, counted from 0, trains."""
        return min(len(self.layers), 1 + int(number / self.batches)) if self.batches else len(self.layers)

    def apply(self, model: nn.Module, number: int) -> None:
        """Let a batch train its layers and no others."""
        if self.batches:
            trained = {name for names in self.layers[: self.thawed(number)] for name in names}
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(name in trained)

    def note(self, batches: int, batches_per_epoch: int) -> str | None:
        """Say how many layers so many batches leave as they are; None where they train all."""
        frozen = len(self.layers) - self.thawed(max(0, batches - 1))
        if not frozen:
            return None
        each = self.batches / batches_per_epoch
        return (
            f"Of the {len(self.layers)} layers the lowest {frozen} stay as they were: with --unfreeze-epochs {each:g} "
            f"all are trained after {(len(self.layers) - 1) * each:g} epochs, and training ends after "
            f"{batches / batches_per_epoch:.3g}. Train for longer, or lower --unfreeze-epochs."
        )


def layers_from_the_top(model: nn.Module) -> list[list[str]]:
    """Group a classifier's parameters by how far below the output they are: output, layers from the last, embedding."""
    names = [name for name, _ in model.named_parameters()]
    number_of_layers = len(model.encoder.layers)  # type: ignore[arg-type, union-attr]
    kinds = ("encoder.layers", "encoder.backward_layers")
    places = [tuple(f"{kind}.{index}." for kind in kinds) for index in reversed(range(number_of_layers))]
    groups = [[name for name in names if name.startswith(place)] for place in [*places, ("embedding",)]]
    below = {name for group in groups for name in group}
    return [[name for name in names if name not in below], *groups]
