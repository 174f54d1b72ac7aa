"""Cross entropy over a large vocabulary, a few tokens at a time: all logits never exist at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nlp_lstm.cells.engine import linear, outer

IGNORED = -100
"""Targets with this id are not scored, as in `torch.nn.functional.cross_entropy`."""
_LOGITS_A_CHUNK = 4_000_000
_LOGITS_A_PRODUCT = 32_000_000


def _chunk_rows(vocab_size: int) -> int:
    """Tokens whose logits are made at once: few enough to stay in the cache."""
    return max(64, _LOGITS_A_CHUNK // vocab_size)


def _product_rows(vocab_size: int) -> int:
    """Tokens whose errors are kept for one product: enough to make the sum over products, a pass each, rare."""
    return max(64, _LOGITS_A_PRODUCT // vocab_size)


def _log_normaliser(logits: Tensor, probabilities: Tensor) -> Tensor:
    # The largest probability is at least 1 / vocab_size, so that its logarithm is exact where the target's underflows.
    return logits.amax(dim=1).float() - probabilities.amax(dim=1).log()


def _errors(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, out: Tensor) -> Tensor:
    """Write softmax minus one-hot into `out` (tokens, vocab_size), zero where no target is; return the sum of nats."""
    total = hidden.new_zeros((), dtype=torch.float32)
    rows = _chunk_rows(weight.shape[0])
    for start in range(0, hidden.shape[0], rows):
        wanted = targets[start : start + rows]
        logits = linear(hidden[start : start + rows], weight, bias)
        probabilities = torch.softmax(logits, dim=1, dtype=torch.float32)
        scored = (wanted != IGNORED).unsqueeze(1)
        column = wanted.clamp(min=0).unsqueeze(1)
        losses = _log_normaliser(logits, probabilities).unsqueeze(1) - logits.gather(1, column).float()
        total += torch.where(scored, losses, 0.0).sum()
        probabilities.scatter_add_(1, column, torch.full_like(column, -1.0, dtype=torch.float32))
        if not bool(scored.all()):
            probabilities *= scored
        out[start : start + rows].copy_(probabilities)
    return total


def _sum(total: Tensor | None, part: Tensor, like: Tensor) -> Tensor:
    return part.to(like.dtype) if total is None else total.add_(part)


class _ChunkedCrossEntropy(torch.autograd.Function):
    """The gradient is made in the forward pass, while a chunk's logits are still in the cache."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, scale: float, dtype: torch.dtype
    ) -> Tensor:
        fast_weight, fast_hidden = weight.detach().to(dtype), hidden.detach().to(dtype)
        fast_bias = None if bias is None else bias.detach().to(dtype)
        scaled_hidden = fast_hidden * scale
        rows = min(_product_rows(weight.shape[0]), hidden.shape[0])
        buffer = torch.empty(rows, weight.shape[0], device=hidden.device, dtype=dtype)
        grad_hidden = torch.empty_like(hidden)
        grad_weight: Tensor | None = None
        grad_bias: Tensor | None = None
        total = hidden.new_zeros((), dtype=torch.float32)
        for start in range(0, hidden.shape[0], rows):
            part = slice(start, start + rows)
            errors = buffer[: len(targets[part])]
            total += _errors(fast_hidden[part], fast_weight, fast_bias, targets[part], errors)
            grad_hidden[part] = linear(errors, fast_weight.t()) * scale
            grad_weight = _sum(grad_weight, outer(errors, scaled_hidden[part]), weight)
            if bias is not None:
                grad_bias = _sum(grad_bias, scale * (errors.new_ones(1, len(errors)) @ errors)[0], bias)
        ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        return total * scale

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        grad_hidden, grad_weight, grad_bias = ctx.saved_tensors
        if gradient.device.type == "cpu" and gradient.item() == 1.0:
            return grad_hidden, grad_weight, grad_bias, None, None, None
        scaled_bias = None if grad_bias is None else grad_bias * gradient
        return grad_hidden * gradient, grad_weight * gradient, scaled_bias, None, None, None


def cross_entropy(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, scale: float = 1.0, fast: bool = False
) -> Tensor:
    """Sum of -log softmax(hidden @ weight.T + bias)[target] over the scored targets, in nats, times `scale`.

    hidden (tokens, size), weight (vocab_size, size), bias (vocab_size,), targets (tokens,) int64, `IGNORED` where none
    is scored. Memory is that of some 8 million logits, however many tokens there are. With `fast` the products are in
    bf16 and everything else in fp32. Differentiable once.
    """
    dtype = torch.bfloat16 if fast else weight.dtype
    result: Tensor = _ChunkedCrossEntropy.apply(hidden, weight, bias, targets, scale, dtype)
    return result


@torch.no_grad()
def token_losses(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, fast: bool = False) -> Tensor:
    """Nats of every token, (tokens,) fp32, zero where the target is `IGNORED`; arguments as in `cross_entropy`."""
    dtype = torch.bfloat16 if fast else weight.dtype
    fast_weight, fast_hidden = weight.to(dtype), hidden.to(dtype)
    fast_bias = None if bias is None else bias.to(dtype)
    losses = torch.zeros(hidden.shape[0], device=hidden.device)
    rows = _chunk_rows(weight.shape[0])
    for start in range(0, hidden.shape[0], rows):
        wanted = targets[start : start + rows]
        logits = linear(fast_hidden[start : start + rows], fast_weight, fast_bias)
        column = wanted.clamp(min=0).unsqueeze(1)
        chunk = logits.float().logsumexp(dim=1) - logits.gather(1, column).squeeze(1).float()
        losses[start : start + rows] = torch.where(wanted != IGNORED, chunk, 0.0)
    return losses
