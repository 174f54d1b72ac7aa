"""`nlp-lstm evaluate`: which data is scored, and what is printed where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nlp_lstm.cli import main


def test_scores_on_stdout_and_what_libraries_say_on_stderr(task: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "run"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "loss 1.5 (test)\n"
    assert captured.err == "a library talks\n"
    assert task.evaluated == [(None, "test")]


def test_json_is_one_object_in_one_line(task: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--json", "run"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out) == {"loss": 1.5, "signature": "naïve"}


def test_other_data_and_its_notes(task: Any, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--data", "my.csv", "--split", "valid", "--text_field", "body", "--valid-fraction", "0.2"]
    assert main(["evaluate", "run", *flags, "--test-fraction=0.3"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "loss 1.5 (valid)\n"
    assert "cut of my.csv\n" in captured.err
    ((data, split),) = task.evaluated
    assert split == "valid"
    assert (data.data, data.text_field, data.valid_fraction, data.test_fraction) == ("my.csv", "body", 0.2, 0.3)


def test_fractions_that_are_left_out_keep_their_defaults(task: Any) -> None:
    assert main(["evaluate", "run", "--data", "my_folder"]) == 0
    ((data, _),) = task.evaluated
    assert data == type(data)(data="my_folder")


def test_a_file_is_scored_whole_unless_a_fraction_is_given(task: Any, tmp_path: Path) -> None:
    file = tmp_path / "my.txt"
    file.write_text("some text")
    assert main(["evaluate", "run", "--data", str(file)]) == 0
    assert main(["evaluate", "run", "--data", str(file), "--test-fraction", "0.5"]) == 0
    (whole, _), (half, _) = task.evaluated
    assert (whole.valid_fraction, whole.test_fraction) == (0.0, 1.0)
    assert (half.valid_fraction, half.test_fraction) == (0.05, 0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--text-field", "body"], "--text-field describes --data, which is not given."),
        (["run", "--data", "x", "--valid-fraction", "2"], "--valid-fraction is 2.0"),
        (["run", "--test-fraction", "half"], "--test-fraction must be a number, not 'half'."),
        ([], "RUN is missing."),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, task: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"nlp-lstm: {message}")
    assert captured.err.count("\n") == 1
