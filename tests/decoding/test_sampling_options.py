"""The options: what is refused, in which words, and that copies are checked too."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from nlp_lstm.decoding import SamplingOptions
from nlp_lstm.errors import UsageError


@pytest.mark.parametrize(
    ("field", "value", "flag"),
    [
        ("temperature", -0.1, "--temperature"),
        ("temperature", math.nan, "--temperature"),
        ("temperature", math.inf, "--temperature"),
        ("top_k", -1, "--top-k"),
        ("top_k", 2.5, "--top-k"),
        ("top_k", True, "--top-k"),
        ("top_p", 0.0, "--top-p"),
        ("top_p", 1.01, "--top-p"),
        ("top_p", math.nan, "--top-p"),
        ("min_p", -0.01, "--min-p"),
        ("min_p", 1.01, "--min-p"),
        ("repetition_penalty", 0.0, "--repetition-penalty"),
        ("repetition_penalty", math.inf, "--repetition-penalty"),
        ("repetition_window", 0, "--repetition-window"),
        ("repetition_window", 1.5, "--repetition-window"),
    ],
)
def test_a_fault_names_its_flag_and_value_alone(field: str, value: Any, flag: str) -> None:
    with pytest.raises(UsageError) as caught:
        SamplingOptions(**{field: value})
    message = str(caught.value)
    assert message.startswith(f"{flag} is {value!r}; it must be ")
    assert message.count("--") == 1


def test_all_faults_come_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        SamplingOptions(-1.0, -1, 2.0, 2.0, -1.0, 0)
    flags = ["--temperature", "--top-k", "--top-p", "--min-p", "--repetition-penalty", "--repetition-window"]
    assert [word for word in str(caught.value).split() if word.startswith("--")] == flags


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.0},
        {"temperature": 0},
        {"top_k": 0},
        {"top_p": 1.0},
        {"top_p": 1e-9},
        {"min_p": 0.0},
        {"min_p": 1.0},
        {"repetition_penalty": 0.5},
        {"repetition_window": 1},
    ],
)
def test_the_ends_of_the_ranges_are_allowed(options: dict[str, Any]) -> None:
    SamplingOptions(**options)


def test_a_changed_copy_is_checked_like_a_new_one() -> None:
    options = SamplingOptions(top_k=5)
    assert dataclasses.replace(options, temperature=0.3) == SamplingOptions(temperature=0.3, top_k=5)
    with pytest.raises(UsageError, match="--temperature is -2"):
        dataclasses.replace(options, temperature=-2)
