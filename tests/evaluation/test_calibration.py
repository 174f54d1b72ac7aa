"""Calibration: the bins at their edges, and temperatures that are known beforehand."""

from __future__ import annotations

import itertools
import math

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from nlp_lstm.errors import DataError, UsageError
from nlp_lstm.evaluation import classification_scores, fit_temperature
from nlp_lstm.evaluation._calibration import chance_calibration_errors


def expected_calibration_error(confidences: list[float], correct: list[bool]) -> float:
    """The definition, item by item: bin m holds the confidences in ((m-1)/15, m/15] (Guo et al. 2017, eq. 2 and 3)."""
    total = 0.0
    for m in range(1, 16):
        inside = [i for i, c in enumerate(confidences) if (m - 1) / 15 < c <= m / 15]
        if inside:
            accuracy = sum(correct[i] for i in inside) / len(inside)
            total += len(inside) / len(confidences) * abs(accuracy - sum(confidences[i] for i in inside) / len(inside))
    return total


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0.5, 1.0), st.booleans()), min_size=1, max_size=40))
def test_the_error_is_its_definition(pairs: list[tuple[float, bool]]) -> None:
    probabilities = [[sure, 1 - sure] for sure, _ in pairs]
    gold = ["a" if right else "b" for _, right in pairs]
    scores = classification_scores(probabilities, gold, "ab", resamples=1)
    correct = [right for _, right in pairs]
    assert scores.scores[-2].value == pytest.approx(expected_calibration_error([p for p, _ in pairs], correct))
    assert sum(each.n for each in scores.calibration) == len(pairs)
    assert all(each.low < each.confidence <= each.high + 1e-12 for each in scores.calibration)


def test_a_calibrated_classifier_has_a_small_error_and_an_overconfident_one_a_large_one(seed: int) -> None:
    random = numpy.random.default_rng(seed)
    sure = random.uniform(0.5, 1.0, size=20_000)
    gold = numpy.where(random.random(20_000) < sure, 0, 1)
    honest = classification_scores(numpy.column_stack((sure, 1 - sure)), gold, "ab", resamples=1)
    assert honest.scores[-2].value < 0.015  # each of eight bins is off by about 0.008
    boast = numpy.full(20_000, 0.99)
    boasting = classification_scores(numpy.column_stack((boast, 1 - boast)), gold, "ab", resamples=1)
    assert boasting.scores[-2].value == pytest.approx(0.24, abs=0.02)


def test_the_error_by_chance_is_that_of_all_outcomes_and_their_probabilities(seed: int) -> None:
    sure = numpy.random.default_rng(seed).uniform(0.5, 1.0, size=6)
    outcomes = list(itertools.product([False, True], repeat=6))
    odds = [math.prod(p if right else 1 - p for p, right in zip(sure, outcome, strict=True)) for outcome in outcomes]
    errors = [expected_calibration_error(sure.tolist(), list(outcome)) for outcome in outcomes]
    mean = sum(odd * error for odd, error in zip(odds, errors, strict=True))
    spread = math.sqrt(sum(odd * (error - mean) ** 2 for odd, error in zip(odds, errors, strict=True)))
    drawn = chance_calibration_errors(sure, 20_000, seed)
    assert drawn.mean() == pytest.approx(mean, abs=5 * spread / math.sqrt(20_000))
    assert drawn.std() == pytest.approx(spread, rel=0.05)
    assert set(drawn.round(9)) <= set(numpy.round(errors, 9))


def test_a_calibrated_classifier_is_within_chance_and_an_overconfident_one_is_not(seed: int) -> None:
    random = numpy.random.default_rng(seed)
    sure = random.uniform(0.5, 1.0, size=2_000)
    gold = numpy.where(random.random(2_000) < sure, 0, 1)
    honest, chance = classification_scores(numpy.column_stack((sure, 1 - sure)), gold, "ab").scores[-2:]
    assert chance.confidence_interval is not None
    assert chance.value == pytest.approx(honest.value, abs=0.03)  # eight bins of 250, each off by about 0.02
    boast = numpy.minimum(sure + 0.2, 1.0)
    error, chance = classification_scores(numpy.column_stack((boast, 1 - boast)), gold, "ab").scores[-2:]
    assert chance.confidence_interval is not None
    assert error.value > 3 * chance.confidence_interval[1]


