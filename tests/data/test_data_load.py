"""From --data to splits: files, folders, the built-in text, and what is said when nothing fits."""

from __future__ import annotations

import os
import sys
from itertools import islice
from pathlib import Path

import pytest

from nlp_lstm.data import DataOptions, TextData, TextSource, load_text
from nlp_lstm.data._tables import kind_of
from nlp_lstm.errors import DataError, UsageError


def load(data: object, **options: object) -> TextData:
    return load_text(DataOptions(str(data), **options))


def text_of(source: TextSource | None) -> str | None:
    return None if source is None else "".join(source)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.txt", ".txt"),
        ("a", ".txt"),
        ("wiki.valid.tokens.gz", ".txt"),
        ("a.csv.gz", ".csv"),
        ("A.JSONL", ".jsonl"),
        ("train-00000-of-00001.parquet", ".parquet"),
    ],
)
def test_the_ending_says_how_a_file_is_read(name: str, kind: str):
    assert kind_of(Path(name)) == kind


# 1,115,394 is the length of the "Tiny Shakespeare" file; karpathy/nanoGPT, data/shakespeare_char/readme, gives
# train.bin 1,003,854 tokens and val.bin 111,540.
@pytest.mark.parametrize(
    ("total", "valid", "test", "sizes"),
    [
        (1_115_394, 0.1, 0, (1_003_854, 111_540, None)),
        (10, 0.3, 0.6, (1, 3, 6)),  # 1 - 0.3 - 0.6 is 0.10000000000000003 in floats, and 0.7 - 0.6 less than 0.1
        (10, 0.1, 0.2, (7, 1, 2)),  # 1 - 0.1 - 0.2 is 0.7000000000000001, 0.9 - 0.2 is 0.7
        (100, 0.0, 0.29, (71, None, 29)),  # 0.71 * 100 is 71, 0.29 * 100 is 28.999999999999996
        (3, 0.25, 0.25, (1, 1, 1)),
        (10, 0, 0, (10, None, None)),
        (10, 0, 1, (None, None, 10)),
    ],
)
def test_a_single_file_is_cut_by_position(tmp_path: Path, total: int, valid: float, test: float, sizes):
    path = tmp_path / "t.txt"
    text = ("\u00e9bcdefghi\n" * (total // 10 + 1))[:total]  # a character is not a byte
    path.write_text(text, encoding="utf-8", newline="")
    data = load(path, valid_fraction=valid, test_fraction=test)
    parts = [text_of(part) for part in (data.train, data.valid, data.test)]
    assert tuple(None if part is None else len(part) for part in parts) == sizes
    assert "".join(part or "" for part in parts) == text


@pytest.mark.parametrize(
    ("limit", "valid", "test", "sizes"),
    [
        (30, 0.2, 0.5, (940, 30, 30)),
        (300, 0.2, 0.5, (500, 200, 300)),
        (0, 0.2, 0.5, (300, 200, 500)),
        (30, 0, 1, (970, None, 30)),
    ],
)
def test_no_more_is_held_out_than_the_limit(tmp_path: Path, limit: int, valid: float, test: float, sizes):
    path = tmp_path / "t.txt"
    path.write_text("abcdefghi\n" * 100)
    data = load(path, valid_fraction=valid, test_fraction=test, held_out_limit=limit)
    parts = [text_of(part) for part in (data.train, data.valid, data.test)]
    assert tuple(None if part is None else len(part) for part in parts) == sizes
    assert "".join(part or "" for part in parts) == "abcdefghi\n" * 100


def test_the_cut_is_told(tmp_path: Path):
    path = tmp_path / "t.txt"
    path.write_text("word " * 1000)
    data = load(path, valid_fraction=0.1, test_fraction=0.2)
    assert data.notes == [
        "t.txt is split by position: the first 3,500 characters are train, the next 500 characters are valid, "
        "the next 1,000 characters are test"
    ]
    assert data.description == "file t.txt"
    assert data.split("valid").name == "t.txt, valid part"


def test_records_are_cut_by_record(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("text\n" + "".join(f"row {number}\n" for number in range(10)))
    data = load(path, valid_fraction=0.2, test_fraction=0.1)
    rows = [f"row {number}" for number in range(10)]
    assert [list(data.split(name)) for name in ("train", "valid", "test")] == [rows[:7], rows[7:9], rows[9:]]
    assert data.split("test").ends_with_eos
    assert "the first 7 records are train" in data.notes[0]


def test_the_parts_of_a_large_text_are_exact(tmp_path: Path):
    path = tmp_path / "t.txt"
    text = "".join(f"line {number} of a longer text\n" for number in range(100_000))
    path.write_text(text)
    data = load(path, valid_fraction=0.25, test_fraction=0.25)
    assert "".join(text_of(data.split(name)) or "" for name in ("train", "valid", "test")) == text
    assert all(len(piece) <= 1 << 20 for piece in data.split("train"))


def test_a_text_too_short_to_split_is_refused(tmp_path: Path):
    path = tmp_path / "t.txt"
    path.write_text("tiny")
    with pytest.raises(DataError, match=r"t\.txt is too short to split: of its 4 characters, none is left for valid"):
        load(path, valid_fraction=0.1, test_fraction=0.1)


def test_a_folder_is_read_by_the_splits_in_its_names(tmp_path: Path):
    for name, text in {
        "train.b.txt": "second ",
        "train.a.txt": "first ",
        "wiki.valid.tokens": "v",
        "my_TEST-file.txt": "t",
        "README.md": "about",
        ".train.txt.swp": "hidden",
    }.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "train").mkdir()
    data = load(tmp_path)
    assert [text_of(part) for part in (data.train, data.valid, data.test)] == ["first second ", "v", "t"]
    assert data.notes == [f"Left out of {tmp_path.name}, since no split is in the name: README.md"]
    listed = "train: train.a.txt, train.b.txt; valid: wiki.valid.tokens; test: my_TEST-file.txt"
    assert data.description == f"folder {tmp_path.name} ({listed})"


@pytest.mark.parametrize("word", ["valid", "val", "validation", "dev"])
def test_all_words_for_validation_are_known(tmp_path: Path, word: str):
    (tmp_path / "train.txt").write_text("t")
    (tmp_path / f"{word}.txt").write_text("v")
    data = load(tmp_path)
    assert text_of(data.valid) == "v"
    assert data.test is None
    assert data.notes == []


def test_validation_is_held_out_of_training_where_only_the_test_is_there(tmp_path: Path):
    (tmp_path / "train.txt").write_text("0123456789")
    (tmp_path / "test.txt").write_text("t")
    data = load(tmp_path, valid_fraction=0.2, test_fraction=0.3)
    assert [text_of(part) for part in (data.train, data.valid, data.test)] == ["01234567", "89", "t"]
    assert "the first 8 characters are train, the next 2 characters are valid" in data.notes[0]
    assert load(tmp_path, valid_fraction=0, test_fraction=0.3).valid is None


def test_a_folder_with_only_training_data_gives_both(tmp_path: Path):
    (tmp_path / "train.txt").write_text("0123456789")
    data = load(tmp_path, valid_fraction=0.2, test_fraction=0.1)
    assert [text_of(part) for part in (data.train, data.valid, data.test)] == ["0123456", "78", "9"]


def test_a_folder_may_hold_only_a_test(tmp_path: Path):
    (tmp_path / "test.txt").write_text("t")
    data = load(tmp_path)
    assert text_of(data.split("test")) == "t"
    with pytest.raises(DataError, match=r"has no train split, only: test\. Choose one of these with --split"):
        data.split("train")
    with pytest.raises(UsageError, match=r"no split named 'tset'\. Did you mean 'test'"):
        data.split("tset")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["a.txt", "b.txt"],
            r"No file name in .* says a split; it holds a\.txt, b\.txt\. Name them train\.txt.*--data .*a\.txt",
        ),
        ([f"{number:02}.txt" for number in range(12)], "09[.]txt and 2 more"),
        ([], "holds no files"),
        (["train_test.txt"], r"train_test\.txt says two splits, test and train: rename it"),
        (["train.txt", "train.csv"], r"\(train\) mixes plain text with files of records: train\.csv, train\.txt"),
        (["train.txt", "train.txt.gz"], r"train\.txt\.gz is there unpacked as well"),
    ],
)
def test_a_folder_that_cannot_be_used_says_why(tmp_path: Path, names: list[str], message: str):
    for name in names:
        (tmp_path / name).write_text("text\nx\n")
    with pytest.raises(DataError, match=message):
        load(tmp_path)


