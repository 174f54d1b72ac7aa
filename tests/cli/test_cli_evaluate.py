"""`nlp-lstm evaluate`: which data is scored, and what is printed where."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nlp_lstm.cli import main
from nlp_lstm.evaluation import classification_scores, summary_scores, translation_scores


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
        (["run", "--label-field", "f", "--text-field", "t"], "--label-field, --text-field describe --data, which is"),
        (["run", "--data", "x", "--label-field", "f"], "--label-field says nothing about data for language modeling."),
        (["run", "--plot", "pictures"], "--plot draws the scores of a classifier; run is for language modeling."),
        (["run", "--hypotheses", "h"], "--hypotheses takes the place of RUN."),
        (["run", "--rouge"], "--rouge is for two files; a run of `summarization` is scored by it anyway."),
        (["--rouge"], "RUN is missing."),
        (["--hypotheses", "h"], "--references is missing"),
        (["--references", "r"], "--hypotheses is missing"),
        (["--hypotheses", "-", "--references", "-"], "Two files cannot both be - (stdin)."),
        (["--hypotheses", "h", "--references", "r", "--data", "x"], "--data, --plot and --ensemble go with a run."),
        (["--hypotheses", "h", "--references", "r", "--ensemble", "x"], "--data, --plot and --ensemble go with a run."),
        (["run", "--ensemble", "x"], "run holds a model for language modeling; --ensemble averages translators."),
        (["--hypotheses", "h", "--references", "r", "--plot", "x"], "--data, --plot and --ensemble go with a run."),
        (
            ["--hypotheses", "h", "--references", "r", "--source", "de"],
            "--source describes --data, which is not given.",
        ),
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


class Recorded:
    """A stand-in for a task or for its options: it remembers what it was made or asked with."""

    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given)


@pytest.fixture
def other_kinds(task: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The run folders `classifier` and `translator`, by name, with the options and readers of their data."""
    probabilities, gold = [[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]], ["a", "b", "b"]
    scores = {
        "classifier": classification_scores(probabilities, gold, "ab", texts=["x", "y", "z"], resamples=2),
        "translator": translation_scores(["one is here"], ["one is here"], sources=["eins"]),
    }
    tasks: dict[str, Any] = {}
    for name, kind in (("classifier", "classification"), ("translator", "translation")):
        tasks[name] = Recorded(kind=kind, config={"data": {"source": "de", "target": "en", "min_words": 3}})
        tasks[name].evaluate = lambda data, split, name=name: setattr(tasks[name], "asked", data) or scores[name]
        tasks[name].scores = scores[name]
    monkeypatch.setattr(sys.modules["nlp_lstm.tasks"], "load", lambda folder: tasks[folder])
    for options, reader in (("LabelledOptions", "load_labelled"), ("PairOptions", "load_pairs")):
        monkeypatch.setattr(sys.modules["nlp_lstm.data"], options, Recorded, raising=False)
        notes = lambda data, reader=reader: SimpleNamespace(notes=[f"{reader} of {data.data}"])  # noqa: E731
        monkeypatch.setattr(sys.modules["nlp_lstm.data"], reader, notes, raising=False)
    return tasks


