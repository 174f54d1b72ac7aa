"""Softmax, its loss and its gradient: in C++ where it pays, else one block of logits at a time in torch."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from nlp_lstm.cells.engine import compiled

IGNORED = -100
"""Targets with this id are not scored, as in `torch.nn.functional.cross_entropy`."""
_WORTH_COMPILING = 2_000_000
"""Logits of a call from which the compiled pass is used; below, torch's passes stay in the cache anyway."""


_SOURCES = ("_softmax.cpp", "_half_softmax.cpp")


def kernel_for(hidden: Tensor, vocab_size: int) -> ModuleType | None:
    """Return the compiled operators for `hidden` (tokens, size) over a vocabulary; None where torch should do it.

    Their `cross_entropy` makes losses and errors of a block of logits, in fp32 or bf16; see _softmax.cpp.
    """
    fits = hidden.device.type == "cpu" and hidden.dtype in (torch.float32, torch.bfloat16)
    return _operators() if fits and len(hidden) * vocab_size >= _WORTH_COMPILING else None


def half_kernel_for(hidden: Tensor, weight: Tensor) -> ModuleType | None:
    """Return the operators where the processor has products of bf16, for a weight in fp32; else None.

    Their `half_cross_entropy` makes losses and all gradients at once; see _half_softmax.cpp.
    """
    kernel = kernel_for(hidden, len(weight)) if weight.dtype == torch.float32 else None
    return kernel if kernel is not None and kernel.multiplies_half() else None


@cache
def _operators() -> ModuleType | None:
    folder = Path(__file__).parent
    return compiled("softmax", "\n".join((folder / name).read_text(encoding="utf-8") for name in _SOURCES))


def softmax_errors(logits: Tensor, targets: Tensor, out: Tensor) -> Tensor:
    """Write softmax(logits) minus one-hot into `out` (tokens, vocab_size), zero where no target is; give the nats.

    logits (tokens, vocab_size), targets (tokens,) int64; the nats are (tokens,) fp32, zero where no target is.
    """
    probabilities = torch.softmax(logits, dim=1, dtype=torch.float32)
    scored = (targets != IGNORED).unsqueeze(1)
    column = targets.clamp(min=0).unsqueeze(1)
    losses = _log_normaliser(logits, probabilities).unsqueeze(1) - logits.gather(1, column).float()
    probabilities.scatter_add_(1, column, torch.full_like(column, -1.0, dtype=torch.float32))
    if not bool(scored.all()):
        probabilities *= scored
    out.copy_(probabilities)
    return torch.where(scored, losses, 0.0).squeeze(1)


def _log_normaliser(logits: Tensor, probabilities: Tensor) -> Tensor:
    # The largest probability is at least 1 / vocab_size, so that its logarithm is exact where the target's underflows.
    return logits.amax(dim=1).float() - probabilities.amax(dim=1).log()


def softmax_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Give the nats alone; shapes as in `softmax_errors`."""
    column = targets.clamp(min=0).unsqueeze(1)
    losses = logits.float().logsumexp(dim=1) - logits.gather(1, column).squeeze(1).float()
    return torch.where(targets != IGNORED, losses, 0.0)
