"""How well words are translated by how often they stood in the training text."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_FREQUENCIES = (0, 1, 2, 5, 10, 100, 1000)  # at which a bucket begins


@dataclass(frozen=True)
class FrequencyBucket:
    """The words that the training text has `low` to `high` times (None: no end).

    `words` counts them in the references, `recall` is the share of those that stand in their hypothesis, `f1` takes
    in the words of the bucket that hypotheses have too many.
    """

    low: int
    high: int | None
    words: int
    recall: float
    f1: float


def words_by_frequency(
    hypotheses: Sequence[str], references: Sequence[str], training_text: Iterable[str]
) -> tuple[FrequencyBucket, ...]:
    """Match the words of each sentence, as BLEU's 13a splits them, and sum them up by training frequency.

    A word of a hypothesis matches at most as often as its reference has it. The break-down is that of compare-mt
    (Neubig et al. 2019). Buckets without a word in the references are left out.
    """
    from sacrebleu.metrics.bleu import BLEU

    split = BLEU().tokenizer
    frequency: Counter[str] = Counter()
    for sentence in training_text:
        frequency.update(split(sentence.rstrip()).split())
    wanted, given, matched = ([0] * len(_FREQUENCIES) for _ in range(3))
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        in_hypothesis, in_reference = Counter(split(hypothesis).split()), Counter(split(reference).split())
        for counts, words in ((wanted, in_reference), (given, in_hypothesis), (matched, in_reference & in_hypothesis)):
            for word, count in words.items():
                counts[bisect.bisect_right(_FREQUENCIES, frequency[word]) - 1] += count
    highs = (*(low - 1 for low in _FREQUENCIES[1:]), None)
    return tuple(
        FrequencyBucket(low, high, want, match / want, 2 * match / (want + give))
        for low, high, want, give, match in zip(_FREQUENCIES, highs, wanted, given, matched, strict=True)
        if want
    )
