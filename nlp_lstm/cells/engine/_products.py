"""Matrix products by the fastest route that the chip has."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from nlp_lstm.cells.engine._native import multiplies_half, time_loop
from nlp_lstm.cells.engine._recorded import recorded_linear

_WORTH_IT = 1 << 18
"""Multiplications from which another route than torch's own pays for its call; with gradients, 16 times that."""


@cache
def _onednn() -> bool:
    return bool(torch.backends.mkldnn.is_available()) and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _fits(*tensors: Tensor) -> bool:
    return _onednn() and all(one.dtype == torch.float32 and one.device.type == "cpu" for one in tensors)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Give x @ weight.T + bias for x (..., inner) and weight (columns, inner).

    On a CPU a large product goes round torch's default route, which favours the chips of one maker and is two to four
    times slower on the others, gradients too: fp32 through oneDNN or, like bfloat16 under autocast, through our own
    blocks. Equal to `F.linear` but for rounding.
    """
    recorded = recorded_linear(x, weight, bias)
    if recorded is not None:
        return recorded
    if x.dim() < 2 or x.shape[-1] != weight.shape[1] or (bias is not None and bias.shape != weight.shape[:1]):
        return F.linear(x, weight, bias)  # which says what does not fit
    work = x.numel() // max(1, x.shape[-1]) * weight.numel()
    if work < _WORTH_IT or torch.compiler.is_compiling() or not _fits(weight, *(() if bias is None else (bias,))):
        return F.linear(x, weight, bias)
    half = torch.is_autocast_enabled("cpu")
    if torch.is_grad_enabled() and any(one is not None and one.requires_grad for one in (x, weight, bias)):
        if work >= 16 * _WORTH_IT and _has_route(x, half):
            product: Tensor = _Linear.apply(x, weight, bias, half)
            return product
    elif not half and _fits(x):
        return _product(x, weight, bias)
    return F.linear(x, weight, bias)


def outer(x: Tensor, y: Tensor) -> Tensor:
    """Give x.T @ y for x (rows, left) and y (rows, right), without a gradient; routed as `linear`."""
    if _fits(x, y):
        return _product(y.contiguous().t(), x.contiguous().t(), None).t()  # quicker than the other way round
    return x.t() @ y


def prepared(weight: Tensor, rows: int, bias: Tensor | None = None) -> Callable[[Tensor], Tensor]:
    """Give the function x -> x @ weight.T + bias for many x of so many rows, without a gradient."""
    if _fits(weight) and weight.numel() >= 1 << 12:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), rows)
        return lambda x: torch.ops.mkldnn._linear_pointwise.default(x, packed, bias, "none", [], "")
    transposed = weight.t()
    return (lambda x: x @ transposed) if bias is None else (lambda x: torch.addmm(bias, x, transposed))


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if x.stride(-1) == 1:  # oneDNN takes a hundred times longer where there are gaps between rows
        x = x.contiguous()
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product


def _has_route(x: Tensor, half: bool) -> bool:
    if not half:
        return _fits(x)
    types = (torch.float32, torch.bfloat16)
    return torch.get_autocast_dtype("cpu") == torch.bfloat16 and x.dtype in types and multiplies_half()


class _Linear(torch.autograd.Function):
    """The product and its gradients, in bfloat16 with `half`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, half: bool) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.half = half
        return _blocks(x, weight, bias, transposed=False, half=half, half_result=half)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        needed = ctx.needs_input_grad
        rows, factor = gradient.flatten(0, -2), x.flatten(0, -2)
        results: list[Tensor | None] = [None, None, None]
        with torch.autocast("cpu", enabled=False):
            if torch.is_grad_enabled():  # a second derivative may follow
                rows = rows.to(weight.dtype)
                products = (rows @ weight).view_as(x).to(x.dtype), rows.t() @ factor.to(weight.dtype)
                return *products, rows.sum(dim=0) if needed[2] else None, None
            if needed[0]:
                half = x.dtype == torch.bfloat16
                results[0] = _blocks(gradient, weight, None, transposed=True, half=ctx.half, half_result=half)
            if needed[1]:
                results[1] = outer(rows, factor.to(rows.dtype)).to(weight.dtype)
            if needed[2]:
                results[2] = rows.sum(dim=0, dtype=weight.dtype)
        return results[0], results[1], results[2], None


def _blocks(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, transposed: bool, half: bool, half_result: bool
) -> Tensor:
    """Give x @ weight.T + bias, or x @ weight where it is transposed."""
    loop = time_loop()
    if loop is None:
        assert not half
        return _product(x, weight.t() if transposed else weight, bias)
    rows = x.flatten(0, -2)
    rows = rows if rows.stride(-1) == 1 else rows.contiguous()
    product: Tensor = loop.product(rows, weight, bias, transposed, half, half_result)
    return product.view(*x.shape[:-1], product.shape[-1])
