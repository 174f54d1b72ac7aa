"""Two systems that wrote a text for each source: how much their translations or summaries differ, and by chance?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy
from numpy.typing import NDArray

from nlp_lstm.evaluation._comparison import Comparison, Difference
from nlp_lstm.evaluation._rouge import ROUGE_NAMES, rouge_signature, rouge_values
from nlp_lstm.evaluation._sacrebleu import METRICS, check_pairs, corpus_statistics
from nlp_lstm.evaluation._significance import Value, approximate_randomization, paired_bootstrap


def compare_translations(
    hypotheses_a: Sequence[str],
    hypotheses_b: Sequence[str],
    references: Sequence[str],
    *,
    ter: bool = True,
    resamples: int = 1000,
    trials: int = 10_000,
    seed: int = 12345,
) -> Comparison:
    """Compare two translations of the same sentences by BLEU, chrF and TER, of which lower is better.

    The p-values are those of `paired_bootstrap`, which gives the interval too, and of `approximate_randomization`.
    `ter=False` leaves out TER, which takes long for texts of many words. Raises as `translation_scores` does.
    """
    check_pairs(hypotheses_a, references)
    check_pairs(hypotheses_b, references)
    differences, signatures = [], []
    for name in METRICS:
        if name == "ter" and not ter:
            continue
        a, b = (
            corpus_statistics(name, [text.rstrip() for text in hypotheses], [text.rstrip() for text in references])
            for hypotheses in (hypotheses_a, hypotheses_b)
        )
        differences.append(_difference(name, a.statistics, b.statistics, a.value, resamples, trials, seed))
        signatures.append(a.signature(bs=resamples, ar=trials, seed=seed))
    return Comparison("translation", len(references), tuple(differences), "; ".join(signatures))


def compare_summaries(
    hypotheses_a: Sequence[str],
    hypotheses_b: Sequence[str],
    references: Sequence[str],
    *,
    resamples: int = 1000,
    trials: int = 10_000,
    seed: int = 12345,
) -> Comparison:
    """Compare two sets of summaries of the same texts by ROUGE (see `rouge_scores`), BLEU and chrF.

    The tests are those of `compare_translations`. Raises as `rouge_scores` does.
    """
    a, b = (rouge_values(hypotheses, references) for hypotheses in (hypotheses_a, hypotheses_b))
    n = len(references)
    differences = [
        _difference(name, a[:, [k]], b[:, [k]], lambda sums: float(sums[0]) / n, resamples, trials, seed)
        for k, name in enumerate(ROUGE_NAMES)
    ]
    others = compare_translations(
        hypotheses_a, hypotheses_b, references, ter=False, resamples=resamples, trials=trials, seed=seed
    )
    signed = rouge_signature(bs=resamples, ar=trials, seed=seed)
    return Comparison("summarization", n, (*differences, *others.differences), f"{signed}; {others.signature}")


def _difference(
    name: str,
    a: NDArray[numpy.float64],
    b: NDArray[numpy.float64],
    value: Value,
    resamples: int,
    trials: int,
    seed: int,
) -> Difference:
    """Test one score, the `value` of sums of rows of the statistics `a` and `b` (sentences, k)."""
    found = paired_bootstrap(a, b, value, resamples=resamples, seed=seed)
    swapped = approximate_randomization(a, b, value, trials=trials, seed=seed)
    p_values = {"paired_bootstrap": found.p_value, "approximate_randomization": swapped}
    totals = value(a.sum(axis=0)), value(b.sum(axis=0))
    return Difference(name, "", *totals, found.difference, found.confidence_interval, p_values)
