"""Which labels are taken for which: counts a label, and what precision, recall and agreement follow from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

Counts = NDArray[numpy.float64]


@dataclass(frozen=True)
class ClassScore:
    """One label: precision, recall and F1 (0 where undefined), and `support`, how many items have it."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class LabelCounts:
    """Items a label, each float64 (labels,): `right` predictions of it, all `predicted` ones, all `gold` ones."""

    right: Counts
    predicted: Counts
    gold: Counts

    def precision(self) -> Counts:
        """Return right / predicted, 0 where a label is never predicted."""
        return _ratio(self.right, self.predicted)

    def recall(self) -> Counts:
        """Return right / gold, 0 where no item has a label."""
        return _ratio(self.right, self.gold)

    def f1(self) -> Counts:
        """Return the harmonic mean of precision and recall, 2 right / (predicted + gold)."""
        return _ratio(2 * self.right, self.predicted + self.gold)

    def macro(self, values: Counts) -> float:
        """Return the plain mean over the labels that occur, in gold or predictions."""
        occurs = (self.predicted + self.gold) > 0
        return float(values[occurs].mean()) if occurs.any() else 0.0

    def micro_f1(self) -> float:
        """Return F1 of all decisions together."""
        return float(_ratio(2 * self.right.sum(), self.predicted.sum() + self.gold.sum()))


def count_labels(
    gold: NDArray[numpy.int64], predicted: NDArray[numpy.int64], weights: Counts, labels: int
) -> LabelCounts:
    """Count single labels (n,), each item as often as its weight says."""
    right = gold == predicted
    columns = ((gold[right], weights[right]), (predicted, weights), (gold, weights))
    return LabelCounts(*(numpy.bincount(column, each, labels).astype(numpy.float64) for column, each in columns))


def count_label_sets(gold: NDArray[numpy.bool_], predicted: NDArray[numpy.bool_], weights: Counts) -> LabelCounts:
    """Count sets of labels (n, labels), each item as often as its weight says."""
    return LabelCounts(weights @ (gold & predicted), weights @ predicted, weights @ gold)


def confusion_matrix(gold: NDArray[numpy.int64], predicted: NDArray[numpy.int64], labels: int) -> NDArray[numpy.int64]:
    """Return (labels, labels): row i, column j counts the items of label i that were taken for label j."""
    return numpy.bincount(gold * labels + predicted, minlength=labels * labels).reshape(labels, labels)


def quadratic_weighted_kappa(gold: NDArray[numpy.int64], predicted: NDArray[numpy.int64], weights: Counts) -> float:
    """Return Cohen's kappa with squared distances as weights (Cohen 1968); NaN where all ratings are one.

    1 less the mean squared distance of gold and prediction over the one that independent ratings would have.
    """
    total = weights.sum()
    observed = weights @ (gold - predicted) ** 2 / total
    means = [weights @ ratings / total for ratings in (gold, predicted)]
    squares = [weights @ ratings**2 / total for ratings in (gold, predicted)]
    by_chance = squares[0] + squares[1] - 2 * means[0] * means[1]
    return float(1 - observed / by_chance) if by_chance > 0 else float("nan")


def _ratio(part: Counts, whole: Counts) -> Counts:
    return numpy.divide(part, whole, out=numpy.zeros_like(numpy.asarray(whole, dtype=numpy.float64)), where=whole > 0)
