"""ROUGE, the usual score of summaries, through the rouge-score library (the `rouge` extra)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from nlp_lstm import __version__
from nlp_lstm.errors import UsageError
from nlp_lstm.evaluation._bootstrap import percentile_interval, resampled_sums
from nlp_lstm.evaluation._sacrebleu import check_pairs
from nlp_lstm.evaluation._score import Score, signature
from nlp_lstm.evaluation._table import scores_to_json

_KINDS = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}


@dataclass(frozen=True)
class SummaryScores:
    """What `rouge_scores` found: `rouge_1`, `rouge_2` and `rouge_l` (F1, 0 to 100) of `n` summaries."""

    scores: tuple[Score, ...]
    n: int
    signature: str

    def to_json(self) -> dict[str, object]:
        """Return one flat object for strict JSON."""
        return scores_to_json("summarization", self.n, self.scores, self.signature)

    def text(self) -> str:
        """Return the lines for a terminal: a score each, and the signature once."""
        return "\n".join([*(score.brief() for score in self.scores), f"signature {self.signature}"])


def rouge_scores(
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    stemmer: bool = True,
    resamples: int = 1000,
    seed: int = 12345,
) -> SummaryScores:
    """Score summaries against one reference each by ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004), times 100.

    Each is the mean F1 over summaries, with the percentile interval of resampled summaries. `stemmer` cuts English
    word ends first (Porter), as published scores do; the words are runs of a-z and 0-9, so only scripts with those
    letters are scored.

    Raises:
        DataError: there is no summary, or not as many hypotheses as references.
        UsageError: rouge-score is not installed, a string stands where a list should, or `resamples` is below 1.
    """
    check_pairs(hypotheses, references)
    if resamples < 1:
        raise UsageError(f"resamples is {resamples}; it must be 1 or more.")
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        raise UsageError("ROUGE needs rouge-score, which is not installed: pip install 'nlp-lstm[rouge]'") from None

    scorer = RougeScorer(list(_KINDS.values()), use_stemmer=stemmer)
    found = [scorer.score(reference, given) for given, reference in zip(hypotheses, references, strict=True)]
    values = 100 * numpy.array([[each[kind].fmeasure for kind in _KINDS.values()] for each in found])
    n = len(values)
    parts = {"stemmer": "porter" if stemmer else "none", "measure": "f1", "ci": "bootstrap", "resamples": resamples}
    signed = signature({"task": "summarization", **parts, "seed": seed, "version": __version__})
    means = resampled_sums(values, resamples=resamples, seed=seed) / n
    scores = [
        Score(name, float(values[:, k].mean()), "", n, percentile_interval(means[:, k]) if n > 1 else None, signed)
        for k, name in enumerate(_KINDS)
    ]
    return SummaryScores(tuple(scores), n, signed)
