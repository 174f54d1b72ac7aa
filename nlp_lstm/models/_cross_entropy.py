"""Cross entropy over a large vocabulary, a few tokens at a time: all logits never exist at once."""

from __future__ import annotations

import threading
from typing import Any

import torch
from torch import Tensor

from nlp_lstm.cells.engine import linear, outer
from nlp_lstm.models._softmax import IGNORED, half_kernel_for, kernel_for, softmax_errors, softmax_losses
from nlp_lstm.models._tied import TiedGradient

__all__ = ["IGNORED", "cross_entropy", "token_losses"]

_LOGITS_A_CHUNK = 8_000_000
_LOGITS_A_PRODUCT = 32_000_000


def _chunk_rows(vocab_size: int) -> int:
    """Tokens whose logits are made at once: few enough to stay in the cache."""
    return max(64, _LOGITS_A_CHUNK // vocab_size)


def _product_rows(vocab_size: int) -> int:
    """Tokens whose errors are kept for one product: enough to make the sum over products, a pass each, rare."""
    return max(64, _LOGITS_A_PRODUCT // vocab_size)


class _Kept(threading.local):
    """The buffers of a thread."""

    def __init__(self) -> None:
        self.buffers: dict[torch.dtype, Tensor] = {}


_kept = _Kept()


def _buffer(rows: int, columns: int, like: Tensor) -> Tensor:
    """Give (rows, columns) of memory with any content, on a CPU the same again and again.

    To a process, fresh memory of this size costs as much as a product that fills it.
    """
    if like.device.type != "cpu":
        return like.new_empty(rows, columns)
    kept = _kept.buffers.get(like.dtype)
    if kept is None or kept.numel() < rows * columns:
        with torch.inference_mode(False):  # what is made under that mode cannot be written to in training
            kept = _kept.buffers[like.dtype] = torch.empty(rows * columns, dtype=like.dtype)
    return kept[: rows * columns].view(rows, columns)


def _logits(hidden: Tensor, weight: Tensor, out: Tensor) -> Tensor:
    """Give hidden @ weight.T, in `out` where that is no detour."""
    return torch.mm(hidden, weight.t(), out=out) if hidden.dtype == torch.bfloat16 else linear(hidden, weight)


def _errors(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, out: Tensor) -> Tensor:
    """Write softmax minus one-hot into `out` (tokens, vocab_size), zero where no target is; return the sum of nats."""
    losses = torch.empty(len(hidden), device=hidden.device)
    rows = _chunk_rows(weight.shape[0])
    kernel = kernel_for(hidden, weight.shape[0])
    for start in range(0, len(hidden), rows):
        part = slice(start, start + rows)
        if kernel is None:
            logits = linear(hidden[part], weight, None if bias is None else bias.to(weight.dtype))
            losses[part] = softmax_errors(logits, targets[part], out[part])
        else:
            logits = _logits(hidden[part], weight, out[part])
            kernel.cross_entropy(logits, bias, targets[part], out[part], losses[part])
    return losses.sum()


def _sum(total: Tensor | None, part: Tensor, like: Tensor) -> Tensor:
    return part.to(like.dtype) if total is None else total.add_(part)


_Made = tuple[Tensor, Tensor, Tensor | None, Tensor | None]
"""Sum of nats, and the gradients of its scaled value for hidden, weight and bias."""


def _make_in_chunks(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, scale: float, dtype: torch.dtype
) -> _Made:
    fast_weight, fast_hidden = weight.to(dtype), hidden.to(dtype).contiguous()
    scaled_hidden = fast_hidden * scale
    wide_bias = None if bias is None else bias.float()
    rows = min(_product_rows(weight.shape[0]), hidden.shape[0])
    buffer = _buffer(rows, weight.shape[0], fast_hidden)
    grad_hidden = torch.empty_like(hidden)
    grad_weight: Tensor | None = None
    grad_bias: Tensor | None = None
    total = hidden.new_zeros((), dtype=torch.float32)
    for start in range(0, hidden.shape[0], rows):
        part = slice(start, start + rows)
        errors = buffer[: len(targets[part])]
        total += _errors(fast_hidden[part], fast_weight, wide_bias, targets[part], errors)
        grad_hidden[part] = linear(errors, fast_weight.t()) * scale
        grad_weight = _sum(grad_weight, outer(errors, scaled_hidden[part]), weight)
        if bias is not None:
            grad_bias = _sum(grad_bias, scale * (errors.new_ones(1, len(errors)) @ errors)[0], bias)
    return total, grad_hidden, grad_weight, grad_bias


def _make(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, scale: float, dtype: torch.dtype
) -> _Made:
    targets = targets.contiguous()
    kernel = half_kernel_for(hidden, weight) if dtype == torch.bfloat16 else None
    if kernel is None:
        return _make_in_chunks(hidden, weight, bias, targets, scale, dtype)
    wide_bias = None if bias is None else bias.float()
    wide_hidden = hidden.float().contiguous()
    losses, *made = kernel.half_cross_entropy(wide_hidden, weight.contiguous(), wide_bias, targets, scale)
    return losses.sum(), made[0].to(hidden.dtype), made[1], None if bias is None else made[2].to(bias.dtype)


class _ChunkedCrossEntropy(torch.autograd.Function):
    """The gradient is made in the forward pass, while a chunk's logits are still in the cache."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        scale: float,
        dtype: torch.dtype,
        tied: TiedGradient | None,
    ) -> Tensor:
        total, *gradients = _make(hidden, weight, bias, targets, scale, dtype)
        ctx.gradients, ctx.tied = gradients, tied
        return total * scale

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        if ctx.gradients is None:
            raise RuntimeError("The loss gives its gradient once: call backward once, or make the loss anew.")
        made, ctx.gradients = ctx.gradients, None
        if gradient.device.type != "cpu" or gradient.item() != 1.0:
            for one in made:
                if one is not None:
                    one.mul_(gradient)
        grad_hidden, grad_weight, grad_bias = made
        if ctx.tied is not None:
            ctx.tied.leave(grad_weight)
            grad_weight = None
        return grad_hidden, grad_weight, grad_bias, None, None, None, None


def cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    scale: float = 1.0,
    fast: bool = False,
    tied: TiedGradient | None = None,
) -> Tensor:
    """Sum of -log softmax(hidden @ weight.T + bias)[target] over the scored targets, in nats, times `scale`.

    hidden (tokens, size), weight (vocab_size, size), bias (vocab_size,), targets (tokens,) int64, `IGNORED` where none
    is scored. Memory is that of some 32 million logits, however many tokens there are; on a CPU it is kept for the next
    call. With `fast` the products are in bf16 and everything else in fp32. With `tied` the weight's
    gradient is left there instead of given. Differentiable once.
    """
    dtype = torch.bfloat16 if fast else weight.dtype
    result: Tensor = _ChunkedCrossEntropy.apply(hidden, weight, bias, targets, scale, dtype, tied)
    return result


@torch.no_grad()
def token_losses(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, fast: bool = False) -> Tensor:
    """Nats of every token, (tokens,) fp32, zero where the target is `IGNORED`; arguments as in `cross_entropy`."""
    dtype = torch.bfloat16 if fast else weight.dtype
    fast_weight, fast_hidden, targets = weight.to(dtype), hidden.to(dtype).contiguous(), targets.contiguous()
    bias = None if bias is None else bias.float()
    losses = torch.zeros(hidden.shape[0], device=hidden.device)
    rows = _chunk_rows(weight.shape[0])
    kernel = kernel_for(fast_hidden, weight.shape[0])
    for start in range(0, hidden.shape[0], rows):
        part = slice(start, start + rows)
        if kernel is None:
            logits = linear(fast_hidden[part], fast_weight, None if bias is None else bias.to(dtype))
            losses[part] = softmax_losses(logits, targets[part])
        else:
            out = _buffer(len(targets[part]), weight.shape[0], fast_hidden)
            kernel.cross_entropy(_logits(fast_hidden[part], fast_weight, out), bias, targets[part], None, losses[part])
    return losses
