"""Normalisation of rows, in the form that suits what runs it."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from nlp_lstm.cells.engine._recorded import traced_whole


def normalised(x: Tensor, epsilon: float) -> Tensor:
    """Shift and scale each row of x (batch, size) to mean 0 and variance 1, `epsilon` added to what it is divided by.

    Written out, it is arithmetic that a compiler can put together with what stands around it; where each operation is
    a call, it is one of torch's.
    """
    if traced_whole():
        return F.layer_norm(x, x.shape[-1:], eps=epsilon)
    centred = x - x.mean(dim=-1, keepdim=True)
    return centred * ((centred * centred).mean(dim=-1, keepdim=True) + epsilon).rsqrt()
