"""Whether probabilities mean what they say, and the temperature that makes them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy
from numpy.typing import ArrayLike, NDArray

from nlp_lstm.errors import DataError, UsageError

BINS = 15  # Guo et al. 2017, section 5
_COLDEST, _HOTTEST = 0.01, 100.0
_HALVINGS = 60


@dataclass(frozen=True)
class CalibrationBin:
    """The predictions with a confidence above `low` and up to `high`: their mean confidence, and how many are right."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


def calibration_bins(
    confidences: NDArray[numpy.float64], correct: NDArray[numpy.bool_], bins: int = BINS
) -> tuple[CalibrationBin, ...]:
    """Sort predictions (n,) by confidence into bins of equal width, ((m-1)/bins, m/bins]; those that hold any.

    Guo et al. (2017), "On Calibration of Modern Neural Networks", section 2.
    """
    places = _bins_of(confidences, bins)
    found = []
    for place in numpy.unique(places).tolist():
        inside = places == place
        right, sure = float(correct[inside].mean()), float(confidences[inside].mean())
        found.append(CalibrationBin(place / bins, (place + 1) / bins, int(inside.sum()), sure, right))
    return tuple(found)


def calibration_error(bins: tuple[CalibrationBin, ...]) -> float:
    """Return the expected calibration error: the mean distance of accuracy and confidence (Guo et al. 2017, eq. 3)."""
    return sum(b.n * abs(b.accuracy - b.confidence) for b in bins) / sum(b.n for b in bins)


def chance_calibration_errors(
    confidences: NDArray[numpy.float64], resamples: int, seed: int, bins: int = BINS
) -> NDArray[numpy.float64]:
    """Draw what the expected calibration error would be by chance alone, (resamples,), were every confidence exact.

    So many times each prediction is right with the probability that its confidence (n,) says, and the error is taken.
    Of few predictions it is far from zero, and one that is found is to be compared with it (consistency resampling:
    Bröcker and Smith 2007, "Increasing the Reliability of Reliability Diagrams", section 3).
    """
    ordered = numpy.sort(confidences)
    starts = numpy.flatnonzero(numpy.diff(_bins_of(ordered, bins), prepend=-1))
    random = numpy.random.default_rng(seed)
    found = numpy.empty(resamples)
    for number in range(resamples):
        surprise = (random.random(len(ordered)) < ordered) - ordered
        found[number] = numpy.abs(numpy.add.reduceat(surprise, starts)).sum() / len(ordered)
    return found


def _bins_of(confidences: NDArray[numpy.float64], bins: int) -> NDArray[numpy.intp]:
    edges = numpy.arange(1, bins) / bins
    return numpy.searchsorted(edges, confidences, side="left")  # an edge belongs to the bin below it


def fit_temperature(logits: ArrayLike, gold: ArrayLike) -> float:
    """Return the temperature T, 0.01 to 100, for which `logits / T` give the gold labels the highest likelihood.

    One number cannot change which label is first, only how sure it is (Guo et al. 2017, section 4.2). `logits`
    (n, labels) go through a softmax where `gold` (n,) holds the column of each item's label, and through a sigmoid
    each where `gold` (n, labels) is true for every label of an item. The negative log likelihood is convex in 1 / T,
    so that its slope is brought to zero by halving. Fit it on validation data, never on the data that is then scored.

    Raises:
        UsageError: the shapes do not fit, or a gold column is none of the logits'.
        DataError: there is no item, or a logit is not finite.
    """
    scores, answers = numpy.asarray(logits, dtype=numpy.float64), numpy.asarray(gold)
    _check_logits(scores, answers)
    several = answers.ndim == 2
    wanted = scores[answers.astype(bool)].sum() if several else scores[numpy.arange(len(scores)), answers].sum()

    def slope(inverse: float) -> float:
        """Return the derivative of the negative log likelihood by 1 / T: expected logits less those of the gold."""
        heated = scores * inverse
        if several:
            expected = scores * 0.5 * (1 + numpy.tanh(heated / 2))  # the sigmoid, without overflow
        else:
            exponentials = numpy.exp(heated - heated.max(axis=1, keepdims=True))
            expected = scores * exponentials / exponentials.sum(axis=1, keepdims=True)
        return float(expected.sum() - wanted)

    low, high = math.log(1 / _HOTTEST), math.log(1 / _COLDEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if slope(math.exp(middle)) > 0:
            high = middle
        else:
            low = middle
    return math.exp(-(low + high) / 2)


def _check_logits(logits: NDArray[numpy.float64], gold: NDArray[numpy.generic]) -> None:
    if logits.ndim != 2 or gold.shape not in {(len(logits),), logits.shape}:
        raise UsageError(
            f"The logits have the shape {logits.shape} and gold {gold.shape}; give (items, labels) and (items,), or "
            "(items, labels) twice where an item may have several labels."
        )
    if not logits.size:
        raise DataError("There is no item to fit a temperature on. Give a validation split that holds some.")
    if not numpy.isfinite(logits).all():
        raise DataError("Some logits are not finite; the model's weights are probably broken. Train again.")
    if gold.ndim == 1 and (not numpy.issubdtype(gold.dtype, numpy.integer) or not _inside(gold, logits.shape[1])):
        raise UsageError(f"gold must hold the columns of the labels, whole numbers from 0 to {logits.shape[1] - 1}.")


def _inside(gold: NDArray[numpy.generic], columns: int) -> bool:
    columns_of = gold.astype(numpy.int64)
    return bool(((columns_of >= 0) & (columns_of < columns)).all())