def test_a_classifier(other_kinds: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--text-field", "t", "--label-field", "l", "--label-separator", ","]
    assert main(["evaluate", "classifier", "--data", "my.csv", *flags]) == 0
    captured = capsys.readouterr()
    classifier = other_kinds["classifier"]
    assert captured.out == f"{classifier.scores.text()}\n\n{classifier.scores.details()}\n"
    assert captured.err == "load_labelled of my.csv\n"
    assert vars(classifier.asked) == {"data": "my.csv", "text_field": "t", "label_field": "l", "label_separator": ","}


def test_translators_are_averaged(other_kinds: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    averaged = translation_scores(["two are here"], ["one is here"], sources=["eins"])
    together: list[Any] = []
    one = other_kinds["translator"]
    one.ensemble = lambda *others: (
        together.extend(others) or Recorded(kind="translation", evaluate=lambda *_, **__: averaged)
    )
    assert main(["evaluate", "translator", "--ensemble", "translator", "--ensemble", "translator", "--json"]) == 0
    assert together == [one, one]
    assert json.loads(capsys.readouterr().out) == averaged.to_json()
    assert main(["evaluate", "translator", "--ensemble", "classifier"]) == 2
    assert "classifier holds a model for classification; --ensemble averages translators." in capsys.readouterr().err


def test_a_translator_keeps_its_languages_unless_others_are_named(
    other_kinds: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "translator", "--data", "my_folder", "--json"]) == 0
    captured = capsys.readouterr()
    translator = other_kinds["translator"]
    assert json.loads(captured.out) == translator.scores.to_json()
    assert captured.err == "load_pairs of my_folder\n"
    assert vars(translator.asked) == {"data": "my_folder", "source": "de", "target": "en"}
    file = tmp_path / "pairs.tsv"
    file.touch()
    assert main(["evaluate", "translator", "--data", str(file), "--source", "2", "--target", "1"]) == 0
    assert (translator.asked.source, translator.asked.target, translator.asked.test_fraction) == ("2", "1", 1.0)
    assert main(["evaluate", "translator"]) == 0
    assert translator.asked is None


def test_pictures_of_a_classifier(
    other_kinds: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pictures"
    assert main(["evaluate", "classifier", "--plot", str(folder), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["accuracy"] == pytest.approx(2 / 3)
    assert sorted(file.name for file in folder.iterdir()) == ["confusion.png", "reliability.png"]
    assert captured.err == f"Drawn: {folder / 'confusion.png'}\nDrawn: {folder / 'reliability.png'}\n"
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    del other_kinds["classifier"].asked
    assert main(["evaluate", "classifier", "--plot", str(folder)]) == 2
    assert "pip install 'nlp-lstm[plot]'" in capsys.readouterr().err
    assert not hasattr(other_kinds["classifier"], "asked")  # said before the scoring, which may take minutes


HYPOTHESES = ["a grey dog runs", "", "the boat is old.", "café open"]
REFERENCES = ["a grey dog ran", "nothing", "the boat is old.", "the café is open"]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """The flags for two files of the lines above, one of them packed, one with the line ends of Windows."""
    (tmp_path / "hypotheses.gz").write_bytes(gzip.compress("\n".join(HYPOTHESES).encode()))
    (tmp_path / "references.txt").write_bytes("".join(f"{line}\r\n" for line in REFERENCES).encode())
    return ["--hypotheses", str(tmp_path / "hypotheses.gz"), "--references", str(tmp_path / "references.txt")]


def test_translations_of_any_system(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = translation_scores(HYPOTHESES, REFERENCES)
    assert main(["evaluate", *files]) == 0
    assert capsys.readouterr().out == f"{expected.text()}\n\n{expected.details()}\n"
    stdin = SimpleNamespace(buffer=io.BytesIO("\n".join(HYPOTHESES).encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["evaluate", "--hypotheses", "-", *files[2:], "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == expected.to_json()
    training = tmp_path / "train.en"
    training.write_text("the boat\nthe café\n")
    assert main(["evaluate", *files, "--training-text", str(training)]) == 0
    expected = translation_scores(HYPOTHESES, REFERENCES, training_text=["the boat", "the café"])
    assert capsys.readouterr().out == f"{expected.text()}\n\n{expected.details()}\n"


def test_summaries_of_any_system(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rouge_score")
    training = tmp_path / "train.txt"
    training.write_text("the boat\nthe café\n")
    expected = summary_scores(HYPOTHESES, REFERENCES)
    assert main(["evaluate", *files, "--rouge"]) == 0
    assert capsys.readouterr().out == f"{expected.text()}\n\n{expected.details()}\n"
    expected = summary_scores(HYPOTHESES, REFERENCES, training_text=["the boat", "the café"])
    assert main(["evaluate", *files, "--rouge", "--training-text", str(training), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == expected.to_json()
    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)
    assert main(["evaluate", *files, "--rouge"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "nlp-lstm: ROUGE needs rouge-score, which is not installed: pip install 'nlp-lstm[rouge]'\n"


def test_translations_of_any_system_need_no_torch(files: list[str]) -> None:
    program = (
        "import sys; from nlp_lstm.cli import main; assert main(sys.argv[1:]) == 0; assert 'torch' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", program, "evaluate", *files], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("bleu ")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("short.txt", b"one\ntwo\n", "has 2 lines and "),
        ("latin.txt", b"one\ncaf\xe9\n", "latin.txt, line 2: not UTF-8 text."),
        ("broken.gz", b"\x1f\x8b\x08broken", "is a damaged gzip file."),
        ("cut.gz", gzip.compress(b"one\n" * 99, mtime=0)[:-12], "is a damaged gzip file."),
        ("absent.txt", None, "cannot be read: No such file"),
    ],
)
def test_a_bad_file_is_one_line_and_exit_code_1(
    name: str, content: bytes | None, message: str, files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert main(["evaluate", "--hypotheses", str(tmp_path / name), *files[2:]]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1
    if name == "short.txt":
        assert "references.txt 4; line i" in captured.err


def test_two_empty_files_are_nothing_to_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        (tmp_path / name).touch()
    assert main(["evaluate", "--hypotheses", str(tmp_path / "a"), "--references", str(tmp_path / "b")]) == 1
    assert "are empty: there is nothing to score." in capsys.readouterr().err
