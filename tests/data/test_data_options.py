"""The options hold together, and their faults name the flag."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import pytest

from nlp_lstm.data import DataOptions
from nlp_lstm.data._options import exact
from nlp_lstm.errors import UsageError


def test_options_survive_a_round_trip_through_plain_values():
    options = DataOptions("pydoc", text_field="body", valid_fraction=0.2, test_fraction=0.0)
    assert DataOptions(**dataclasses.asdict(options)) == options


@pytest.mark.parametrize(("value", "meant"), [(0.1, Fraction(1, 10)), (1e-05, Fraction(1, 100_000)), (1, Fraction(1))])
def test_a_fraction_is_the_decimal_that_was_written(value: float, meant: Fraction):
    assert exact(value) == meant


def test_shares_may_use_up_everything():
    assert DataOptions("x", valid_fraction=0.9, test_fraction=0.1).test_fraction == 0.1


@pytest.mark.parametrize(
    ("faulty", "message"),
    [
        ({"valid_fraction": -0.1}, r"--valid-fraction is -0\.1: give a share from 0 to 1"),
        ({"test_fraction": 1.5}, r"--test-fraction is 1\.5"),
        ({"test_fraction": float("nan")}, "--test-fraction is nan"),
        (
            {"valid_fraction": 0.7, "test_fraction": 0.4},
            r"--valid-fraction 0\.7 and --test-fraction 0\.4 together exceed 1",
        ),
        ({"data": ""}, "--data is empty"),
        ({"held_out_limit": -1}, "--held-out-limit is -1"),
    ],
)
def test_faulty_options_are_refused(faulty: dict[str, object], message: str):
    with pytest.raises(UsageError, match=message):
        DataOptions(**({"data": "pydoc"} | faulty))
