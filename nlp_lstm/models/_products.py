"""The matrix product of an output layer by the fastest route that the chip has."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def _onednn() -> bool:
    return bool(torch.backends.mkldnn.is_available()) and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Give x @ weight.T + bias for x (rows, inner) and weight (columns, inner), without a gradient.

    In fp32 on a CPU the product goes through oneDNN where torch has it: the default route favours the chips of one
    maker and is two to four times slower on the others. Equal to `F.linear` but for rounding.
    """
    if x.dtype == torch.float32 and x.device.type == "cpu" and _onednn():
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return product
    return F.linear(x, weight, bias)


def outer(x: Tensor, y: Tensor) -> Tensor:
    """Give x.T @ y for x (rows, left) and y (rows, right), without a gradient; routed as `linear`."""
    if x.dtype == torch.float32 and x.device.type == "cpu" and _onednn():
        return linear(y.t(), x.t()).t()
    return x.t() @ y
