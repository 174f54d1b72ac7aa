"""The errors' own helpers."""

from __future__ import annotations

import pytest

from nlp_lstm.errors import UsageError, first_line, unknown_name
from nlp_lstm.models import LanguageModelOptions
from nlp_lstm.training import TrainingOptions


def test_an_unknown_name_gets_the_nearest_and_the_list():
    assert str(unknown_name("cell", "lstn", ["lstm", "gru"])) == (
        "There is no cell named 'lstn'. Did you mean 'lstm'? Allowed: gru, lstm."
    )
    assert "Did you mean" not in str(unknown_name("cell", "zzz", ["lstm", "gru"]))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TrainingOptions(max_steps=1, optimizer="adam"), "--optimizer named 'adam'. Did you mean 'adamw'"),
        (lambda: TrainingOptions(max_steps=1, schedule="triangle"), "--schedule named 'triangle'"),
        (lambda: TrainingOptions(max_steps=1, precision="fp16"), "--precision named 'fp16'"),
        (lambda: LanguageModelOptions(output="adaptve"), "--output named 'adaptve'. Did you mean 'adaptive'"),
    ],
)
def test_a_choice_from_python_is_checked_as_on_the_command_line(make, words):
    with pytest.raises(UsageError, match=words):
        make()


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError("\n  the file ends early\nat byte 7"), "the file ends early"),
        (ValueError(""), "ValueError"),
        (ValueError(" \n"), "ValueError"),
        (ValueError("a\x1b[2Jb"), "a?[2Jb"),
        (ValueError("x" * 300), "x" * 200),
    ],
)
def test_of_what_a_library_says_a_message_has_one_line(error, line):
    assert first_line(error) == line
