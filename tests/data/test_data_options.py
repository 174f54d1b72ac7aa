"""The options hold together, and their faults name the flag."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import pytest

from nlp_lstm.data import DataOptions, LabelledOptions, PairOptions
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


def test_options_of_labelled_texts_and_pairs_survive_a_round_trip():
    labelled = LabelledOptions("reviews", text_field="body", label_field="stars", label_separator="|")
    pairs = PairOptions("phrases", source="de", target="en", min_words=2, max_words=0, max_ratio=0, deduplicate=False)
    assert LabelledOptions(**dataclasses.asdict(labelled)) == labelled
    assert PairOptions(**dataclasses.asdict(pairs)) == pairs


@pytest.mark.parametrize("kind", [DataOptions, LabelledOptions, PairOptions])
def test_every_option_is_described(kind: type):
    fields = [field.name for field in dataclasses.fields(kind)]
    assert [name for name in fields if f"        {name}: " not in (kind.__doc__ or "")] == []


@pytest.mark.parametrize(
    ("kind", "faulty", "message"),
    [
        (LabelledOptions, {"label_separator": ""}, "--label-separator is empty"),
        (LabelledOptions, {"text_field": "a", "label_field": "a"}, "--text-field and --label-field both name 'a'"),
        (LabelledOptions, {"data": ""}, "--data is empty"),
        (PairOptions, {"data": ""}, "--data is empty"),
        (PairOptions, {"text_field": "a"}, "--text-field is for one column .* --source and --target"),
        (PairOptions, {"source": "de", "target": "de"}, "--source and --target are both 'de'"),
        (PairOptions, {"min_words": 0}, "--min-words is 0: give a whole number from 1 up"),
        (PairOptions, {"min_words": 5, "max_words": 4}, r"--max-words is 4: give 5 \(--min-words\) or more, or 0"),
        (PairOptions, {"max_words": -1}, "--max-words is -1"),
        (PairOptions, {"max_ratio": 1.0}, r"--max-ratio is 1\.0: give a number above 1"),
        (PairOptions, {"max_ratio": float("nan")}, "--max-ratio is nan"),
    ],
)
def test_faulty_options_of_labelled_texts_and_pairs_are_refused(kind: type, faulty: dict[str, object], message: str):
    with pytest.raises(UsageError, match=message):
        kind(**({"data": "x"} | faulty))
