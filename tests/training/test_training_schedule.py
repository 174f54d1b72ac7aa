"""How much of the budget is spent, and the learning rate there."""

from __future__ import annotations

import math

import pytest

from nlp_lstm.training import TrainingOptions
from nlp_lstm.training._schedule import learning_rate, progress


@pytest.mark.parametrize(
    ("step", "epochs", "elapsed", "expected"),
    [(0, 0, 0, 0), (50, 0.2, 6, 0.5), (10, 1.5, 6, 0.75), (10, 0.2, 54, 0.9), (100, 2, 60, 1), (120, 0, 0, 1.2)],
)
def test_the_budget_that_is_furthest_decides(step: int, epochs: float, elapsed: float, expected: float) -> None:
    options = TrainingOptions(max_steps=100, max_epochs=2, max_time="1m")
    assert progress(options, step, epochs, elapsed) == pytest.approx(expected)


def test_only_the_given_budget_counts() -> None:
    assert progress(TrainingOptions(max_steps=100), 10, 99, 1e9) == 0.1
    assert progress(TrainingOptions(max_epochs=4), 10**9, 1, 1e9) == 0.25
    assert progress(TrainingOptions(max_time="8s"), 10**9, 99, 2) == 0.25


@pytest.mark.parametrize("schedule", ["cosine", "constant", "plateau"])
def test_warm_up_is_a_line_to_the_peak(schedule: str) -> None:
    options = TrainingOptions(max_steps=1, learning_rate=0.4, warmup=0.2, schedule=schedule)
    rates = [learning_rate(options, spent, 1.0) for spent in (0.05, 0.1, 0.15, 0.2)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert learning_rate(options, 0.0, 1.0) == pytest.approx(0.004)  # a first step that is not lost


@pytest.mark.parametrize("warmup", [0.0, 0.2])
@pytest.mark.parametrize("final", [0.0, 0.1])
def test_cosine_ends_at_its_final_rate(warmup: float, final: float) -> None:
    options = TrainingOptions(max_steps=1, learning_rate=2.0, warmup=warmup, final_learning_rate=final)
    low, high = 2.0 * final, 2.0
    # cos(pi x) at x = 0, 1/3, 1/2, 2/3, 1 is 1, 1/2, 0, -1/2, -1.
    for position, cosine in ((0, 1), (1 / 3, 0.5), (1 / 2, 0), (2 / 3, -0.5), (1, -1)):
        spent = warmup + position * (1 - warmup)
        assert learning_rate(options, spent, 1.0) == pytest.approx(low + (high - low) * (1 + cosine) / 2, abs=1e-12)
    assert learning_rate(options, 1.3, 1.0) == pytest.approx(low, abs=1e-12)  # it does not rise again


def test_linear_is_the_slanted_triangle() -> None:
    # Howard and Ruder 2018, equation 3, with their cut_frac 0.1 and ratio 32.
    options = TrainingOptions(
        max_steps=1, learning_rate=0.01, schedule="linear", warmup=0.1, final_learning_rate=1 / 32
    )
    for spent in (0.1, 0.2, 0.55, 1.0):
        share = 1 - (spent - 0.1) / (0.1 * (1 / 0.1 - 1))
        assert learning_rate(options, spent, 1.0) == pytest.approx(0.01 * (1 + share * 31) / 32)


def test_constant_stays() -> None:
    options = TrainingOptions(max_steps=1, learning_rate=0.3, schedule="constant", warmup=0.1)
    assert {learning_rate(options, spent / 10, 1.0) for spent in range(1, 11)} == {0.3}
    assert learning_rate(options, 0.5, 0.25) == pytest.approx(0.075)


def test_plateau_follows_its_factor() -> None:
    options = TrainingOptions(max_steps=1, learning_rate=0.3, schedule="plateau", warmup=0.1)
    assert learning_rate(options, 0.5, 1.0) == 0.3
    assert learning_rate(options, 0.9, 0.25**2) == pytest.approx(0.3 / 16)
    assert math.isclose(learning_rate(options, 0.05, 0.25), 0.15)
