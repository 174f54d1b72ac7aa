"""The scores of a classifier: how often it is right, on which labels, and whether its probabilities mean it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy
from numpy.typing import ArrayLike, NDArray

from nlp_lstm import __version__
from nlp_lstm.errors import UsageError
from nlp_lstm.evaluation._bootstrap import draw_counts, percentile_interval
from nlp_lstm.evaluation._calibration import (
    BINS,
    CalibrationBin,
    calibration_bins,
    calibration_error,
    chance_calibration_errors,
)
from nlp_lstm.evaluation._confusion import ClassScore, confusion_matrix
from nlp_lstm.evaluation._decisions import Decisions, Gold, LabelDecisions, checked_decisions
from nlp_lstm.evaluation._score import Score, signature
from nlp_lstm.evaluation._significance import wilson_interval
from nlp_lstm.evaluation._table import one_line, scores_to_json, text_table

_ERRORS = 10
_WIDEST_MATRIX = 30  # labels whose confusion matrix a terminal still shows
_UNITS = {"nll": "nats", "mean_absolute_error": "steps of the scale"}


@dataclass(frozen=True)
class ConfidentError:
    """A wrong prediction and its probability; `number` counts items from 1, `text` is None where none was given.

    For several labels at once `gold` and `predicted` are all labels of the item, with commas between, and the
    probability is that of the surest wrong yes or no.
    """

    number: int
    gold: str
    predicted: str
    probability: float
    text: str | None


@dataclass(frozen=True)
class ClassificationScores:
    """What `classification_scores` found.

    Attributes:
        scores: `accuracy` (for several labels at once `subset_accuracy` and `micro_f1`), `macro_precision`,
            `macro_recall`, `macro_f1`, `brier`, `nll`, for ordered labels `mean_absolute_error` and
            `quadratic_weighted_kappa`, `ece`, and `ece_by_chance`.
        majority: What the first score would be if all items got the most frequent gold label, or for several labels at
            once those that more than half of the items have.
        n: How many items were scored.
        labels: The labels in the order of the columns.
        by_label: Precision, recall, F1 and support of each.
        confusion: int64 (labels, labels): row i, column j counts the items of label i taken for label j; None for
            several labels at once.
        calibration: The bins of the reliability plot that are not empty.
        errors: The wrong predictions with the highest probability, the surest first.
        signature: What decides the numbers.
    """

    scores: tuple[Score, ...]
    majority: Score
    n: int
    labels: tuple[str, ...]
    by_label: tuple[ClassScore, ...]
    confusion: NDArray[numpy.int64] | None
    calibration: tuple[CalibrationBin, ...]
    errors: tuple[ConfidentError, ...]
    signature: str

    def to_json(self) -> dict[str, object]:
        """Return one object for strict JSON: flat scores, and the tables `by_label` and `confusion`."""
        return {
            **scores_to_json("classification", self.n, (*self.scores, self.majority), self.signature),
            "by_label": [asdict(each) for each in self.by_label],
            "confusion": None if self.confusion is None else self.confusion.tolist(),
        }

    def text(self) -> str:
        """Return the lines for a terminal: a score each, what they are to be compared with, and the signature once."""
        majority = replace(self.majority, name=self.scores[0].name).brief()
        lines = [*(score.brief() for score in self.scores), f"most frequent label here: {majority}"]
        return "\n".join([*lines, f"signature {self.signature}"])

    def details(self) -> str:
        """Return the table by label, the confusion matrix and the most confident errors, for a terminal."""
        rows = [(each.label, each.precision, each.recall, each.f1, each.support) for each in self.by_label]
        lines = text_table(("label", "precision", "recall", "f1", "support"), rows)
        if self.confusion is not None and len(self.labels) <= _WIDEST_MATRIX:
            lines += ["", "Confusion matrix (rows: gold, columns: predicted):"]
            table = zip(self.labels, self.confusion.tolist(), strict=True)
            lines += text_table(("", *self.labels), [(label, *counts) for label, counts in table])
        if self.errors:
            lines += ["", "Most confident errors:"]
            wrong = [(f"item {e.number:,}", e.gold, e.predicted, e.probability) for e in self.errors]
            first, *others = text_table(("", "gold", "predicted", "probability"), wrong)
            lines.append(first)
            for line, error in zip(others, self.errors, strict=True):
                lines += [line] if error.text is None else [line, f"    {one_line(error.text)}"]
        return "\n".join(lines)


def classification_scores(
    probabilities: ArrayLike,
    gold: Gold,
    labels: Sequence[str],
    *,
    multi: bool = False,
    ordered: bool = False,
    texts: Sequence[str] | None = None,
    signature_parts: Mapping[str, object] | None = None,
    resamples: int = 1000,
    seed: int = 12345,
) -> ClassificationScores:
    """Score a classifier by its probabilities (items, labels), whose columns are `labels`, against the gold labels.

    An item's gold is its label or a tuple of it; with `multi` a tuple of any number of labels, whose probabilities
    need not sum to 1 and which are predicted from 0.5 up. An array of gold holds columns, (items,), or with `multi` 0
    and 1, (items, labels). `ordered` says that `labels` are ratings from the lowest to the highest. Over items i with
    gold label y, predicted label ŷ (the most probable) and probabilities p:

        accuracy = mean [ŷ = y]       brier = mean Σ_k (p_k - [y = k])²       nll = mean -ln p_y
        ece = Σ_m |B_m| / n · |accuracy of B_m - mean confidence of B_m|      (Guo et al. 2017, eq. 3)
        mean_absolute_error = mean |ŷ - y| in steps of the scale      quadratic_weighted_kappa (Cohen 1968)

    B_m are 15 bins of equal width. Precision, recall and F1 of a label are 0 where they are undefined; macro ones are
    plain means over the labels that occur in gold or predictions. With `multi`, brier, nll and ece are over all
    yes-or-no decisions, and `subset_accuracy` asks for all labels of an item. The 95 % interval of the accuracy is
    Wilson's; the others are percentiles over resampled items, and ece, which resampling biases upwards, has none.
    `ece_by_chance` is what to compare it with: the mean it would have if every probability were exact, and the range
    of 95 % of such cases; with `multi`, whose decisions on one item hang together, the mean alone.
    `texts` are shown with the most confident errors; `signature_parts` say what else decides the numbers.

    Raises:
        DataError: there is no item, not as many gold labels as predictions, or a label that is not among `labels`.
        UsageError: what was given does not fit together: shapes, repeated labels, numbers that are no probabilities.
    """
    decisions = checked_decisions(probabilities, gold, labels, multi=multi, ordered=ordered)
    if resamples < 1:
        raise UsageError(f"resamples is {resamples}; it must be 1 or more.")
    n = len(decisions.gold)
    if texts is not None and len(texts) != n:
        raise UsageError(f"There are {len(texts):,} texts for {n:,} items; give one for each.")
    parts = {
        "task": "classification",
        "labels": f"{'ordered' if ordered else 'several' if multi else 'one'}-{len(labels)}",
        "ece": f"{BINS}-equal-width-bins",
        "ci": "wilson,bootstrap",
        "resamples": resamples,
        "seed": seed,
        "version": __version__,
    }
    return _all_scores(decisions, labels, texts, signature(parts | dict(signature_parts or {})), resamples, seed)


def _all_scores(
    decisions: Decisions, labels: Sequence[str], texts: Sequence[str] | None, signed: str, resamples: int, seed: int
) -> ClassificationScores:
    n = len(decisions.gold)
    bins = calibration_bins(*decisions.confidences())
    majority = _accuracy(f"majority_{decisions.accuracy_name}", decisions.majority_correct(), signed)
    scores = [
        _accuracy(decisions.accuracy_name, decisions.correct, signed),
        *_resampled_scores(decisions, n, signed, resamples, seed),
        Score("ece", calibration_error(bins), "", n, None, signed),
        _chance_error(decisions, signed, resamples, seed),
    ]
    confusion = None
    if isinstance(decisions, LabelDecisions):
        confusion = confusion_matrix(decisions.gold, decisions.predicted, len(labels))
    by_label, errors = _by_label(decisions, labels), _confident_errors(decisions, labels, texts)
    return ClassificationScores(tuple(scores), majority, n, tuple(labels), by_label, confusion, bins, errors, signed)


def correct_items(
    probabilities: ArrayLike, gold: Gold, labels: Sequence[str], *, multi: bool = False
) -> NDArray[numpy.bool_]:
    """Return whether each item, bool (items,), is predicted right; arguments and errors of `classification_scores`."""
    return checked_decisions(probabilities, gold, labels, multi=multi, ordered=False).correct


def _accuracy(name: str, correct: NDArray[numpy.bool_], signed: str) -> Score:
    n, right = len(correct), int(correct.sum())
    return Score(name, right / n, "of the items", n, wilson_interval(right, n), signed)


def _resampled_scores(decisions: Decisions, n: int, signed: str, resamples: int, seed: int) -> list[Score]:
    """Return the scores that resampling gives an interval, where there is more than one item and all are finite."""
    values = decisions.values(numpy.ones(n))
    drawn: dict[str, list[float]] = {name: [] for name in values}
    if n > 1:
        random = numpy.random.default_rng(seed)
        for _ in range(resamples):
            for name, value in decisions.values(draw_counts(random, n)).items():
                drawn[name].append(value)
    intervals = {
        name: percentile_interval(numpy.array(each))
        for name, each in drawn.items()
        if each and numpy.isfinite(each).all()
    }
    return [Score(name, value, _UNITS.get(name, ""), n, intervals.get(name), signed) for name, value in values.items()]


def _chance_error(decisions: Decisions, signed: str, resamples: int, seed: int) -> Score:
    drawn = chance_calibration_errors(decisions.confidences()[0], resamples, seed)
    interval = percentile_interval(drawn) if isinstance(decisions, LabelDecisions) else None
    unit = "if every probability were exact"
    return Score("ece_by_chance", float(drawn.mean()), unit, len(decisions.gold), interval, signed)


def _by_label(decisions: Decisions, labels: Sequence[str]) -> tuple[ClassScore, ...]:
    counts = decisions.counts(numpy.ones(len(decisions.gold)))
    columns = (counts.precision(), counts.recall(), counts.f1(), counts.gold)
    rows = zip(labels, *(column.tolist() for column in columns), strict=True)
    return tuple(ClassScore(label, p, r, f, round(support)) for label, p, r, f, support in rows)


def _confident_errors(
    decisions: Decisions, labels: Sequence[str], texts: Sequence[str] | None
) -> tuple[ConfidentError, ...]:
    sure = decisions.error_confidences()
    wrong = numpy.flatnonzero(~decisions.correct)
    surest = wrong[numpy.argsort(-sure[wrong], kind="stable")][:_ERRORS].tolist()
    return tuple(
        ConfidentError(i + 1, *decisions.named(i, labels), float(sure[i]), None if texts is None else texts[i])
        for i in surest
    )
