"""Records: the same rows from every format, the right column, and faults that name file and line."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nlp_lstm.data import DataOptions, load_text
from nlp_lstm.data._columns import choose_column
from nlp_lstm.data._records import RECORD_FORMATS
from nlp_lstm.data._tables import file_table, table_source
from nlp_lstm.errors import DataError

TEXTS = ['He said "no", twice', "", "tab\tand\nline end", "caf\u00e9 \u2028 \U0001f375", "a, b; c"]


def write_table(path: Path, texts: Sequence[str], delimiter: str) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["id", "text"])
        writer.writerows(enumerate(texts))


def write_jsonl(path: Path, texts: Sequence[str]) -> None:
    lines = (json.dumps({"id": number, "text": text}) for number, text in enumerate(texts))
    path.write_text("\n\n".join(lines), encoding="utf-8")  # blank lines are no records


def write_parquet(path: Path, texts: Sequence[str]) -> None:
    pq.write_table(pa.table({"id": range(len(texts)), "text": texts}), path)


def read_texts(path: Path) -> list[str]:
    return list(table_source([file_table(path)], "rows", "text"))


WRITERS: dict[str, Callable[[Path, Sequence[str]], None]] = {
    ".csv": lambda path, texts: write_table(path, texts, ","),
    ".tsv": lambda path, texts: write_table(path, texts, "\t"),
    ".jsonl": write_jsonl,
    ".ndjson": write_jsonl,
    ".parquet": write_parquet,
}


@pytest.mark.parametrize("ending", sorted(RECORD_FORMATS))
def test_every_format_gives_the_same_records(tmp_path: Path, ending: str):
    path = tmp_path / f"rows{ending}"
    WRITERS[ending](path, TEXTS)
    assert read_texts(path) == TEXTS
    source = load_text(DataOptions(str(path), valid_fraction=0, test_fraction=0)).split("train")
    assert source.ends_with_eos
    assert list(source) == list(source) == TEXTS


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl"])
def test_text_formats_may_be_packed(tmp_path: Path, ending: str):
    plain, packed = tmp_path / f"a{ending}", tmp_path / f"b{ending}.gz"
    WRITERS[ending](plain, TEXTS)
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert list(load_text(DataOptions(str(packed), valid_fraction=0, test_fraction=0)).split("train")) == TEXTS


def test_packed_parquet_is_refused(tmp_path: Path):
    path = tmp_path / "a.parquet.gz"
    path.write_bytes(b"")
    with pytest.raises(DataError, match="compressed inside already; unpack it with `gunzip`"):
        load_text(DataOptions(str(path)))


@pytest.mark.parametrize("ending", sorted(RECORD_FORMATS))
def test_the_column_is_found_or_named(tmp_path: Path, ending: str):
    path = tmp_path / f"rows{ending}"
    WRITERS[ending](path, ["one", "two"])
    with pytest.raises(DataError, match=r"no column 'body'\. Its columns: id, text\. Name one with --text-field"):
        load_text(DataOptions(str(path), text_field="body"))


def test_several_rows_of_parquet_batches_are_all_read(tmp_path: Path):
    texts = [f"row {number}" for number in range(1000)]
    write_parquet(tmp_path / "a.parquet", texts)
    assert read_texts(tmp_path / "a.parquet") == texts


@pytest.mark.parametrize(
    ("columns", "asked", "chosen"),
    [
        ({"content": True, "sentence": True, "text": True}, None, "text"),
        ({"content": True, "sentence": True}, None, "sentence"),
        ({"title": True, "content": True}, None, "content"),
        ({"Title": True, "Review": True}, None, "Review"),
        ({"text": False, "body": True, "stars": False}, None, "body"),
        ({"text": True, "title": True}, "title", "title"),
    ],
)
def test_which_column_holds_the_text(columns: dict[str, bool], asked: str | None, chosen: str):
    assert choose_column("rows.csv", columns, asked) == chosen


@pytest.mark.parametrize("columns", [{"title": True, "body": True}, {"stars": False}])
def test_an_unclear_column_is_asked_for(columns: dict[str, bool]):
    with pytest.raises(DataError, match=f"not clear which column of rows.csv.*{', '.join(columns)}.*--text-field"):
        choose_column("rows.csv", columns, None)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"text": "x"}\n{"text": \n', r"line 2 is not valid JSON \(Expecting value\)"),
        ("a.jsonl", '{"text": "x"}\n\n["x"]\n', r"line 3 is not a JSON object but \['x'\]"),
        ("a.jsonl", "[" * 100_000, "line 1 is not valid JSON"),
        ("a.jsonl", '{"text": "x"}\n{"text": "\\ud83d"}', "line 2 is not valid JSON .*surrogates not allowed"),
        ("a.jsonl", '{"text": "x"}\n{"body": "y"}', r"line 2 has no 'text'; it has: body\. .*--text-field"),
        ("a.jsonl", '{"text": "x"}\n{"text": null}', "line 2: column 'text' holds nothing where text is expected"),
        ("a.jsonl", '{"text": "x"}\n{"text": 5}', "line 2: column 'text' holds 5 where text is expected"),
        ("a.jsonl", "\n \n", "is empty: it holds no records"),
        (
            "a.csv",
            'text,id\n"x",1\n\n"open,2\nmore,3\n',
            r"record that starts at line 4: unexpected end of data\. A quote",
        ),
        ("a.csv", 'text,id\n"x"y,1\n', "record that starts at line 2: ',' expected after '\"'"),
        ("a.csv", "text,id\nx,1\ny\n", r"line 3 has 1 column, but the first line has 2: text, id\..*quotes around"),
        ("a.tsv", "text\tid\nx\t1\t2\n", r"line 2 has 3 columns, but the first line has 2: text, id\."),
        ("a.csv", "", "is empty: it holds no records"),
        ("a.csv", "text,id\n", "is empty"),
        ("a.csv", "text,id\n \t,1\n", "holds only whitespace"),
        ("a.csv", "text\nM\udcfcller\n", "not UTF-8 at byte 6, line 2"),
    ],
)
def test_faults_name_the_file_and_the_line(tmp_path: Path, name: str, content: str, message: str):
    path = tmp_path / name
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=message) as caught:
        list(load_text(DataOptions(str(path), valid_fraction=0, test_fraction=0)).split("train"))
    assert str(path) in str(caught.value)


def test_a_quote_never_closed_does_not_swallow_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("nlp_lstm.data._delimited._LONGEST_FIELD", 1000)
    path = tmp_path / "a.csv"
    path.write_text('text,id\n"x,1\n' + "y,2\n" * 100_000)
    before = csv.field_size_limit(1000)
    try:
        with pytest.raises(DataError, match="record that starts at line 2: field larger than field limit"):
            read_texts(path)
    finally:
        csv.field_size_limit(before)


def test_a_field_longer_than_the_csv_default_is_read(tmp_path: Path):
    write_table(tmp_path / "a.csv", ["z" * 200_000], ",")
    assert [len(text) for text in read_texts(tmp_path / "a.csv")] == [200_000]


def test_null_in_parquet_names_the_row(tmp_path: Path):
    pq.write_table(pa.table({"text": ["a", None]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet, row 2: column 'text' holds nothing"):
        read_texts(tmp_path / "a.parquet")


def test_what_is_no_parquet_file_is_refused(tmp_path: Path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 and nothing more")
    with pytest.raises(DataError, match=r"a\.parquet is not a parquet file, or is damaged"):
        load_text(DataOptions(str(path)))


def test_parquet_that_may_not_be_read_is_an_error_with_the_reason(tmp_path: Path):
    with pytest.raises(DataError, match=r"gone\.parquet cannot be read"):
        RECORD_FORMATS[".parquet"].columns(tmp_path / "gone.parquet")


def test_parquet_damaged_inside_names_the_row(tmp_path: Path):
    path = tmp_path / "a.parquet"
    table = pa.table({"text": [f"row {number} of some text" for number in range(2000)]})
    pq.write_table(table, path, row_group_size=1000, use_dictionary=False, compression="gzip")
    data = bytearray(path.read_bytes())
    second = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data[second : second + 200] = b"\xff" * 200
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.parquet is damaged after row \d"):
        read_texts(path)
