"""Rows of all tensors in nested tuples: taken out, and put together again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def cut(value: Any, rows: slice, dimension: int) -> Any:
    """Take rows of the tensors in nested tuples along a dimension; what is no tensor stays."""
    if isinstance(value, Tensor):
        return value.narrow(dimension, rows.start, rows.stop - rows.start).contiguous()
    if isinstance(value, tuple):
        parts = [cut(one, rows, dimension) for one in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value


def joined(values: list[Any], dimension: int) -> Any:
    """Undo `cut`: put the tensors of equal nested tuples side by side along a dimension."""
    if isinstance(values[0], Tensor):
        return torch.cat(values, dimension)
    if isinstance(values[0], tuple):
        return tuple(joined(list(parts), dimension) for parts in zip(*values, strict=True))
    return values[0]


def length(value: Any, dimension: int) -> int | None:
    """Length of the first tensor in nested tuples along a dimension; None without a tensor."""
    if isinstance(value, Tensor):
        return value.size(dimension)
    found = (length(one, dimension) for one in value) if isinstance(value, tuple) else iter(())
    return next((one for one in found if one is not None), None)