def mean_loss(logits: numpy.ndarray, gold: numpy.ndarray, temperature: float) -> float:
    heated = logits / temperature
    if gold.ndim == 2:
        return float(numpy.logaddexp(0, numpy.where(gold, -heated, heated)).mean())
    return float((numpy.logaddexp.reduce(heated, axis=1) - heated[numpy.arange(len(gold)), gold]).mean())


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("true", [0.4, 1.0, 3.0])
def test_a_temperature_that_was_applied_is_found(seed: int, true: float, several: bool) -> None:
    random = numpy.random.default_rng(seed)
    honest = 2 * random.normal(size=(20_000, 4))
    if several:
        gold = random.random(honest.shape) < 1 / (1 + numpy.exp(-honest))
    else:
        gold = (honest + random.gumbel(size=honest.shape)).argmax(axis=1)  # a draw from the softmax
    found = fit_temperature(honest * true, gold)
    assert found == pytest.approx(true, rel=0.04)
    best = mean_loss(honest * true, gold, found)
    assert best <= min(mean_loss(honest * true, gold, found * factor) for factor in (0.99, 1.01))


def test_two_labels_are_a_logistic_regression_on_the_difference(seed: int) -> None:
    random = numpy.random.default_rng(seed)
    logits = random.normal(size=(300, 2))
    gold = (random.random(300) < 1 / (1 + numpy.exp(-1.7 * (logits[:, 1] - logits[:, 0])))).astype(int)
    regression = LogisticRegression(C=numpy.inf, fit_intercept=False, tol=1e-10)
    regression.fit(logits[:, 1:] - logits[:, :1], gold)
    assert fit_temperature(logits, gold) == pytest.approx(1 / regression.coef_[0, 0], rel=1e-4)


def test_temperatures_stay_within_their_bounds_and_large_logits_are_no_harm() -> None:
    right, wrong = numpy.array([[500.0, -500.0]] * 5), numpy.array([[-500.0, 500.0]] * 5)
    gold = numpy.zeros(5, dtype=int)
    assert fit_temperature(right, gold) == pytest.approx(0.01)
    assert fit_temperature(wrong, gold) == pytest.approx(100)
    assert fit_temperature(wrong, numpy.array([[True, False]] * 5)) == pytest.approx(100)
    # Three of four right at a margin of 1,000: the odds are 3 at the margin ln 3.
    mixed = numpy.concatenate((right[:3], wrong[:1])) / 10
    assert fit_temperature(mixed, gold[:4]) == pytest.approx(100 / math.log(3), rel=1e-6)


@pytest.mark.parametrize(
    ("logits", "gold", "error", "message"),
    [
        ([1.0, 2.0], [0, 1], UsageError, r"shape \(2,\) and gold \(2,\)"),
        ([[1.0, 2.0]], [0, 1], UsageError, r"shape \(1, 2\) and gold \(2,\)"),
        ([[1.0, 2.0]], [2], UsageError, "whole numbers from 0 to 1"),
        ([[1.0, 2.0]], [-1], UsageError, "whole numbers from 0 to 1"),
        ([[1.0, 2.0]], ["a"], UsageError, "whole numbers from 0 to 1"),
        (numpy.zeros((0, 2)), numpy.zeros(0, dtype=int), DataError, "no item to fit"),
        ([[1.0, math.inf]], [0], DataError, "not finite"),
    ],
)
def test_what_cannot_be_fitted_is_refused(logits, gold, error, message) -> None:
    with pytest.raises(error, match=message):
        fit_temperature(logits, gold)
