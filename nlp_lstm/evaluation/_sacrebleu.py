"""sacrebleu's metrics as sufficient statistics: a row a sentence, whose sums give the score of any set of sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy
from numpy.typing import NDArray

from nlp_lstm.errors import DataError, UsageError
from nlp_lstm.evaluation._bootstrap import percentile_interval, resampled_sums
from nlp_lstm.evaluation._score import Score

METRICS = ("bleu", "chrf", "ter")


@dataclass(frozen=True)
class CorpusStatistics:
    """What one metric counts in the outputs of one system.

    Attributes:
        name: "bleu", "chrf" or "ter".
        statistics: float64 (sentences, k): for BLEU lengths and n-gram counts, for chrF counts of each order, for
            TER edits and reference length.
    """

    name: str
    statistics: NDArray[numpy.float64]
    _metric: Any = field(repr=False)

    def value(self, sums: NDArray[numpy.float64]) -> float:
        """Return the score, 0 to 100 (TER may be larger), for sums (k,) of the rows of any sentences."""
        return float(self._metric._compute_score_from_stats(sums.tolist()).score)

    @property
    def total(self) -> float:
        """The score of all sentences, equal to sacrebleu's `corpus_score`."""
        return self.value(self.statistics.sum(axis=0))

    def sentence_values(self) -> NDArray[numpy.float64]:
        """Return the score of each sentence, float64 (sentences,)."""
        return numpy.array([self.value(row) for row in self.statistics])

    def signature(self, **parts: object) -> str:
        """Return sacrebleu's signature after the metric's name; `parts` are what it does not know, such as `bs`."""
        signed = self._metric.get_signature()
        for key, value in parts.items():
            signed.update(key, value)
        return f"{self._metric._compute_score_from_stats(self.statistics.sum(axis=0).tolist()).name}|{signed}"

    def score(self, *, resamples: int, seed: int) -> Score:
        """Return the corpus score with its percentile interval from resampled sentences; none for one sentence."""
        n = len(self.statistics)
        if n < 2:
            return Score(self.name, self.total, "", n, None, self.signature())
        sums = resampled_sums(self.statistics, resamples=resamples, seed=seed)
        interval = percentile_interval(numpy.array([self.value(row) for row in sums]))
        return Score(self.name, self.total, "", n, interval, self.signature(bs=resamples, seed=seed))


def corpus_statistics(name: str, hypotheses: Sequence[str], references: Sequence[str]) -> CorpusStatistics:
    """Count what the metric `name` needs in each sentence, with sacrebleu's defaults (BLEU: cased, 13a)."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

    metric = {"bleu": BLEU, "chrf": CHRF, "ter": TER}[name]()
    # The rows that corpus_score itself adds up; it has no public name, and a test holds it to the public scores.
    rows = metric._extract_corpus_statistics(list(hypotheses), [list(references)])
    return CorpusStatistics(name, numpy.array(rows, dtype=numpy.float64), metric)


def check_pairs(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    """Raise where hypotheses and references are not two lists of as many sentences.

    Raises:
        UsageError: a string stands where a list of sentences should.
        DataError: there is no sentence, or not as many of one as of the other.
    """
    if isinstance(hypotheses, str) or isinstance(references, str):
        raise UsageError("Hypotheses and references are lists of sentences, not one string. Give [text].")
    if len(hypotheses) != len(references):
        raise DataError(
            f"There are {len(hypotheses):,} hypotheses and {len(references):,} references; each line of one belongs to "
            "the same line of the other. Give as many of both, with empty lines kept."
        )
    if not len(references):
        raise DataError("There is no sentence to score. Give at least one hypothesis and its reference.")
