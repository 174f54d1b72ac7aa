"""Data that somebody made to do harm, or that something broke: refused in a sentence that fits a screen."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nlp_lstm.data import DataOptions, LabelledOptions, PairOptions, lasting_name, load_labelled, load_pairs, load_text
from nlp_lstm.data._cache import TokenCache
from nlp_lstm.data._plain import read_lines
from nlp_lstm.errors import DataError


def refused(path: Path | str, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        list(load_text(DataOptions(str(path), valid_fraction=0, test_fraction=0)).split("train"))
    assert len(str(caught.value)) < 2500
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("name", "begin"), [("a.jsonl", '{"text": "'), ("a.csv", 'text,x\n"'), ("a.tsv", "text\tx\n")])
def test_a_line_without_an_end_is_not_taken_into_memory(
    tmp_path: Path, name: str, begin: str, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nlp_lstm.data._plain.LONGEST_LINE", 3_000_000)
    content = (begin + "x" * 5_000_000).encode()
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    refused(path, rf"line {1 + begin.count(chr(10))} has more than 3,000,000 characters")


def test_a_long_line_is_counted_from_its_own_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlp_lstm.data._plain.CHUNK_BYTES", 4)
    monkeypatch.setattr("nlp_lstm.data._plain.LONGEST_LINE", 8)
    path = tmp_path / "a.txt"
    path.write_text("12345678\n1234\n12345678\n")
    assert len(list(read_lines(path))) == 3
    path.write_text("12345678\n1234\n1234567890abcdef")
    with pytest.raises(DataError, match="line 3 has more than 8 characters"):
        list(read_lines(path))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("a\0b", "has a NUL character"),
        ("shards/*\0", "has a NUL character"),
        ("~nobody-of-this-name/text.txt", "names the home of a user whom there is not here"),
        ("x" * 300, "cannot be looked at: File name too long"),
        ("../../no/such/file.txt", "There is no file or folder"),
    ],
)
def test_a_name_that_no_file_can_have(data: str, words: str) -> None:
    refused(data, words)


def test_a_lasting_name_is_refused_as_well() -> None:
    with pytest.raises(DataError, match="has a NUL character"):
        lasting_name("a\0b")


@pytest.mark.parametrize("value", [[[]], "x" * 10_000, {"a": {"b": [1]}}, 10**400, -1e300, True])
@pytest.mark.parametrize("depth", [0, 900])
def test_what_stands_where_text_belongs_is_told_briefly(tmp_path: Path, value: object, depth: int) -> None:
    text = "[" * depth + json.dumps(value) + "]" * depth
    (tmp_path / "a.jsonl").write_text('{"text": "fine"}\n{"text": ' + text + "}\n")
    if isinstance(value, str) and not depth:
        load_text(DataOptions(str(tmp_path / "a.jsonl"), valid_fraction=0, test_fraction=0))
    else:
        refused(tmp_path / "a.jsonl", "line 2.*(where text is expected|is not valid JSON)")


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl"])
def test_many_columns_and_strange_names_are_not_all_told(tmp_path: Path, ending: str) -> None:
    names = ["\x1b[2J", *(f"column {number}" for number in range(3000))]
    separator = "\t" if ending == ".tsv" else ","
    row = json.dumps(dict.fromkeys(names, "x")) if ending == ".jsonl" else separator.join(names)
    path = tmp_path / f"a{ending}"
    path.write_text(f"{row}\n")
    refused(path, r"Its columns: '\\x1b\[2J', column 0, .* and 2,981 more")
    for load, options in ((load_labelled, LabelledOptions), (load_pairs, PairOptions)):
        with pytest.raises(DataError) as caught:
            load(options(str(path)))
        assert len(str(caught.value)) < 2500


def test_columns_of_one_name_in_parquet(tmp_path: Path) -> None:
    column = pa.array(["one", "two"])
    pq.write_table(pa.Table.from_arrays([column, column], names=["text", "text"]), tmp_path / "a.parquet")
    refused(tmp_path / "a.parquet", r"a\.parquet is damaged after row 0")


def test_text_with_tabs_whose_first_line_names_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("label\ttext\ncalm\tno wind\nwild\ta storm\n")
    train = load_labelled(LabelledOptions(str(path), valid_fraction=0, test_fraction=0)).split("train")
    assert train.texts == ["no wind", "a storm"]
    assert train.labels == [("calm",), ("wild",)]


@pytest.mark.parametrize("length", range(0, 500, 41))
def test_a_parquet_file_that_is_cut_short(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["one", "two"]}), path)
    os.truncate(path, length)
    refused(path, r"a\.parquet is not a parquet file, or is damaged")


@pytest.mark.parametrize("ending", [".txt", ".jsonl", ".csv", ".parquet", ".txt.gz"])
def test_pipes_devices_and_gigabytes_of_nothing(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    os.mkfifo(path)
    refused(path, "is a pipe or a device")
    path.unlink()
    path.symlink_to("/dev/zero")
    refused(path, "is a pipe or a device")
    path.unlink()
    with path.open("wb") as file:
        file.truncate(2**31)
    refused(path, "NUL byte|not a parquet file|damaged or incomplete gzip")


@pytest.mark.parametrize(
    "meta",
    ['{"tokens": Infinity, "unknown": 0}', '{"tokens": 1e999, "unknown": 0}', "[" * 100_000, "[]", '{"tokens": -1}'],
)
def test_a_damaged_entry_of_the_token_cache_is_made_anew(tmp_path: Path, meta: str) -> None:
    cache = TokenCache(tmp_path, "some text", np.dtype(np.uint16))
    cache.entry.mkdir()
    (cache.entry / "ids.bin").write_bytes(b"\1\0")
    (cache.entry / "meta.json").write_text('{"tokens": 1, "unknown": 0}')
    assert cache.find() is not None
    (cache.entry / "meta.json").write_text(meta)
    assert cache.find() is None
