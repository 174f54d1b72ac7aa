"""Dropout for recurrent models: one mask for all time steps, and whole words at a time."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nlp_lstm.models._tied import TiedGradient, lookup


class LockedDropout(nn.Module):
    """Variational dropout: one mask a sequence, the same for every time step (Gal and Ghahramani 2016, section 4).

    Takes and gives (batch, time, features); off in evaluation.
    """

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """Drop features of x (batch, time, features), the kept ones scaled by 1 / (1 - dropout)."""
        if not self.training or self.dropout == 0:
            return x
        keep = 1 - self.dropout
        mask = torch.empty(x.shape[0], 1, x.shape[2], device=x.device, dtype=x.dtype).bernoulli_(keep).div_(keep)
        return x * mask


def embed(ids: Tensor, weight: Tensor, dropout: float, training: bool, tied: TiedGradient | None = None) -> Tensor:
    """Look up embeddings, with whole rows of the table dropped in training.

    ids (batch, time) -> (batch, time, embedding_size). A dropped word is zero wherever it stands in the batch, the
    kept ones are scaled (Merity et al. 2018, "Regularizing and Optimizing LSTM Language Models", section 4.2).
    `tied` holds the output's part of the table's gradient, where the output uses the same table.
    """
    embedded = F.embedding(ids, weight) if tied is None else lookup(ids, weight, tied)
    if not training or dropout == 0:
        return embedded
    keep = 1 - dropout
    mask = torch.empty(weight.shape[0], 1, device=weight.device, dtype=weight.dtype).bernoulli_(keep).div_(keep)
    return embedded * F.embedding(ids, mask)
