"""What a name stands for: patterns, built-in data of each content, names that last."""

from __future__ import annotations

import gzip
import json
import os
import sys
from pathlib import Path

import pytest

from nlp_lstm.data import (
    DataOptions,
    LabelledOptions,
    PairOptions,
    lasting_name,
    load_labelled,
    load_pairs,
    load_text,
)
from nlp_lstm.errors import DataError


def shard(folder: Path, number: int) -> None:
    record = json.dumps({"text": f"shard {number}"}) + "\n"
    (folder / f"part-{number:02}.jsonl.gz").write_bytes(gzip.compress(record.encode()))


def test_the_files_of_a_pattern_are_one_text_in_the_order_of_their_names(tmp_path: Path):
    for number in (2, 0, 10, 1):
        shard(tmp_path, number)
    (tmp_path / "part-03.jsonl.gz").mkdir()
    (tmp_path / "about.txt").write_text("not fitting")
    data = load_text(DataOptions(f"{tmp_path}/part-*.jsonl.gz", valid_fraction=0.25, test_fraction=0))
    assert list(data.split("train")) == ["shard 0", "shard 1", "shard 2"]
    assert list(data.split("valid")) == ["shard 10"]
    assert data.description == "4 files part-*.jsonl.gz"


def test_plain_files_of_a_pattern_follow_on_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.txt").write_text("one ")
    (tmp_path / "2.txt").write_text("two ")
    monkeypatch.chdir(tmp_path)
    data = load_text(DataOptions("**/*.txt", valid_fraction=0, test_fraction=0))
    assert "".join(data.split("train")) == "two one "


def test_a_pattern_that_fits_nothing_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"No file fits the pattern '.*x\*\.txt'"):
        load_text(DataOptions(f"{tmp_path}/x*.txt"))


def test_a_pattern_that_fits_a_pipe_is_refused(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(DataError, match="is a pipe or a device"):
        load_text(DataOptions(f"{tmp_path}/p*.txt"))


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path):
    (tmp_path / "a[1].txt").write_text("itself")
    data = load_text(DataOptions(str(tmp_path / "a[1].txt"), valid_fraction=0, test_fraction=0))
    assert "".join(data.split("train")) == "itself"


def test_names_that_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "book.txt").write_text("x")
    assert lasting_name("book.txt") == str(tmp_path.resolve() / "book.txt")
    assert lasting_name("shards/*.txt") == str(tmp_path.resolve() / "shards" / "*.txt")
    for name in ("pydoc", "reviews", "phrases", "owner/name"):
        assert lasting_name(name) == name


@pytest.mark.parametrize(
    ("load", "options", "message"),
    [
        (load_text, DataOptions("reviews"), "'reviews' is labelled texts, and text .* Built-in with that: pydoc"),
        (load_labelled, LabelledOptions("pydoc"), r"'pydoc' is text, and labelled texts .*: reviews\..*\./pydoc"),
        (load_pairs, PairOptions("reviews"), "'reviews' is labelled texts, and pairs of texts .*: phrases"),
        (load_pairs, PairOptions("phrase"), "no file or folder 'phrase'. Did you mean 'phrases'"),
    ],
)
def test_built_in_data_of_another_content_is_refused(load, options: DataOptions, message: str):
    with pytest.raises(DataError, match=message):
        load(options)


def test_built_in_reviews_are_labelled():
    data = load_labelled(LabelledOptions("reviews"))
    assert list(data.splits) == ["train", "valid", "test"]
    assert {label for labels in data.split("test").labels for label in labels} == {"negative", "positive"}
    assert data.split("train").places[1] == "reviews, train 2"
    assert data.notes == []
    assert "synthetic" in data.description


def test_built_in_phrases_are_pairs(monkeypatch: pytest.MonkeyPatch):
    asked = []

    def phrases(source: str, target: str, seed: int = 0) -> dict[str, list[tuple[str, str]]]:
        asked.append((source, target))
        return {"train": [("eins", "one"), ("zwei", "two")], "valid": [("drei", "three")], "test": [("vier", "four")]}

    module = type("Module", (), {"phrases": staticmethod(phrases)})
    monkeypatch.setitem(sys.modules, "nlp_lstm.data._phrases", module)
    data = load_pairs(PairOptions("phrases"))
    load_pairs(PairOptions("phrases", source="fr", target="ja"))
    assert asked == [("de", "en"), ("fr", "ja")]
    assert data.split("train").sources == ["eins", "zwei"]
    assert data.split("test").targets == ["four"]
    assert data.description == "phrases de-en, composed from locale data (synthetic)"
