"""`nlp-lstm evaluate RUN --training-text FILE`: words of a translator's references by how often training had them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nlp_lstm.cli import main
from nlp_lstm.evaluation import TranslationScores, translation_scores


class FakeRun:
    """A run that remembers what it was given to be scored by."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.given: dict[str, Any] = {}

    def evaluate(self, data: Any, split: str, **given: Any) -> TranslationScores:
        self.given = given
        return translation_scores(["a boat"], ["a boat"], **given)


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    """The translator that is loaded for any run folder."""
    found = FakeRun("translation")
    monkeypatch.setattr("nlp_lstm.tasks.load", lambda folder: found)
    return found


def test_a_run_is_scored_by_the_words_of_a_file(
    tmp_path: Path, task: FakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    training = tmp_path / "train.en"
    training.write_text("the boat\nthe café\n", encoding="utf-8")
    assert main(["evaluate", "run", "--training-text", str(training)]) == 0
    assert task.given == {"training_text": ["the boat", "the café"]}
    assert "Words of the references by how often the training text has them:" in capsys.readouterr().out
    assert main(["evaluate", "run"]) == 0
    assert task.given == {}, "a run knows its own training text"


def test_the_json_object_shows_the_words_that_are_counted(
    tmp_path: Path, task: FakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    training = tmp_path / "train.en"
    training.write_text("the boat\n", encoding="utf-8")
    assert main(["evaluate", "run", "--training-text", str(training), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["by_frequency"] == [
        {"low": 0, "high": 0, "words": 1, "recall": 1.0, "f1": 1.0},
        {"low": 1, "high": 1, "words": 1, "recall": 1.0, "f1": 1.0},
    ]
    assert main(["evaluate", "run", "--json"]) == 0
    assert task.given == {}, "the JSON object shows the words that a run has counted"


def test_a_run_of_another_kind_has_no_words_to_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nlp_lstm.tasks.load", lambda folder: FakeRun("classification"))
    assert main(["evaluate", "run", "--training-text", str(tmp_path / "any")]) == 2
    assert "--training-text is for translators and summarizers" in capsys.readouterr().err
