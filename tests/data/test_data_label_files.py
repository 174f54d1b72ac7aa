"""Folders of labelled texts: files that say the split, the label or both, and a folder for each label."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from nlp_lstm.data import LabelledData, LabelledOptions, load_labelled
from nlp_lstm.errors import DataError


def load(data: object, **options: object) -> LabelledData:
    return load_labelled(LabelledOptions(str(data), **options))


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    return folder


def rows(data: LabelledData, split: str) -> list[tuple[str, str]]:
    return [(text, *labels) for text, labels in zip(data.split(split).texts, data.split(split).labels, strict=True)]


POSITIVE = "what a night\nsoup for all \r\n\nwarm\n"
NEGATIVE = "cold feet\nno soup\n"
EXPECTED = [
    *[(text, "pos") for text in ("what a night", "soup for all", "warm")],
    ("cold feet", "neg"),
    ("no soup", "neg"),
]


@pytest.mark.parametrize(
    "names",
    [
        ("pos.txt", "neg.txt"),
        ("pos", "neg"),
        ("soup-reviews.pos.gz", "soup-reviews.neg"),
        ("soup.pos.txt", "soup.neg.txt"),
        ("reviews_pos.txt", "reviews_neg.txt.gz"),
    ],
)
def test_a_file_a_label_and_a_line_a_text(tmp_path: Path, names: tuple[str, str]):
    write(tmp_path, {names[0]: POSITIVE, names[1]: NEGATIVE, "README.md": "about\nit"})
    data = load(tmp_path, valid_fraction=0, test_fraction=0)
    assert sorted(rows(data, "train")) == sorted(EXPECTED)
    assert data.notes == [f"Left out of {tmp_path.name}, since there are no labels in them: README.md"]
    assert data.description == f"folder {tmp_path.name}"
    assert f"{tmp_path / names[0]}, line 4" in data.split("train").places


def test_names_say_split_and_label(tmp_path: Path):
    write(
        tmp_path,
        {"train.pos": POSITIVE, "train.neg": NEGATIVE, "dev.pos.txt": "x\n", "test.neg.gz": "y\nz\n", "more": "?"},
    )
    data = load(tmp_path)
    assert sorted(rows(data, "train")) == sorted(EXPECTED)
    assert rows(data, "valid") == [("x", "pos")]
    assert rows(data, "test") == [("y", "neg"), ("z", "neg")]
    assert data.notes == [f"Left out of {tmp_path.name}, since no split is in the name: more"]


def test_a_folder_a_label_and_a_file_a_text(tmp_path: Path):
    files = {"pos/1.txt": "two\nlines\n", "pos/2.txt": "x", "neg/1.txt.gz": "y\n", "neg/.hidden": "z"}
    write(tmp_path, files)
    data = load(tmp_path, valid_fraction=0, test_fraction=0)
    assert rows(data, "train") == [("y", "neg"), ("two\nlines", "pos"), ("x", "pos")]
    assert data.split("train").places[0] == str(tmp_path / "neg" / "1.txt.gz")


def test_splits_with_a_folder_a_label(tmp_path: Path):
    texts = {f"train/{label}/{n}_{n % 10}.txt": f"{label} text {n}" for label in ("pos", "neg") for n in range(20)}
    more = {"test/pos/0.txt": "t", "train/unsup/0.txt": "no label", "train/words.feat": "1:2", "vocab": "the"}
    write(tmp_path, texts | more)
    data = load(tmp_path, valid_fraction=0.1)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 36, "valid": 4, "test": 1}
    assert rows(data, "test") == [("t", "pos")]
    assert "Left out of train, since the name says that it has no labels: unsup" in data.notes
    assert data.description == f"folder {tmp_path.name} (test, train)"


def test_splits_as_folders_of_files_a_label(tmp_path: Path):
    write(
        tmp_path, {"train/pos.txt": POSITIVE, "train/neg.txt": NEGATIVE, "valid/pos.txt": "x\n", "valid/neg.txt": "y\n"}
    )
    data = load(tmp_path)
    assert sorted(rows(data, "train")) == sorted(EXPECTED)
    assert sorted(rows(data, "valid")) == [("x", "pos"), ("y", "neg")]


def test_files_with_labels_inside_go_before_what_has_none(tmp_path: Path):
    write(tmp_path, {"a_rated.txt": "x y\t1\nz\t0\n", "b_rated.txt": "w v u\t1\n", "thanks.txt": "to all\n"})
    data = load(tmp_path, valid_fraction=0, test_fraction=0)
    assert rows(data, "train") == [("x y", "1"), ("z", "0"), ("w v u", "1")]
    assert data.notes[0] == f"Left out of {tmp_path.name}, since there are no labels in them: thanks.txt"


def test_the_training_file_tells_the_columns_of_the_others(tmp_path: Path):
    rare = "a word\t3\nmany more words\t4\n"  # alone, nothing shows that this is no header
    write(tmp_path, {"dev.tsv": rare, "train.tsv": "good soup\t3\nbad soup\t4\ncold\t4\nwarm\t3\n"})
    data = load(tmp_path)
    assert rows(data, "valid") == [("a word", "3"), ("many more words", "4")]


def test_a_pattern_of_labelled_files(tmp_path: Path):
    write(tmp_path, {"1.jsonl": '{"text": "x", "label": 1}\n', "2.jsonl": '{"text": "y", "label": 0}\n'})
    data = load(f"{tmp_path}/*.jsonl", valid_fraction=0, test_fraction=0)
    assert rows(data, "train") == [("x", "1"), ("y", "0")]
    assert data.description == "2 files *.jsonl"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no labelled texts. Put in files that say the split"),
        ({"README.md": "x"}, "holds no labelled texts"),
        ({"pos.txt": "", "neg.txt": "x"}, r"All 1 training texts"),
        ({"train.pos": "", "train.neg": "", "test.pos": "x"}, r"train\.neg and .*train\.pos holds no texts"),
        ({"one.txt": "just text\n"}, "All 1 training texts of .* have the label 'one'"),
        ({"train.txt": "just text\n"}, r"train\.txt has no label: neither its lines .* nor its name \(pos\.txt"),
        ({"train.txt": "1\tx\n", "test.txt": "y"}, r"test\.txt has no label: neither its lines"),
        ({"pos/1.txt": "x", "neg/1.txt": " \n"}, r"neg/1\.txt has a label, but no text"),
        ({"train/pos/1.txt": "x", "Train/pos/1.txt": "x"}, "are both train: remove one"),
        ({"train.pos": "x\n", "train.neg": "z\n", "test.mixed": "y\n"}, r"test\.mixed, line 1 has the label 'mixed'"),
    ],
)
def test_a_folder_that_cannot_be_used_says_why(tmp_path: Path, files: dict[str, str], message: str):
    write(tmp_path, files)
    with pytest.raises(DataError, match=message):
        load(tmp_path, valid_fraction=0, test_fraction=0)
