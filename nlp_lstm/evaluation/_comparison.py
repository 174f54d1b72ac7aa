"""Two systems on the same data: what each scores, by how much they differ, and whether by more than chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy
from numpy.typing import ArrayLike

from nlp_lstm import __version__
from nlp_lstm.errors import DataError, UsageError
from nlp_lstm.evaluation._bootstrap import block_bootstrap_means, default_block_length, percentile_interval
from nlp_lstm.evaluation._score import interval_to_json, signature
from nlp_lstm.evaluation._significance import mcnemar, paired_bootstrap, shifted_p_value

_FEWEST_SPANS = 30  # with fewer, resamples say more about the resampling than about the models


@dataclass(frozen=True)
class Difference:
    """One score of two systems, A and B.

    `difference` is B less A, with its 95 % interval; `p_values` are by the name of the test, two-sided.
    """

    name: str
    unit: str
    a: float
    b: float
    difference: float
    confidence_interval: tuple[float, float]
    p_values: dict[str, float]

    def brief(self) -> str:
        """Return the line for a terminal: `bleu A 30.10, B 31.20, B - A +1.10 (95 % CI +0.20 to +2.00) p ...`."""
        digits = 2 if max(abs(self.a), abs(self.b)) >= 10 else 4
        low, high = self.confidence_interval
        tests = ", ".join(f"p {value:.4f} ({name.replace('_', ' ')})" for name, value in self.p_values.items())
        unit = f" {self.unit}" if self.unit else ""
        return (
            f"{self.name} A {self.a:.{digits}f}, B {self.b:.{digits}f}{unit}; B - A {self.difference:+.{digits}f} "
            f"(95 % CI {low:+.{digits}f} to {high:+.{digits}f}); {tests}"
        )


@dataclass(frozen=True)
class Comparison:
    """What is found of two systems on the same `n` items of a task."""

    task: str
    n: int
    differences: tuple[Difference, ...]
    signature: str

    def to_json(self) -> dict[str, object]:
        """Return one object for strict JSON, with an object for each score."""
        found: dict[str, object] = {"task": self.task, "n": self.n}
        for each in self.differences:
            found[each.name] = {
                "a": each.a,
                "b": each.b,
                "difference": each.difference,
                "confidence_interval": interval_to_json(each.confidence_interval),
                "p_values": each.p_values,
            }
        return found | {"signature": self.signature}

    def text(self) -> str:
        """Return the lines for a terminal: a score each, and the signature once."""
        return "\n".join([*(each.brief() for each in self.differences), f"signature {self.signature}"])


def compare_classifications(
    correct_a: ArrayLike, correct_b: ArrayLike, *, resamples: int = 1000, seed: int = 12345
) -> Comparison:
    """Compare two classifiers by which of the same items (n,) each has right.

    The p-value is that of McNemar's exact test, the interval of the difference in accuracy that of
    `paired_bootstrap`. Raises UsageError where the two differ in shape, DataError where there is no item.
    """
    a, b = numpy.asarray(correct_a, dtype=bool), numpy.asarray(correct_b, dtype=bool)
    tested = mcnemar(a, b)
    n = len(a)
    found = paired_bootstrap(a[:, None], b[:, None], lambda sums: float(sums[0]) / n, resamples=resamples, seed=seed)
    accuracy = Difference(
        "accuracy",
        "of the items",
        float(a.mean()),
        float(b.mean()),
        found.difference,
        found.confidence_interval,
        {"mcnemar": tested.p_value},
    )
    parts = {
        "task": "classification",
        "test": "mcnemar-exact",
        "only_a": tested.only_a,
        "only_b": tested.only_b,
        "ci": "paired-bootstrap",
        "resamples": resamples,
        "seed": seed,
        "version": __version__,
    }
    return Comparison("classification", n, (accuracy,), signature(parts))


def compare_language_models(
    losses_a: ArrayLike,
    losses_b: ArrayLike,
    *,
    characters: int,
    span: str,
    resamples: int = 1000,
    seed: int = 12345,
) -> Comparison:
    """Compare two language models by what each paid, in nats, for the same spans of a text in order, (spans,).

    `characters` counts the whole text and `span` names what the spans are: "token" where both models have one
    tokenizer, else stretches of text that both cut at. The difference in bits per character has the percentile
    interval of a circular block bootstrap over the paired spans, and a p-value by the same draws moved to zero.

    Raises:
        UsageError: the two differ in shape, or `characters` or `resamples` is below 1.
        DataError: there are fewer than 30 spans, or a loss is not finite.
    """
    a, b = numpy.asarray(losses_a, dtype=numpy.float64), numpy.asarray(losses_b, dtype=numpy.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise UsageError(f"The losses have the shapes {a.shape} and {b.shape}; each must be a row of the same spans.")
    if characters < 1 or resamples < 1:
        raise UsageError(f"characters is {characters} and resamples {resamples}; both must be 1 or more.")
    if len(a) < _FEWEST_SPANS:
        raise DataError(
            f"The text has {len(a)} spans ({span}); at least {_FEWEST_SPANS} are needed to tell a difference from "
            "chance. Give more text with --data."
        )
    if not numpy.isfinite(a - b).all():
        raise DataError("A loss is not finite, so there is no difference to measure. Score each run with `evaluate`.")
    bits = len(a) / (math.log(2) * characters)  # for each nat of the mean over spans
    block = default_block_length(len(a))
    drawn = bits * block_bootstrap_means(b - a, block_length=block, resamples=resamples, seed=seed)
    difference = bits * float((b - a).mean())
    found = Difference(
        "bits_per_char",
        "bits",
        bits * float(a.mean()),
        bits * float(b.mean()),
        difference,
        percentile_interval(drawn),
        {"paired_block_bootstrap": shifted_p_value(drawn, difference)},
    )
    parts = {
        "task": "language_modeling",
        "span": span,
        "characters": characters,
        "ci": "paired-circular-block-bootstrap",
        "block": block,
        "resamples": resamples,
        "seed": seed,
        "version": __version__,
    }
    return Comparison("language_modeling", len(a), (found,), signature(parts))
