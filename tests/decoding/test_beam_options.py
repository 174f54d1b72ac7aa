"""The options of the searches: what is refused, and in which words."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from nlp_lstm.decoding import BeamOptions
from nlp_lstm.errors import UsageError


@pytest.mark.parametrize(
    ("field", "value", "flag"),
    [
        ("beam_size", 0, "--beam-size"),
        ("beam_size", 2.5, "--beam-size"),
        ("beam_size", True, "--beam-size"),
        ("length_penalty", -0.1, "--length-penalty"),
        ("length_penalty", math.nan, "--length-penalty"),
        ("length_penalty", math.inf, "--length-penalty"),
        ("coverage_penalty", -0.1, "--coverage-penalty"),
        ("coverage_penalty", math.inf, "--coverage-penalty"),
        ("min_length", -1, "--min-length"),
        ("min_length", 1.0, "--min-length"),
        ("max_length", 0, "--max-length"),
        ("max_length", 9.5, "--max-length"),
        ("max_length_ratio", 0.0, "--max-length-ratio"),
        ("max_length_ratio", math.nan, "--max-length-ratio"),
        ("max_length_ratio", math.inf, "--max-length-ratio"),
        ("max_length_ratio", 1e30, "--max-length-ratio"),
        ("max_length", 10**20, "--max-length"),
        ("min_length", 1_000_001, "--min-length"),
        ("beam_size", 10**20, "--beam-size"),
        ("no_repeat_ngram_size", 10**20, "--no-repeat-ngram-size"),
        ("no_repeat_ngram_size", -1, "--no-repeat-ngram-size"),
        ("n_best", 0, "--n-best"),
    ],
)
def test_a_fault_names_its_flag_and_value_alone(field: str, value: Any, flag: str) -> None:
    with pytest.raises(UsageError) as caught:
        BeamOptions(**{field: value})
    message = str(caught.value)
    assert message.startswith(f"{flag} is {value!r}; it must be ")
    assert message.count("--") == 1


def test_all_faults_come_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        BeamOptions(0, -1.0, -1.0, -1, 0, 0.0, -1, 0)
    flags = [word for word in str(caught.value).split() if word.startswith("--")]
    assert flags == [f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(BeamOptions)]


def test_options_that_exclude_each_other_are_refused_together() -> None:
    with pytest.raises(UsageError, match=r"--beam-size 6.*--min-length 9 is above --max-length 8"):
        BeamOptions(beam_size=5, n_best=6, min_length=9, max_length=8)


def test_the_ends_of_the_ranges_are_allowed() -> None:
    BeamOptions(1, 0.0, 0.0, 0, None, 1e-9, 0, 1)
    BeamOptions(max_length=1_000_000, max_length_ratio=1000.0)
    BeamOptions(beam_size=5, n_best=5, min_length=8, max_length=8)
