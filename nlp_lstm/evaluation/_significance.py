"""Whether two systems differ by more than chance: paired tests, and an interval for a proportion."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy
from numpy.typing import ArrayLike, NDArray

from nlp_lstm.errors import DataError, UsageError
from nlp_lstm.evaluation._bootstrap import percentile_interval, resampled_sums

# A resample that equals the sample but for the order of its sums must count as equal to it.
_ROUNDING = 1e-9

Value = Callable[[NDArray[numpy.float64]], float]


@dataclass(frozen=True)
class PairedBootstrap:
    """What `paired_bootstrap` found.

    Attributes:
        difference: The value of system B minus that of system A.
        confidence_interval: The ends of the 95 % percentile interval of the difference.
        p_value: How often a difference as large arises where there is none (two-sided).
        wins: The share of resamples in which B has the higher value, a tie counting half (Koehn 2004).
    """

    difference: float
    confidence_interval: tuple[float, float]
    p_value: float
    wins: float


@dataclass(frozen=True)
class McNemar:
    """What `mcnemar` found: `only_a` and `only_b` are the items that one system alone has right."""

    only_a: int
    only_b: int
    p_value: float


def paired_bootstrap(
    statistics_a: ArrayLike, statistics_b: ArrayLike, value: Value, *, resamples: int = 1000, seed: int = 12345
) -> PairedBootstrap:
    """Compare two systems on the same items by resampling the items (Koehn 2004, "Statistical Significance Tests").

    `statistics_a` and `statistics_b` (items, k) are sufficient statistics, such as n-gram counts of each sentence;
    `value` turns their sum over items, float64 (k,), into the score. Both systems are scored on the same draws. With
    d the difference on all items and d* that of a resample, p = (1 + number of |d* - d| >= |d|) / (1 + resamples):
    the draws, moved to where there is no difference (Berg-Kirkpatrick, Burkett & Klein 2012, section 2), on both sides.

    Raises:
        UsageError: the arrays are not both (items, k), or `resamples` is below 1.
        DataError: there is no item.
    """
    a, b = _checked_pair(statistics_a, statistics_b, resamples)
    difference = value(b.sum(axis=0)) - value(a.sum(axis=0))
    sums = resampled_sums(numpy.concatenate((a, b), axis=1), resamples=resamples, seed=seed)
    width = a.shape[1]
    differences = numpy.array([value(row[width:]) - value(row[:width]) for row in sums])
    wins = float(((differences > 0) + 0.5 * (differences == 0)).mean())
    return PairedBootstrap(difference, percentile_interval(differences), shifted_p_value(differences, difference), wins)


def approximate_randomization(
    statistics_a: ArrayLike, statistics_b: ArrayLike, value: Value, *, trials: int = 10_000, seed: int = 12345
) -> float:
    """Return the two-sided p-value of two systems' difference on the same items by swapping their outputs at random.

    Riezler & Maxwell (2005), "On Some Pitfalls in Automatic Evaluation and Significance Testing for MT", figure 1;
    the arguments are those of `paired_bootstrap`. In each trial every item changes sides with probability 1/2, and
    p = (1 + number of trials with a difference at least as large) / (1 + trials). Raises the same errors.
    """
    a, b = _checked_pair(statistics_a, statistics_b, trials)
    total, change = a.sum(axis=0), b - a
    both = total + b.sum(axis=0)
    difference = value(both - total) - value(total)
    random = numpy.random.default_rng(seed)
    differences = numpy.empty(trials)
    for trial in range(trials):
        swapped = total + random.integers(2, size=len(a), dtype=numpy.int8).astype(numpy.float64) @ change
        differences[trial] = value(both - swapped) - value(swapped)
    return (1 + _count_as_large(differences, difference)) / (1 + trials)


def mcnemar(correct_a: ArrayLike, correct_b: ArrayLike) -> McNemar:
    """Test whether two systems are right equally often on the same items: McNemar's test in its exact form.

    `correct_a` and `correct_b` (items,) are true where the system is right. Only the items on which they differ
    count; without a difference each is a fair coin, and p is the two-sided tail of its binomial distribution
    (McNemar 1947; exact as in Dietterich 1998, section 3.1). Raises UsageError where the two differ in shape.
    """
    a, b = numpy.asarray(correct_a, dtype=bool), numpy.asarray(correct_b, dtype=bool)
    if a.shape != b.shape or a.ndim != 1:
        raise UsageError(f"The systems have the shapes {a.shape} and {b.shape}; each must be a row of the same items.")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    coins = only_a + only_b
    ways = term = 1  # of the binomial distribution, as whole numbers: no rounding however many items
    for heads in range(1, min(only_a, only_b) + 1):
        term = term * (coins - heads + 1) // heads
        ways += term
    return McNemar(only_a, only_b, min(1.0, 2 * ways / 2**coins))


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the ends of Wilson's score interval for a proportion (Wilson 1927), which never leaves 0 to 1.

    Raises UsageError where `successes` is not from 0 to `n`, `n` is below 1, or `confidence` is not inside 0 to 1.
    """
    if not 0 <= successes <= n or n < 1:
        raise UsageError(f"{successes} successes of {n} are no proportion; give 0 to n successes of at least 1.")
    if not 0 < confidence < 1:
        raise UsageError(f"confidence is {confidence}; give a number between 0 and 1, such as 0.95.")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # At 0 and n successes one end is 0 or 1 exactly, which rounding would miss.
    return (0.0 if successes == 0 else centre - half, 1.0 if successes == n else centre + half)


def shifted_p_value(differences: NDArray[numpy.float64], observed: float) -> float:
    """Return the two-sided p-value of `observed` from its resamples, as `paired_bootstrap` says."""
    return (1 + _count_as_large(differences - observed, observed)) / (1 + len(differences))


def _count_as_large(differences: NDArray[numpy.float64], observed: float) -> int:
    return int((numpy.abs(differences) >= abs(observed) * (1 - _ROUNDING)).sum())


def _checked_pair(
    statistics_a: ArrayLike, statistics_b: ArrayLike, draws: int
) -> tuple[NDArray[numpy.float64], NDArray[numpy.float64]]:
    a, b = (numpy.asarray(statistics, dtype=numpy.float64) for statistics in (statistics_a, statistics_b))
    if a.ndim != 2 or a.shape != b.shape:
        raise UsageError(
            f"The statistics have the shapes {a.shape} and {b.shape}; both must be (items, numbers), of the same items."
        )
    if not len(a):
        raise DataError("There is no item to compare the systems on. Give a split that holds some.")
    if draws < 1:
        raise UsageError(f"{draws} resamples are too few; give 1 or more.")
    return a, b
