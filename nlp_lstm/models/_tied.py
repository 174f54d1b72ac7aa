"""The gradient of a table that is both input embedding and output weight, made in one place of memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


class TiedGradient:
    """Where the output leaves its gradient of the tied table, and the lookup, whose turn is later, adds its own.

    Each alone would make a gradient of the table's size, and torch add the two: three passes over it, where the lookup
    touches but the rows of its tokens. One is for one loss.
    """

    def __init__(self) -> None:
        self.left: Tensor | None = None

    def leave(self, gradient: Tensor) -> None:
        """Keep the output's gradient, (vocab_size, size), for the lookup; it will be changed in place."""
        self.left = gradient

    def take(self, table: Tensor) -> Tensor:
        """Hand over what was left, or zeros like the table."""
        left, self.left = self.left, None
        return torch.zeros_like(table) if left is None else left


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, ids: Tensor, tied: TiedGradient) -> Tensor:
        ctx.save_for_backward(table, ids)
        ctx.tied = tied
        return F.embedding(ids, table)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        table, ids = ctx.saved_tensors
        total = ctx.tied.take(table)
        total.index_add_(0, ids.flatten(), gradients[0].flatten(0, -2).to(total.dtype))
        return total, None, None


def lookup(ids: Tensor, table: Tensor, tied: TiedGradient) -> Tensor:
    """Look up rows of a table: ids (...) -> (..., size), whose gradient includes what the output leaves in `tied`."""
    result: Tensor = _Lookup.apply(table, ids, tied)
    return result
