"""`nlp-lstm compare`: which runs and data are compared, and what is printed where."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from nlp_lstm.cli import main
from nlp_lstm.evaluation import Comparison, Difference


@pytest.fixture
def compared(task: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The calls of a stand-in for `nlp_lstm.tasks.compare`; every run folder but `other` holds the stand-in model."""
    calls: list[Any] = []
    difference = Difference("bits_per_char", "bits", 2.0, 1.5, -0.5, (-0.6, -0.4), {"paired_block_bootstrap": 0.001})

    def compare(a: Any, b: Any, data: Any, split: str) -> Comparison:
        print("a library talks")  # it must not reach stdout
        calls.append((a, b, data, split))
        return Comparison("language_modeling", 99, (difference,), "signed")

    tasks = sys.modules["nlp_lstm.tasks"]
    other = SimpleNamespace(kind="translation", config={})
    monkeypatch.setattr(tasks, "compare", compare, raising=False)
    monkeypatch.setattr(tasks, "load", lambda folder: other if folder == "other" else task)
    return calls


def test_differences_on_stdout_and_what_libraries_say_on_stderr(
    compared: list[Any], task: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "one", "two"]) == 0
    captured = capsys.readouterr()
    assert captured.out == (
        "A one\nB two\nbits_per_char A 2.0000, B 1.5000 bits; B - A -0.5000 (95 % CI -0.6000 to -0.4000); "
        "p 0.0010 (paired block bootstrap)\nsignature signed\n"
    )
    assert captured.err == "a library talks\n"
    assert compared == [(task, task, None, "test")]


def test_json_is_one_object_in_one_line(compared: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "one", "two", "--json"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    read = json.loads(out)
    assert (read["task"], read["n"], read["a"], read["b"]) == ("language_modeling", 99, "one", "two")
    assert read["bits_per_char"]["p_values"] == {"paired_block_bootstrap": 0.001}


def test_other_data_and_its_notes(compared: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "one", "two", "--data", "my_folder", "--split", "valid", "--text-field", "body"]) == 0
    assert "cut of my_folder\n" in capsys.readouterr().err
    ((_, _, data, split),) = compared
    assert (data.data, data.text_field, split) == ("my_folder", "body", "valid")


def test_runs_of_two_tasks_reach_the_comparison_that_refuses_them(
    compared: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "one", "other", "--data", "my_folder"]) == 0
    assert "cut of" not in capsys.readouterr().err
    assert compared[0][1].kind == "translation"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one"], "RUN_B is missing."),
        (
            ["one", "two", "--split", "valid", "--label-field", "x"],
            "--label-field describes --data, which is not given",
        ),
        (["one", "two", "--data", "d", "--source", "de"], "--source says nothing about data for language modeling."),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, compared: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"nlp-lstm: {message}")
    assert captured.err.count("\n") == 1
    assert compared == []
