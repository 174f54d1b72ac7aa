"""From the features of every step of a sequence to one vector for all of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nlp_lstm.models._initialization import start_normal


def inside(lengths: Tensor, time: int) -> Tensor:
    """Tell which steps belong to their sequence: lengths (batch,) -> (batch, time) bool."""
    return torch.arange(time, device=lengths.device) < lengths.unsqueeze(1)


class AttentionPooling(nn.Module):
    """A mean of the steps, weighted by how much each looks like a learned query.

    Yang et al. 2016, "Hierarchical Attention Networks for Document Classification", equations 8 to 10, with the steps'
    features h_t, of which there are `size`, and a query u of as many:

        u_t = tanh(W h_t + b)        a_t = softmax_t(u_t · u)        s = Σ_t a_t h_t
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.projection = nn.Linear(size, size)
        self.query = nn.Parameter(torch.empty(size))
        start_normal(self.query, size**-0.5)

    def weights(self, features: Tensor, mask: Tensor) -> Tensor:
        """How much each step counts, (batch, time); zero where `mask` (batch, time) is False."""
        scores = torch.tanh(self.projection(features)) @ self.query
        wide = scores.to(torch.promote_types(scores.dtype, torch.float32))
        return torch.softmax(wide.masked_fill(~mask, float("-inf")), dim=1)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Pool features (batch, time, size) to (batch, size)."""
        return (self.weights(features, mask).to(features.dtype).unsqueeze(1) @ features).squeeze(1)


class Pooling(nn.Module):
    """One or several ways to make one vector of a sequence, side by side; see `ClassifierOptions.pooling`.

    "last" takes the features of the last step and, in the half that a backward layer made, of the first.
    What stands behind a sequence's end changes nothing.
    """

    def __init__(self, names: Sequence[str], size: int, bidirectional: bool) -> None:
        super().__init__()
        self.names, self.bidirectional = tuple(names), bidirectional
        self.output_size = size * len(self.names)
        self.attention = AttentionPooling(size) if "attention" in names else None

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Pool features (batch, time, size) of sequences with these lengths (batch,), to (batch, size * poolings)."""
        mask = inside(lengths, features.shape[1])
        return torch.cat([self._pool(name, features, lengths, mask) for name in self.names], dim=1)

    def _pool(self, name: str, features: Tensor, lengths: Tensor, mask: Tensor) -> Tensor:
        if name == "attention":
            assert self.attention is not None
            pooled: Tensor = self.attention(features, mask)
            return pooled
        if name == "maximum":
            return features.masked_fill(~mask.unsqueeze(2), float("-inf")).amax(dim=1)
        if name == "mean":
            return features.masked_fill(~mask.unsqueeze(2), 0.0).sum(dim=1) / lengths.unsqueeze(1).to(features.dtype)
        last = features[torch.arange(len(features), device=features.device), lengths - 1]
        if not self.bidirectional:
            return last
        half = features.shape[2] // 2
        return torch.cat([last[:, :half], features[:, 0, half:]], dim=1)
