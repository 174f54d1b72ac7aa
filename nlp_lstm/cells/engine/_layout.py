"""How a loop over time goes through its memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from nlp_lstm.cells.engine._stages import WITHOUT_END


@dataclass(frozen=True)
class Layout:
    """What decides about memory beside the stages."""

    time: int
    batch: int
    reverse: bool
    low: torch.dtype | None
    """The type of the factors of products, where it is not that of the states and all else."""
    keep: bool
    """Whether a backward pass will come."""
    threads: int
    """Parts in which weight gradients are added up."""
    low_products: bool = False
    """Whether results of products, too, have the type `low`."""

    def descends(self, backward: bool) -> bool:
        """Tell whether the steps go from the last time to the first."""
        return self.reverse != backward

    def order(self, backward: bool) -> range:
        """Give the times in the order of the steps."""
        return range(self.time - 1, -1, -1) if self.descends(backward) else range(self.time)


def at_steps(tensor: Tensor, slot: tuple[int, int], order: Iterable[int]) -> list[Tensor]:
    """List the parts of a memory that are a buffer's at the steps of `order`; `slot` as `Stages.slot` gives it."""
    shift, period = slot
    parts = tensor.unbind()
    return [parts[(t + shift) % period if len(parts) > 1 else 0] for t in order]


def ended_at_steps(lengths: Tensor, order: range) -> list[Tensor]:
    """List which rows have ended, (batch, 1) bool, at the steps of `order`."""
    times = torch.arange(len(order), device=lengths.device)[:, None, None]
    return at_steps(times >= lengths[:, None], (0, WITHOUT_END), order)
