"""The block bootstrap against its exact variance, and the coverage of its intervals on data of known mean."""

from __future__ import annotations

import math

import numpy
import pytest
from numpy.typing import NDArray

from nlp_lstm.evaluation import block_bootstrap_means, default_block_length, percentile_interval

# 200 intervals that cover with a chance of 0.95 do so 190 times, with a standard deviation of 3.1; four below is 177.
REPETITIONS, FEWEST = 200, 177


def autoregressive(random: numpy.random.Generator, count: int, memory: float) -> NDArray[numpy.float64]:
    """Return a stationary AR(1) series of mean 0: each value is `memory` times the last plus a normal one."""
    shocks = random.normal(size=count)
    shocks[0] /= math.sqrt(1 - memory**2)
    for place in range(1, count):
        shocks[place] += memory * shocks[place - 1]
    return shocks


def times_covered(seed: int, count: int, memory: float, block_length: int | None) -> int:
    """Return how many of the 95 % intervals of 200 series hold the true mean, 0."""
    random = numpy.random.default_rng(seed)
    block = block_length or default_block_length(count)
    covered = 0
    for repetition in range(REPETITIONS):
        values = autoregressive(random, count, memory)
        means = block_bootstrap_means(values, block_length=block, resamples=400, seed=repetition)
        low, high = percentile_interval(means)
        covered += low <= 0 <= high
    return covered


@pytest.mark.parametrize("block_length", [1, None])
def test_intervals_cover_independent_values(block_length: int | None) -> None:
    assert times_covered(1, 1_000, 0.0, block_length) >= FEWEST


def test_an_interval_is_not_merely_wide() -> None:
    # The normal interval of a mean of 10,000 standard normal values is 2 * 1.96 / 100 wide.
    values = numpy.random.default_rng(2).normal(size=10_000)
    low, high = percentile_interval(block_bootstrap_means(values, block_length=50, resamples=4_000, seed=3))
    assert high - low == pytest.approx(0.0392, rel=0.15)
    assert low < values.mean() < high


def test_dependent_values_need_long_blocks() -> None:
    # With a memory of 0.8 the variance of the mean is (1 + 0.8) / (1 - 0.8) = 9 times that of independent values, so
    # that an interval that ignores it is three times too narrow and covers about half the time.
    assert times_covered(4, 3_000, 0.8, 1) < 130
    assert times_covered(4, 3_000, 0.8, 60) >= FEWEST


def test_the_default_length_is_long_enough_for_dependent_values() -> None:
    assert times_covered(5, 8_000, 0.8, None) >= FEWEST


@pytest.mark.parametrize(("count", "block_length"), [(24, 1), (24, 4), (24, 24), (26, 4), (7, 5)])
def test_mean_and_variance_are_those_of_the_circular_scheme(count: int, block_length: int) -> None:
    values = autoregressive(numpy.random.default_rng(6), count, 0.7) + 3
    rest = count % block_length

    def variance_of_sum(length: int) -> float:
        return float(numpy.var([numpy.roll(values, -start)[:length].sum() for start in range(count)]))

    variance = ((count // block_length) * variance_of_sum(block_length) + variance_of_sum(rest)) / count**2
    means = block_bootstrap_means(values, block_length=block_length, resamples=40_000, seed=7)
    assert means.mean() == pytest.approx(values.mean(), abs=4 * math.sqrt(variance / 40_000) + 1e-12)
    assert means.var() == pytest.approx(variance, rel=0.05, abs=1e-12)


def test_the_seed_decides_and_the_parts_in_which_it_is_computed_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    values = numpy.random.default_rng(8).normal(size=500).astype(numpy.float32)
    first = block_bootstrap_means(values, block_length=1, resamples=30, seed=9)
    assert first.dtype == numpy.float64
    assert numpy.array_equal(first, block_bootstrap_means(values, block_length=1, resamples=30, seed=9))
    assert not numpy.array_equal(first, block_bootstrap_means(values, block_length=1, resamples=30, seed=10))
    monkeypatch.setattr("nlp_lstm.evaluation._bootstrap._BLOCKS_AT_ONCE", 1_600)  # three resamples at once
    assert numpy.array_equal(first, block_bootstrap_means(values, block_length=1, resamples=30, seed=9))


@pytest.mark.parametrize(
    ("count", "expected"), [(1, 1), (27, 3), (1_000, 10), (2_744, 14), (8_000, 40), (250_000, 1_250)]
)
def test_the_default_length(count: int, expected: int) -> None:
    assert default_block_length(count) == expected


def test_the_percentiles() -> None:
    low, high = percentile_interval(numpy.arange(1001.0))
    assert (low, high) == pytest.approx((25.0, 975.0))
    assert percentile_interval(numpy.arange(1001.0), confidence=0.5) == pytest.approx((250.0, 750.0))
