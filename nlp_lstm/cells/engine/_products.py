"""Matrix products by the fastest route that the chip has."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

_WORTH_IT = 1 << 18
"""Entries of a weight from which the other route pays for its call."""


@cache
def _onednn() -> bool:
    return bool(torch.backends.mkldnn.is_available()) and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _fits(x: Tensor) -> bool:
    return x.dtype == torch.float32 and x.device.type == "cpu" and _onednn()


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Give x @ weight.T + bias for x (..., inner) and weight (columns, inner).

    Where no gradient is wanted, a large product in fp32 on a CPU goes through oneDNN where torch has it: the default
    route favours the chips of one maker and is two to four times slower on the others. Equal to `F.linear` but for
    rounding.
    """
    if (
        weight.numel() >= _WORTH_IT
        and not torch.is_grad_enabled()
        and _fits(x)
        and not torch.is_autocast_enabled("cpu")
    ):
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return product
    return F.linear(x, weight, bias)


def outer(x: Tensor, y: Tensor) -> Tensor:
    """Give x.T @ y for x (rows, left) and y (rows, right), without a gradient; routed as `linear`."""
    if _fits(x):
        return linear(y.t(), x.t()).t()
    return x.t() @ y
