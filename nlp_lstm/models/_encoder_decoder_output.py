"""What a decoder's features become: a smoothed loss, or a mixture of writing and copying."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from nlp_lstm.models._encoder_decoder_decoder import Decoded
from nlp_lstm.models._output import FullOutput
from nlp_lstm.models._softmax import IGNORED

_TINY = 1e-30
"""Keeps the logarithm of a probability finite where neither writing nor copying gives the token any."""


def smoothed_loss(output: FullOutput, features: Tensor, targets: Tensor, smoothing: float, scale: float) -> Tensor:
    """Cross entropy with label smoothing (Szegedy et al. 2016, section 7), summed, times `scale`.

    (1 - e) (Z - z_y) + e (Z - mean z), with logits z and their normaliser Z, is the plain cross entropy Z - z_y plus
    e (z_y - mean z). The second part is linear in the features: it needs the target's row of the weights and the mean
    row, and no logits. features (tokens, size), targets (tokens,) int64, all scored.
    """
    loss = output.loss(features, targets, scale)
    if not smoothing:
        return loss
    features = features.float()
    rows = F.embedding(targets, output.weight)
    wanted = (features * rows).sum() + output.bias[targets].sum()
    average = (features.sum(dim=0) * output.weight.mean(dim=0)).sum() + len(targets) * output.bias.mean()
    return loss + scale * smoothing * (wanted - average)


class CopyGate(nn.Module):
    """The pointer of See et al. 2017: p_gen = sigmoid(w [context; state; input] + b) (equation 8).

    P(w) = p_gen P_vocab(w) + (1 - p_gen) * (attention on the positions of the source that hold w) (equation 9). Source
    and target share their ids; a source word without one is copied as <unk>.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.gate = nn.Linear(size, 1)

    def log_probabilities(self, decoded: Decoded, logits: Tensor, source: Tensor) -> Tensor:
        """Mix logits (batch, time, vocab) with the attention over source ids (batch, positions): log P."""
        p_gen = self.gate(decoded.source).float().sigmoid()
        written = p_gen * logits.float().softmax(dim=-1)
        ids = source.unsqueeze(1).expand(decoded.weights.shape)
        mixed: Tensor = written.scatter_add(-1, ids, (1 - p_gen) * decoded.weights.float())
        return mixed.clamp(min=_TINY).log()

    def nats(self, decoded: Decoded, output: FullOutput, source: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Give -log P of the scored targets, and -log P_vocab averaged over the vocabulary; both (tokens,).

        targets (batch, time) are -100 where nothing is scored.
        """
        scored = targets != IGNORED
        wanted = targets[scored].unsqueeze(-1)
        log_vocab = output.logits(decoded.features[scored]).float().log_softmax(dim=-1)
        p_gen = self.gate(decoded.source[scored]).float().sigmoid().squeeze(-1)
        here = source.unsqueeze(1) == targets.unsqueeze(-1)  # (batch, time, positions)
        pointed = (decoded.weights.float() * here).sum(dim=-1)[scored]
        written = log_vocab.gather(-1, wanted).squeeze(-1).exp()
        nats = -(p_gen * written + (1 - p_gen) * pointed).clamp(min=_TINY).log()
        return nats, -log_vocab.mean(dim=-1)
