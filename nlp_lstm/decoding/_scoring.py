"""The score of a finished hypothesis: length normalisation and coverage penalty."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from nlp_lstm.decoding._beam_options import BeamOptions
from nlp_lstm.errors import NlpLstmError, ShapeError

# The logarithm of no attention at all is taken from this, so that such hypotheses can still be ranked.
_LEAST_ATTENTION = 1e-10
# Values of a row whose largest is looked for at once; and so many groups for each value that is wanted, at least.
_GROUP, _WORTH_GROUPING = 64, 4

Number = TypeVar("Number", float, Tensor)


def length_normalizer(tokens: Number, options: BeamOptions) -> Number:
    """Return what a log-probability is divided by for so many tokens, the end of sentence among them.

    ((5 + tokens) / 6) ** length_penalty (Wu et al. 2016, equation 14).
    """
    normalizer: Number = ((5 + tokens) / 6) ** options.length_penalty
    return normalizer


class Coverage:
    """The attention that each source token has received so far, summed over the tokens of each row."""

    def __init__(self, penalty: float, source_lengths: Tensor | None) -> None:
        self._penalty, self._source_lengths = penalty, source_lengths
        self._received: Tensor | None = None

    def add(self, attention: Tensor | None) -> None:
        """Add the attention of a step, (rows, source length)."""
        if attention is None:
            raise ShapeError("The coverage penalty needs a model with attention; set --coverage-penalty 0.")
        self._received = attention.float() if self._received is None else self._received + attention

    def select(self, rows: Tensor) -> None:
        """Go on with these rows."""
        if self._received is not None:
            self._received = self._received[rows]

    def scores(self, sentence: Tensor) -> Tensor:
        """Return each row's penalty, (rows,), at most 0 (Wu et al. 2016, equation 14)."""
        assert self._received is not None
        logarithms = self._received.clamp(_LEAST_ATTENTION, 1.0).log()
        if self._source_lengths is not None:
            places = torch.arange(logarithms.shape[1], device=logarithms.device)
            logarithms = logarithms.masked_fill(places >= self._source_lengths[sentence, None], 0.0)
        return self._penalty * logarithms.sum(dim=1)


def likeliest(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the `count` largest values of each row of (rows, vocab), and their places, both (rows, count), in order.

    `topk` copies and orders all of a row on a processor. Here a row is read once, for the largest value of each group,
    and only the groups with the largest of these are ordered: what is not in them has `count` values above it.
    """
    groups = scores.shape[1] // _GROUP
    if scores.device.type != "cpu" or groups < _WORTH_GROUPING * count:
        few = scores.topk(min(count, scores.shape[1]), dim=1)
        return few.values, few.indices
    end = groups * _GROUP
    grouped = scores[:, :end].unflatten(1, (groups, _GROUP))
    best = grouped.amax(dim=2).topk(count, dim=1).indices[:, :, None]  # (rows, count, 1)
    values = grouped.gather(1, best.expand(-1, -1, _GROUP)).flatten(1)
    places = (best * _GROUP + torch.arange(_GROUP)).flatten(1)
    rest = torch.arange(end, scores.shape[1]).expand(len(scores), -1)  # what fills no group
    found, order = torch.cat((values, scores[:, end:]), dim=1).topk(count, dim=1)
    return found, torch.cat((places, rest), dim=1).gather(1, order)


def require_numbers(totals: Tensor, length: int) -> None:
    """Raise NlpLstmError where log-probabilities are NaN, which no search can rank."""
    if totals.isnan().any():
        raise NlpLstmError(
            f"The model's logits for token {length + 1} are not numbers, so no sentence can be chosen. "
            "Its weights are damaged or too large; take another checkpoint."
        )
