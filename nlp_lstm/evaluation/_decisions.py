"""What a classifier decided for each item: one label, or a set of labels, out of probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy
from numpy.typing import ArrayLike, NDArray

from nlp_lstm.errors import DataError, UsageError
from nlp_lstm.evaluation._confusion import LabelCounts, count_label_sets, count_labels, quadratic_weighted_kappa

Gold = Sequence[str | tuple[str, ...]] | NDArray[numpy.integer] | NDArray[numpy.bool_]

_ROUNDING = 1e-3  # how far a sum of probabilities in half precision may be from 1
_THRESHOLD = 0.5


@dataclass(frozen=True)
class LabelDecisions:
    """One label an item, the most probable: `probabilities` (n, labels) and the columns of the gold labels (n,)."""

    probabilities: NDArray[numpy.float64]
    gold: NDArray[numpy.int64]
    ordered: bool

    accuracy_name = "accuracy"

    @cached_property
    def predicted(self) -> NDArray[numpy.int64]:
        """The column of the highest probability (n,), the first of equal ones."""
        predicted: NDArray[numpy.int64] = self.probabilities.argmax(axis=1)
        return predicted

    @cached_property
    def correct(self) -> NDArray[numpy.bool_]:
        """Whether each item (n,) has its label."""
        correct: NDArray[numpy.bool_] = self.predicted == self.gold
        return correct

    def confidences(self) -> tuple[NDArray[numpy.float64], NDArray[numpy.bool_]]:
        """Return the probability of each prediction and whether it is right."""
        return self.probabilities.max(axis=1), self.correct

    def error_confidences(self) -> NDArray[numpy.float64]:
        """Return the probability of each wrong prediction (n,), 0 for a right one."""
        found: NDArray[numpy.float64] = numpy.where(self.correct, 0.0, self.probabilities.max(axis=1))
        return found

    def majority_correct(self) -> NDArray[numpy.bool_]:
        """Return which items (n,) would be right if all got the most frequent gold label."""
        correct: NDArray[numpy.bool_] = self.gold == numpy.bincount(self.gold).argmax()
        return correct

    def named(self, item: int, labels: Sequence[str]) -> tuple[str, str]:
        """Return the gold label and the predicted one of an item."""
        return labels[self.gold[item]], labels[self.predicted[item]]

    def counts(self, weights: NDArray[numpy.float64]) -> LabelCounts:
        """Count items a label, each as often as its weight says."""
        return count_labels(self.gold, self.predicted, weights, self.probabilities.shape[1])

    def values(self, weights: NDArray[numpy.float64]) -> dict[str, float]:
        """Return the scores by name, with each item as often as its weight says."""
        found = _macro(self.counts(weights)) | _weighted_means(self._each, weights)
        if self.ordered:
            found["quadratic_weighted_kappa"] = quadratic_weighted_kappa(self.gold, self.predicted, weights)
        return found

    @cached_property
    def _each(self) -> dict[str, NDArray[numpy.float64]]:
        """The scores that are means over items, for each item."""
        of_gold = self.probabilities[numpy.arange(len(self.gold)), self.gold]
        each = {
            "brier": (self.probabilities**2).sum(axis=1) - 2 * of_gold + 1,
            "nll": _minus_log(of_gold),
        }
        if self.ordered:
            each["mean_absolute_error"] = numpy.abs(self.predicted - self.gold).astype(numpy.float64)
        return each


@dataclass(frozen=True)
class SetDecisions:
    """Any number of labels an item, those of 0.5 or more: `probabilities` and `gold` (n, labels)."""

    probabilities: NDArray[numpy.float64]
    gold: NDArray[numpy.bool_]

    accuracy_name = "subset_accuracy"

    @cached_property
    def predicted(self) -> NDArray[numpy.bool_]:
        """Whether each label (n, labels) is given."""
        predicted: NDArray[numpy.bool_] = self.probabilities >= _THRESHOLD
        return predicted

    @cached_property
    def correct(self) -> NDArray[numpy.bool_]:
        """Whether each item (n,) has its labels, all of them and no other."""
        correct: NDArray[numpy.bool_] = (self.predicted == self.gold).all(axis=1)
        return correct

    def confidences(self) -> tuple[NDArray[numpy.float64], NDArray[numpy.bool_]]:
        """Return the probability of each yes or no, (n * labels,), and whether it is right."""
        sure = numpy.maximum(self.probabilities, 1 - self.probabilities)
        return sure.ravel(), (self.predicted == self.gold).ravel()

    def error_confidences(self) -> NDArray[numpy.float64]:
        """Return the probability of the surest wrong yes or no of each item (n,), 0 where all are right."""
        sure = numpy.maximum(self.probabilities, 1 - self.probabilities)
        found: NDArray[numpy.float64] = numpy.where(self.predicted == self.gold, 0.0, sure).max(axis=1)
        return found

    def majority_correct(self) -> NDArray[numpy.bool_]:
        """Return which items (n,) would be right if all got the labels that more than half have."""
        correct: NDArray[numpy.bool_] = (self.gold == (self.gold.mean(axis=0) > 0.5)).all(axis=1)
        return correct

    def named(self, item: int, labels: Sequence[str]) -> tuple[str, str]:
        """Return the gold labels and the predicted ones of an item, with commas between."""
        gold, predicted = (
            ",".join(label for label, has in zip(labels, row, strict=True) if has) or "(none)"
            for row in (self.gold[item], self.predicted[item])
        )
        return gold, predicted

    def counts(self, weights: NDArray[numpy.float64]) -> LabelCounts:
        """Count items a label, each as often as its weight says."""
        return count_label_sets(self.gold, self.predicted, weights)

    def values(self, weights: NDArray[numpy.float64]) -> dict[str, float]:
        """Return the scores by name, with each item as often as its weight says."""
        counts = self.counts(weights)
        return {"micro_f1": counts.micro_f1(), **_macro(counts), **_weighted_means(self._each, weights)}

    @cached_property
    def _each(self) -> dict[str, NDArray[numpy.float64]]:
        of_gold = numpy.where(self.gold, self.probabilities, 1 - self.probabilities)
        return {"brier": ((1 - of_gold) ** 2).mean(axis=1), "nll": _minus_log(of_gold).mean(axis=1)}


Decisions = LabelDecisions | SetDecisions


def checked_decisions(
    probabilities: ArrayLike, gold: Gold, labels: Sequence[str], *, multi: bool, ordered: bool
) -> Decisions:
    """Check what `classification_scores` was given and bring it into arrays; raises as it says."""
    table = numpy.asarray(probabilities, dtype=numpy.float64)
    _check_shape(table, gold, labels, multi=multi, ordered=ordered)
    _check_probabilities(table, one=not multi)
    if isinstance(gold, numpy.ndarray) and gold.dtype.kind in "iub":
        return _from_columns(table, gold, multi=multi, ordered=ordered)
    column = {label: place for place, label in enumerate(labels)}
    columns = [_columns_of(item, number, column, multi) for number, item in enumerate(gold, 1)]
    if not multi:
        return LabelDecisions(table, numpy.array(columns, dtype=numpy.int64)[:, 0], ordered)
    sets = numpy.zeros(table.shape, dtype=bool)
    for row, places in zip(sets, columns, strict=True):
        row[places] = True
    return SetDecisions(table, sets)


def _from_columns(
    table: NDArray[numpy.float64], gold: NDArray[numpy.generic], *, multi: bool, ordered: bool
) -> Decisions:
    columns = gold.astype(numpy.int64)
    shape, most = (table.shape, 1) if multi else (table.shape[:1], table.shape[1] - 1)
    if columns.shape != shape or columns.min() < 0 or columns.max() > most:
        raise UsageError(
            f"gold is an array of the shape {columns.shape}, from {columns.min()} to {columns.max()}; it must be "
            f"{shape}, from 0 to {most}."
        )
    return SetDecisions(table, columns.astype(bool)) if multi else LabelDecisions(table, columns, ordered)


def _macro(counts: LabelCounts) -> dict[str, float]:
    kinds = (("macro_precision", counts.precision()), ("macro_recall", counts.recall()), ("macro_f1", counts.f1()))
    return {name: counts.macro(values) for name, values in kinds}


def _weighted_means(each: dict[str, NDArray[numpy.float64]], weights: NDArray[numpy.float64]) -> dict[str, float]:
    drawn = weights > 0  # an infinite loss counts only where its item is drawn
    return {name: float(weights[drawn] @ values[drawn] / weights.sum()) for name, values in each.items()}


def _minus_log(probabilities: NDArray[numpy.float64]) -> NDArray[numpy.float64]:
    with numpy.errstate(divide="ignore"):  # what is held impossible and happens costs infinitely much
        return -numpy.log(probabilities)


def _columns_of(item: str | tuple[str, ...], number: int, column: dict[str, int], multi: bool) -> list[int]:
    names: Iterable[str] = (item,) if isinstance(item, str) else item
    names = tuple(names)
    if not multi and len(names) != 1:
        raise DataError(
            f"Item {number:,} has {len(names)} labels, {', '.join(map(repr, names)) or 'none'}; this classifier gives "
            "each item one. Give the item one label, or train with several labels at once."
        )
    unknown = [name for name in names if name not in column]
    if unknown:
        raise DataError(
            f"Item {number:,} has the label {unknown[0]!r}, which the model does not know; it knows: "
            f"{', '.join(column)}. Correct the label, leave the item out, or train on data that has it."
        )
    return [column[name] for name in names]


def _check_shape(
    table: NDArray[numpy.float64], gold: Gold, labels: Sequence[str], *, multi: bool, ordered: bool
) -> None:
    if table.ndim != 2 or table.shape[1] != len(labels):
        raise UsageError(
            f"The probabilities have the shape {table.shape}; it must be (items, labels), and there are {len(labels)} "
            "labels. Give a row an item and a column a label."
        )
    if len(set(labels)) != len(labels):
        raise UsageError(f"The labels are not all different: {', '.join(labels)}.")
    if multi and ordered:
        raise UsageError("Ratings are one label an item; give multi or ordered, not both.")
    if len(gold) != len(table):
        raise DataError(f"There are {len(table):,} predictions and {len(gold):,} gold labels; give as many of both.")
    if not len(table):
        raise DataError("There is no item to score. Give a split that holds some.")


def _check_probabilities(table: NDArray[numpy.float64], *, one: bool) -> None:
    inside = (table >= -_ROUNDING) & (table <= 1 + _ROUNDING)
    if one:
        inside &= numpy.abs(table.sum(axis=1, keepdims=True) - 1) <= _ROUNDING
    wrong = numpy.flatnonzero(~inside.all(axis=1))
    if len(wrong):
        wanted = "from 0 to 1 that sum to 1" if one else "from 0 to 1"
        raise UsageError(
            f"The probabilities of item {wrong[0] + 1:,} are {table[wrong[0]].tolist()}; they must be numbers "
            f"{wanted}. Put logits through a softmax (a sigmoid for several labels) first."
        )
