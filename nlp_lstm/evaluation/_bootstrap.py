"""The block bootstrap: how far a mean over text may be off, when neighbouring values depend on each other."""

from __future__ import annotations

import math

import numpy
from numpy.typing import NDArray

# The block starts of this many blocks are drawn and summed at once, to bound the memory (8 bytes each, a few copies).
_BLOCKS_AT_ONCE = 2**21


def default_block_length(count: int) -> int:
    """Return the block length for `count` values: the cube root of it, but at least a 200th part.

    The cube root is the order that gives the smallest error of the variance (Künsch 1989, section 3). Losses over
    text are alike for as long as a topic lasts, which is longer than the 60 tokens that the rule gives for 200,000.
    Where there are values enough, longer blocks cost little: 200 of them still settle the variance to within 10 %.
    """
    return max(1, round(math.cbrt(count)), count // 200)


def block_bootstrap_means(
    values: NDArray[numpy.floating], *, block_length: int, resamples: int, seed: int
) -> NDArray[numpy.float64]:
    """Return the means, float64 (resamples,), of resamples of `values` (count,), put together from whole blocks.

    The blocks are runs of `block_length` neighbours that start anywhere, with the end joined to the beginning, so
    that every value is as likely as any other (Politis & Romano 1992, "A circular block-resampling procedure for
    stationary data"; without the circle Künsch 1989, "The jackknife and the bootstrap for general stationary
    observations"). The last block of a resample is shortened, so that it has as many values as there were.
    """
    count = len(values)
    circle = numpy.concatenate((values, values[: block_length - 1]), dtype=numpy.float64)
    sums = numpy.concatenate(([0.0], numpy.cumsum(circle)))
    whole, rest = divmod(count, block_length)
    random = numpy.random.default_rng(seed)
    totals = numpy.zeros(resamples)
    at_once = max(1, _BLOCKS_AT_ONCE // max(1, whole))
    for first in range(0, resamples, at_once):
        part = totals[first : first + at_once]
        starts = random.integers(count, size=(len(part), whole))
        part += (sums[starts + block_length] - sums[starts]).sum(axis=1)
    starts = random.integers(count, size=resamples)
    totals += sums[starts + rest] - sums[starts]
    return totals / count


def percentile_interval(means: NDArray[numpy.float64], confidence: float = 0.95) -> tuple[float, float]:
    """Return the ends between which the middle `confidence` of the resampled means lie (Efron 1979)."""
    outside = (1.0 - confidence) / 2
    low, high = numpy.quantile(means, [outside, 1.0 - outside])
    return float(low), float(high)


def resampled_sums(statistics: NDArray[numpy.float64], *, resamples: int, seed: int) -> NDArray[numpy.float64]:
    """Return the sums, float64 (resamples, k), of `statistics` (items, k) over items drawn with replacement.

    A corpus score of a resample is a function of these sums, so that no sentence is scored twice (Koehn 2004). The
    draws are those of sacrebleu for the same seed.
    """
    count = len(statistics)
    random = numpy.random.default_rng(seed)
    sums = numpy.empty((resamples, statistics.shape[1]))
    for row in sums:
        row[:] = draw_counts(random, count) @ statistics
    return sums


def draw_counts(random: numpy.random.Generator, count: int) -> NDArray[numpy.float64]:
    """Return how often each of `count` items, float64 (count,), comes up in `count` draws with replacement."""
    drawn = numpy.bincount(random.integers(count, size=count), minlength=count)
    return drawn.astype(numpy.float64)
