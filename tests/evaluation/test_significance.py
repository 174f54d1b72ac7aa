"""Tests of significance against exact enumeration on small samples, closed forms and published numbers."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nlp_lstm.errors import DataError, UsageError
from nlp_lstm.evaluation import approximate_randomization, mcnemar, paired_bootstrap, wilson_interval

# Matches and lengths of two systems on five sentences, from which a precision is made: not a mean, as BLEU is none.
A = numpy.array([[3, 6], [1, 5], [4, 8], [2, 3], [0, 4]], dtype=float)
B = numpy.array([[4, 6], [3, 7], [4, 6], [1, 3], [2, 4]], dtype=float)


def precision(sums: NDArray[numpy.float64]) -> float:
    return float(sums[0] / sums[1])


def within_chance(share: float, exact: float, draws: int) -> bool:
    """Whether a share of random draws is within five standard deviations of what it should be."""
    return abs(share - exact) <= 5 * math.sqrt(exact * (1 - exact) / draws) + 1 / draws


def test_paired_bootstrap_is_the_enumeration_of_all_resamples() -> None:
    observed = precision(B.sum(0)) - precision(A.sum(0))
    draws = [list(draw) for draw in itertools.product(range(5), repeat=5)]
    differences = numpy.array([precision(B[draw].sum(0)) - precision(A[draw].sum(0)) for draw in draws])
    found = paired_bootstrap(A, B, precision, resamples=20_000, seed=1)
    assert found.difference == pytest.approx(observed, rel=1e-12)
    exact = float((numpy.abs(differences - observed) >= abs(observed) - 1e-12).mean())
    assert 0.01 < exact < 0.5
    assert within_chance(found.p_value, exact, 20_000)
    wins = float((differences > 1e-12).mean() + (numpy.abs(differences) <= 1e-12).mean() / 2)
    assert within_chance(found.wins, wins, 20_000)
    assert found.confidence_interval == pytest.approx(numpy.quantile(differences, [0.025, 0.975]), abs=0.01)


def test_approximate_randomization_is_the_enumeration_of_all_swaps() -> None:
    observed = abs(precision(B.sum(0)) - precision(A.sum(0)))
    differences = []
    for sides in itertools.product([False, True], repeat=5):
        swapped = numpy.array(sides)[:, None]
        differences.append(precision(numpy.where(swapped, A, B).sum(0)) - precision(numpy.where(swapped, B, A).sum(0)))
    exact = float((numpy.abs(differences) >= observed - 1e-12).mean())
    assert 0.01 < exact < 0.5
    assert within_chance(approximate_randomization(A, B, precision, trials=20_000, seed=2), exact, 20_000)


def test_a_difference_is_found_in_both_directions() -> None:
    there, back = paired_bootstrap(A, B, precision, seed=3), paired_bootstrap(B, A, precision, seed=3)
    assert there.difference == -back.difference
    assert there.p_value == back.p_value
    assert there.wins == pytest.approx(1 - back.wins)
    assert there.confidence_interval == pytest.approx([-end for end in reversed(back.confidence_interval)])
    assert approximate_randomization(A, B, precision, seed=3) == approximate_randomization(B, A, precision, seed=3)


def test_a_system_does_not_differ_from_itself() -> None:
    found = paired_bootstrap(A, A, precision, resamples=50)
    assert (found.difference, found.confidence_interval, found.p_value, found.wins) == (0.0, (0.0, 0.0), 1.0, 0.5)
    assert approximate_randomization(A, A, precision, trials=50) == 1.0


def test_the_number_of_draws_and_the_seed_are_used() -> None:
    much_better = A + numpy.array([100, 0])
    assert paired_bootstrap(A, much_better, precision, resamples=199).p_value == 1 / 200
    # The two swaps that leave the difference whole, none and all, come up 2 times of 32.
    assert approximate_randomization(A, much_better, precision, trials=10_000) == pytest.approx(2 / 32, abs=0.012)
    assert paired_bootstrap(A, B, precision, seed=1) != paired_bootstrap(A, B, precision, seed=2)
    first, second = (approximate_randomization(A, B, precision, seed=seed) for seed in (1, 2))
    assert first != second


def test_under_no_difference_p_values_are_uniform(seed: int) -> None:
    """A test that rejects at 0.1 must do so in a tenth of the samples: 40 of 400, give or take five times 6."""
    random = numpy.random.default_rng(seed)
    rejected = {"bootstrap": 0, "randomization": 0}
    for repetition in range(400):
        a, b = random.normal(size=(2, 60, 1))
        mean = lambda sums: float(sums[0]) / 60  # noqa: E731
        rejected["bootstrap"] += paired_bootstrap(a, b, mean, resamples=99, seed=repetition).p_value <= 0.1
        rejected["randomization"] += approximate_randomization(a, b, mean, trials=99, seed=repetition) <= 0.1
    assert all(10 <= count <= 70 for count in rejected.values()), rejected


@pytest.mark.parametrize("test", [paired_bootstrap, approximate_randomization])
def test_what_cannot_be_compared_is_refused(test) -> None:
    with pytest.raises(UsageError, match=r"shapes \(5, 2\) and \(4, 2\)"):
        test(A, B[:4], precision)
    with pytest.raises(UsageError, match=r"shapes \(5,\) and \(5,\)"):
        test(A[:, 0], B[:, 0], precision)
    with pytest.raises(DataError, match="no item to compare"):
        test(A[:0], B[:0], precision)
    draws = "resamples" if test is paired_bootstrap else "trials"
    with pytest.raises(UsageError, match="0 resamples are too few"):
        test(A, B, precision, **{draws: 0})


def test_mcnemar_by_hand() -> None:
    # A alone is right 2 times, B alone 8 times: 2 (1 + 10 + 45) / 2^10.
    a = numpy.array([True] * 2 + [False] * 8 + [True] * 20 + [False] * 5)
    b = numpy.array([False] * 2 + [True] * 8 + [True] * 20 + [False] * 5)
    found = mcnemar(a, b)
    assert (found.only_a, found.only_b, found.p_value) == (2, 8, 112 / 1024)
    assert mcnemar(b, a).p_value == found.p_value
    assert mcnemar(a, a).p_value == 1.0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 12), st.integers(0, 12))
def test_mcnemar_is_the_enumeration_of_all_coins(only_a: int, only_b: int) -> None:
    coins = only_a + only_b
    tail = sum(math.comb(coins, heads) for heads in range(coins + 1) if heads <= min(only_a, only_b))
    expected = min(Fraction(1), Fraction(2 * tail, 2**coins))
    found = mcnemar([True] * only_a + [False] * only_b, [False] * only_a + [True] * only_b)
    assert found.p_value == float(expected)


def test_mcnemar_with_thousands_of_items_meets_the_normal_approximation() -> None:
    a = numpy.array([True] * 5_000 + [False] * 5_200)
    z = (200 - 1) / math.sqrt(10_200)  # with the continuity correction of Edwards 1948
    assert mcnemar(a, ~a).p_value == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-3)


def test_mcnemar_needs_the_same_items() -> None:
    with pytest.raises(UsageError, match=r"\(2,\) and \(3,\)"):
        mcnemar([True, False], [True, False, True])
    with pytest.raises(UsageError, match="must be a row"):
        mcnemar([[True]], [[False]])


# Newcombe (1998), "Two-sided confidence intervals for the single proportion", table I, method 3.
@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_against_published_intervals(successes: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=5.1e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_wilson_ends_are_where_the_score_test_turns(pair: tuple[int, int], confidence: float) -> None:
    successes, n = pair
    low, high = wilson_interval(successes, n, confidence)
    assert 0 <= low <= successes / n <= high <= 1
    for end in {low, high} - {0.0, 1.0}:
        z = abs(successes / n - end) / math.sqrt(end * (1 - end) / n)
        assert math.erf(z / math.sqrt(2)) == pytest.approx(confidence, abs=1e-6)


def test_wilson_refuses_what_is_no_proportion() -> None:
    for successes, n in ((-1, 5), (6, 5), (0, 0)):
        with pytest.raises(UsageError, match="no proportion"):
            wilson_interval(successes, n)
    for confidence in (0.0, 1.0):
        with pytest.raises(UsageError, match="between 0 and 1"):
            wilson_interval(1, 5, confidence)
