"""What stands between the layers of a stack: connections past a layer, and dropout."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

HIGHWAY_BIAS = -1.0
"""Start of a highway gate's bias: most of the input passes by at first (Srivastava et al. 2015, section 2.2)."""


def connect(x: Tensor, output: Tensor, connection: str, highway: tuple[Tensor, Tensor] | None) -> Tensor:
    """Join a layer's input and output, (time, batch, size) both; the output alone where their sizes differ.

    "residual" adds the input (Wu et al. 2016, section 3.1). "highway" mixes them by a gate t = sigmoid(W x + b), as t *
    output + (1 - t) * x (Srivastava, Greff and Schmidhuber 2015, "Highway Networks", equation 3).
    """
    if connection == "none" or x.shape[-1] != output.shape[-1]:
        return output
    if highway is None:
        return x + output
    gate = F.linear(x, *highway).sigmoid()
    return gate * output + (1 - gate) * x


def drop(x: Tensor, probability: float, variational: bool) -> Tensor:
    """Drop features of x (time, batch, size) in training, by one mask for all steps where `variational`.

    (Zaremba et al. 2014; Gal and Ghahramani 2016, section 4.)
    """
    if not variational:
        return F.dropout(x, probability)
    return x * F.dropout(torch.ones_like(x[:1]), probability)