def test_a_damaged_test_file_is_found_before_training(tmp_path: Path):
    (tmp_path / "train.txt").write_text("good")
    (tmp_path / "test.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"test\.txt is not UTF-8"):
        load(tmp_path)


def test_files_of_records_may_mix_their_formats(tmp_path: Path):
    (tmp_path / "train.csv").write_text("text\nx\n")
    (tmp_path / "train.jsonl").write_text('{"text": "y"}')
    assert list(load(tmp_path, valid_fraction=0, test_fraction=0).split("train")) == ["x", "y"]


@pytest.mark.parametrize(
    ("content", "fault"), [("", "is empty"), ("\ufeff", "is empty"), (" \n\t\u2028", "holds only whitespace")]
)
def test_a_file_without_text_is_refused(tmp_path: Path, content: str, fault: str):
    (tmp_path / "a.txt").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=rf"a\.txt {fault}\. Give a file with text in it"):
        load(tmp_path / "a.txt")


def test_a_folder_that_may_not_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match=f"{tmp_path} cannot be read: Permission denied"):
        load(tmp_path)


def test_a_path_that_cannot_be_looked_at_is_an_error():
    with pytest.raises(DataError, match="cannot be looked at: File name too long"):
        load("x" * 5000)


def test_a_pipe_is_refused(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="is a pipe or a device, but the text is read more than once"):
        load(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("asked", "hint"),
    [("pydok", "Did you mean 'pydoc'"), ("boook.txt", "Did you mean '.*book[.]txt'"), ("nowhere/at/all", "a hub id")],
)
def test_a_missing_path_suggests_what_is_near(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, hint: str):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "book.txt").write_text("b")
    with pytest.raises(DataError, match=f"There is no file or folder '{asked}'.*{hint}.*pydoc"):
        load(asked)


def test_the_home_folder_may_be_shortened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "book.txt").write_text("b")
    assert text_of(load("~/book.txt", valid_fraction=0, test_fraction=0).train) == "b"


def test_pydoc_is_the_documentation_that_python_carries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    topics = pytest.importorskip("pydoc_data.topics").topics
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pydoc").write_text("a file of that name does not stand in for it")
    data = load("pydoc", valid_fraction=0.1, test_fraction=0)
    text = "\n\n".join(topics[key] for key in sorted(topics))
    assert (text_of(data.train) or "") + (text_of(data.valid) or "") == text
    assert len(text_of(data.train) or "") == len(text) * 9 // 10
    version = ".".join(map(str, sys.version_info[:2]))
    assert data.description.startswith(f"pydoc_data.topics of Python {version}")
    assert f"({len(text):,} characters)" in data.description


def test_without_pydoc_the_error_names_data(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(DataError, match=r"pydoc_data, which this Python was installed without.*--data FILE"):
        load("pydoc")


def test_reading_may_stop_early_and_start_again(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("text\n" + "row\n" * 100)
    source = load(path).split("train")
    assert list(islice(source, 2)) == ["row", "row"]
    assert len(list(source)) == 90
