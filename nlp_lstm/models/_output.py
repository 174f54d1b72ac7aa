"""Output layers over a vocabulary: logits for a step, the loss for training, the nats of each token for scoring."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nlp_lstm.cells.engine import linear
from nlp_lstm.models._cross_entropy import IGNORED, cross_entropy, token_losses
from nlp_lstm.models._initialization import start_normal
from nlp_lstm.models._sampled import sampled_cross_entropy
from nlp_lstm.models._tied import TiedGradient


def _fast(x: Tensor) -> bool:
    return torch.is_autocast_enabled(x.device.type)


class FullOutput(nn.Module):
    """One weight row a token; the rows are the embedding's where `tied` is given."""

    def __init__(self, vocab_size: int, size: int, tied: nn.Parameter | None = None) -> None:
        super().__init__()
        if tied is None:
            self.weight = nn.Parameter(torch.empty(vocab_size, size))
            start_normal(self.weight, size**-0.5)
        else:
            self.weight = tied
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def logits(self, features: Tensor) -> Tensor:
        """Map features (..., size) to logits (..., vocab_size)."""
        return linear(features, self.weight, self.bias)

    def loss(self, features: Tensor, targets: Tensor, scale: float, tied: TiedGradient | None = None) -> Tensor:
        """Sum of nats times `scale`; features (tokens, size), targets (tokens,).

        With `tied` the gradient of the weight is left there, for the lookup that made the features.
        """
        return cross_entropy(features, self.weight, self.bias, targets, scale, _fast(features), tied)

    def token_losses(self, features: Tensor, targets: Tensor) -> Tensor:
        """Nats of each token, (tokens,)."""
        return token_losses(features, self.weight, self.bias, targets, _fast(features))


class SampledOutput(FullOutput):
    """A full output whose training loss is estimated from `samples` of its rare words; scores and logits are exact."""

    def __init__(self, vocab_size: int, size: int, tied: nn.Parameter | None, samples: int) -> None:
        super().__init__(vocab_size, size, tied)
        self.samples = samples

    def loss(self, features: Tensor, targets: Tensor, scale: float, tied: TiedGradient | None = None) -> Tensor:
        """Estimate of the sum of nats times `scale`; exact in evaluation. Shapes as in `FullOutput.loss`."""
        if not self.training:
            return super().loss(features, targets, scale, tied)
        return sampled_cross_entropy(features, self.weight, self.bias, targets, self.samples, scale, _fast(features))


class AdaptiveOutput(nn.Module):
    """Adaptive softmax (Grave et al. 2017): low ids must be frequent, as word and character tokenizers make them."""

    def __init__(self, vocab_size: int, size: int) -> None:
        super().__init__()
        cutoffs = [cut for cut in (2000, 10000) if cut < vocab_size - 1] or [max(1, vocab_size // 2)]
        self.softmax = nn.AdaptiveLogSoftmaxWithLoss(size, vocab_size, cutoffs, div_value=4.0)

    def logits(self, features: Tensor) -> Tensor:
        """Map features (..., size) to log-probabilities (..., vocab_size), which are logits that sum to one."""
        flat = self.softmax.log_prob(features.flatten(0, -2).float())
        return flat.view(*features.shape[:-1], -1)

    def loss(self, features: Tensor, targets: Tensor, scale: float) -> Tensor:
        """Sum of nats times `scale`; features (tokens, size), targets (tokens,)."""
        scored = targets != IGNORED
        nats: Tensor = -self.softmax(features[scored].float(), targets[scored]).output.sum()
        return nats * scale

    @torch.no_grad()
    def token_losses(self, features: Tensor, targets: Tensor) -> Tensor:
        """Nats of each token, (tokens,)."""
        scored = targets != IGNORED
        losses = torch.zeros(targets.shape, device=targets.device)
        if bool(scored.any()):
            losses[scored] = -self.softmax(features[scored].float(), targets[scored]).output.float()
        return losses
