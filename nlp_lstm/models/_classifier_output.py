"""What stands on top of a classifier: logits of the labels, and what a wrong one costs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nlp_lstm.models._initialization import start_normal

_SMALLEST_GAP = 1e-4


class OrdinalOutput(nn.Module):
    """Log-probabilities of ratings in order, from one score and the thresholds between neighbouring ratings.

    McCullagh 1980, "Regression Models for Ordinal Data", section 2 (proportional odds), for K ratings 0 to K - 1:

        s = w · x        P(y <= k) = sigmoid(t_k - s)        t_0 < t_1 < ... < t_(K-2)

    The thresholds grow by softplus, so that they stay in order. What comes out sums to one after exp, and so may go
    wherever logits go.
    """

    def __init__(self, size: int, ratings: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size))
        start_normal(self.weight, size**-0.5)
        self.lowest = nn.Parameter(torch.tensor([1.0 - ratings / 2]))
        self.gaps = nn.Parameter(torch.full((ratings - 2,), 0.5413))  # softplus of it is 1

    def thresholds(self) -> Tensor:
        """The thresholds, (ratings - 1,), from the lowest to the highest."""
        return torch.cat([self.lowest, F.softplus(self.gaps) + _SMALLEST_GAP]).cumsum(0)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (batch, size) to log-probabilities (batch, ratings) in fp32."""
        score = (features @ self.weight.to(features.dtype)).float().unsqueeze(1)
        thresholds = self.thresholds()
        below, above = F.logsigmoid(thresholds - score), F.logsigmoid(score - thresholds)  # ln P(y <= k), ln P(y > k)
        # ln(sigmoid(b) - sigmoid(a)) = ln sigmoid(b) + ln sigmoid(-a) + ln(1 - exp(a - b)), without cancellation.
        between = below[:, 1:] + above[:, :-1] + torch.log(-torch.expm1(thresholds[:-1] - thresholds[1:]))
        return torch.cat([below[:, :1], between, above[:, -1:]], dim=1)


def label_losses(logits: Tensor, targets: Tensor, weights: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
    """Nats that each text costs, (batch,) in fp32.

    logits (batch, labels); targets are the labels' columns (batch,) int64, or (batch, labels) of 0 and 1 where a text
    may have several labels, whose costs are summed. `weights` (labels,) multiplies what a label costs. Where a text has
    one label, `smoothing` is the share of the probability to learn that is spread evenly over all (Szegedy et al. 2016,
    "Rethinking the Inception Architecture for Computer Vision", section 7).
    """
    logits = logits.float()
    if targets.dim() == 1:
        nats = F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
        return nats if weights is None else nats * weights[targets]
    return F.binary_cross_entropy_with_logits(logits, targets.float(), pos_weight=weights, reduction="none").sum(dim=1)


def probabilities(logits: Tensor, several: bool, temperature: float = 1.0) -> Tensor:
    """Turn logits (..., labels) into probabilities: of one label each, or, with `several`, of each label by itself.

    Dividing by the `temperature` first makes them mean what they say (Guo et al. 2017, section 4.2).
    """
    heated = logits.float() / temperature
    return heated.sigmoid() if several else heated.softmax(dim=-1)
