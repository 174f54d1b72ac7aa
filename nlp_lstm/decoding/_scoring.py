"""The score of a finished hypothesis: length normalisation and coverage penalty."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from nlp_lstm.decoding._beam_options import BeamOptions
from nlp_lstm.errors import NlpLstmError, ShapeError

# The logarithm of no attention at all is taken from this, so that such hypotheses can still be ranked.
_LEAST_ATTENTION = 1e-10

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


def require_numbers(totals: Tensor, length: int) -> None:
    """Raise NlpLstmError where log-probabilities are NaN, which no search can rank."""
    if totals.isnan().any():
        raise NlpLstmError(
            f"The model's logits for token {length + 1} are not numbers, so no sentence can be chosen. "
            "Its weights are damaged or too large; take another checkpoint."
        )
