"""The best finished hypotheses of each sentence so far."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nlp_lstm.decoding._rules import Rules
from nlp_lstm.decoding._trace import Hypothesis, Trace


class Finished:
    """Up to `n_best` hypotheses a sentence, best first; of equal scores the one that was finished first.

    Attributes:
        scores: fp32 (batch, n_best), minus infinity where there is none yet.
    """

    def __init__(self, batch: int, n_best: int, device: torch.device) -> None:
        self.scores = torch.full((batch, n_best), -math.inf, device=device)
        self._totals = self.scores.clone()
        # Where each one ends: the number of its tokens, and the row of the step before.
        self._lengths = torch.zeros((batch, n_best), dtype=torch.int64, device=device)
        self._rows = self._lengths.clone()
        self._cut = torch.zeros_like(self._lengths, dtype=torch.bool)

    def add(self, scores: Tensor, totals: Tensor, length: int, rows: Tensor, cut: Tensor) -> None:
        """Offer hypotheses, (batch, candidates) each, that end after `length` tokens; score minus infinity for none."""
        n_best = self.scores.shape[1]
        ranked, order = torch.cat((self.scores, scores), dim=1).sort(dim=1, descending=True, stable=True)
        self.scores, order = ranked[:, :n_best], order[:, :n_best]
        self._totals = torch.cat((self._totals, totals), dim=1).gather(1, order)
        self._lengths = torch.cat((self._lengths, torch.full_like(rows, length)), dim=1).gather(1, order)
        self._rows = torch.cat((self._rows, rows), dim=1).gather(1, order)
        self._cut = torch.cat((self._cut, cut), dim=1).gather(1, order)

    def put(self, places: Tensor, scores: Tensor, totals: Tensor, length: int, rows: Tensor, cut: Tensor) -> None:
        """Set the hypotheses of `places`, int64 (n,), which count through batch and list; the others are (n,) too."""
        self.scores.view(-1)[places] = scores
        self._totals.view(-1)[places] = totals
        self._lengths.view(-1)[places] = length
        self._rows.view(-1)[places] = rows
        self._cut.view(-1)[places] = cut

    def read(self, trace: Trace, rules: Rules) -> list[list[Hypothesis]]:
        """Return the hypotheses of each sentence."""
        batch, n_best = self.scores.shape
        scores, totals, lengths, rows, cut = (
            one.flatten().tolist() for one in (self.scores, self._totals, self._lengths, self._rows, self._cut)
        )
        places = [place for place, score in enumerate(scores) if score > -math.inf]
        sources = None if rules.source_lengths is None else rules.source_lengths.tolist()
        widths = None if sources is None else [sources[place // n_best] for place in places]
        read = trace.read([(lengths[place], rows[place]) for place in places], widths)
        result: list[list[Hypothesis]] = [[] for _ in range(batch)]
        for place, (ids, attention) in zip(places, read, strict=True):
            result[place // n_best].append(Hypothesis(ids, scores[place], totals[place], attention, cut[place]))
        return result
