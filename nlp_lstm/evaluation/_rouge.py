"""ROUGE, the usual score of summaries, through the rouge-score library (the `rouge` extra)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy
from numpy.typing import NDArray

from nlp_lstm import __version__
from nlp_lstm.errors import UsageError
from nlp_lstm.evaluation._bootstrap import percentile_interval, resampled_sums
from nlp_lstm.evaluation._sacrebleu import check_pairs
from nlp_lstm.evaluation._score import Score, signature

_KINDS = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}
ROUGE_NAMES = tuple(_KINDS)


def require_rouge() -> None:
    """Raise UsageError, which says how to install it, where the library of ROUGE is missing."""
    try:
        import rouge_score.rouge_scorer  # noqa: F401
    except ImportError:
        raise UsageError("ROUGE needs rouge-score, which is not installed: pip install 'nlp-lstm[rouge]'") from None


def rouge_scores(
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    stemmer: bool = True,
    resamples: int = 1000,
    seed: int = 12345,
) -> tuple[Score, ...]:
    """Score summaries against one reference each by ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004), times 100.

    Returns `rouge_1`, `rouge_2` and `rouge_l`: each is the mean F1 over summaries, with the percentile interval of
    resampled summaries. `stemmer` cuts English word ends first (Porter), as published scores do; the words are runs of
    a-z and 0-9, so only scripts with those letters are scored.

    Raises:
        DataError: there is no summary, or not as many hypotheses as references.
        UsageError: rouge-score is not installed, a string stands where a list should, or `resamples` is below 1.
    """
    if resamples < 1:
        raise UsageError(f"resamples is {resamples}; it must be 1 or more.")
    values = rouge_values(hypotheses, references, stemmer=stemmer)
    n = len(values)
    signed = rouge_signature(stemmer=stemmer, ci="bootstrap", resamples=resamples, seed=seed)
    means = resampled_sums(values, resamples=resamples, seed=seed) / n
    return tuple(
        Score(name, float(values[:, k].mean()), "", n, percentile_interval(means[:, k]) if n > 1 else None, signed)
        for k, name in enumerate(ROUGE_NAMES)
    )


def rouge_values(
    hypotheses: Sequence[str], references: Sequence[str], *, stemmer: bool = True
) -> NDArray[numpy.float64]:
    """Return what each summary reaches, float64 (summaries, 3), in the order of `ROUGE_NAMES`; see `rouge_scores`."""
    check_pairs(hypotheses, references)
    require_rouge()
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(_KINDS.values()), use_stemmer=stemmer)
    found = [scorer.score(reference, given) for given, reference in zip(hypotheses, references, strict=True)]
    return 100 * numpy.array([[each[kind].fmeasure for kind in _KINDS.values()] for each in found])


def rouge_signature(*, stemmer: bool = True, **parts: object) -> str:
    """Return the signature of ROUGE after its name; `parts` say how intervals and tests were made."""
    scored = {"stemmer": "porter" if stemmer else "none", "measure": "f1"}
    return f"ROUGE|{signature({**scored, **parts, 'version': __version__})}"
