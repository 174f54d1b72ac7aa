"""Records from disk: the rows of .jsonl, .csv, .tsv and .parquet files, one at a time.

Every format has two functions: one tells the columns and which of them hold strings, the other yields the values of
the columns asked for, with the line or row they stand in.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nlp_lstm.data._plain import read_lines, unreadable
from nlp_lstm.errors import DataError

TEXT_COLUMNS = ("text", "sentence", "content")
# A quote that is never closed swallows the lines after it; this bounds the memory it can take.
_LONGEST_FIELD = 16 << 20
_PARQUET_ROWS = 256

Row = tuple[int, Sequence[object]]


class RecordFormat(NamedTuple):
    """How to read one kind of file; `place` is the word for what `rows` counts.

    `columns(path)` maps names to whether they hold strings; `rows(path, names)` yields (place, values).
    """

    place: str
    columns: Callable[[Path], dict[str, bool]]
    rows: Callable[[Path, Sequence[str]], Iterator[Row]]


def choose_column(where: str, columns: Mapping[str, bool], text_field: str | None) -> str:
    """Return the column that holds the text: the one asked for, else a usual name, else the only one of strings.

    Raises:
        DataError: There is no such column, or none or several could be meant.
    """
    there = ", ".join(columns) or "none"
    if text_field is not None:
        if text_field in columns:
            return text_field
        raise DataError(f"{where} has no column {text_field!r}. Its columns: {there}. Name one with --text-field.")
    strings = [name for name, holds_strings in columns.items() if holds_strings]
    for name in TEXT_COLUMNS:
        if name in strings:
            return name
    if len(strings) == 1:
        return strings[0]
    raise DataError(
        f"It is not clear which column of {where} holds the text. Its columns: {there}. Name it with --text-field."
    )


def read_texts(path: Path, kind: str, column: str) -> Iterator[str]:
    """Yield the text of each record of a file.

    Raises:
        DataError: A record has no text in this column, or the file is damaged there.
    """
    form = RECORD_FORMATS[kind]
    for place, (value,) in form.rows(path, [column]):
        if not isinstance(value, str):
            raise DataError(
                f"{path}, {form.place} {place:,}: column {column!r} holds {_briefly(value)} where text is expected. "
                "Mend or remove it, or name another column with --text-field."
            )
        yield value


def _briefly(value: object) -> str:
    return "nothing" if value is None else repr(value)[:40]


def _jsonl_objects(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    for number, line in enumerate(read_lines(path), 1):
        if line.isspace():
            continue
        try:
            record = json.loads(line)
            if "\\u" in line:
                json.dumps(record, ensure_ascii=False).encode()  # refuses half a surrogate pair, which is no text
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise DataError(
                f"{path}, line {number:,} is not valid JSON ({reason}): each line must hold one object."
            ) from None
        if not isinstance(record, dict):
            raise DataError(
                f"{path}, line {number:,} is not a JSON object but {_briefly(record)}: write each record as "
                '{"text": "..."}, one a line.'
            )
        yield number, record


def _jsonl_columns(path: Path) -> dict[str, bool]:
    for _, record in _jsonl_objects(path):
        return {name: isinstance(value, str) for name, value in record.items()}
    return {}


def _jsonl_rows(path: Path, names: Sequence[str]) -> Iterator[Row]:
    for number, record in _jsonl_objects(path):
        for name in names:
            if name not in record:
                there = ", ".join(record) or "none"
                raise DataError(
                    f"{path}, line {number:,} has no {name!r}; it has: {there}. Mend the line, or name a field that "
                    "every record has with --text-field."
                )
        yield number, [record[name] for name in names]


def _table_lines(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    # The limit is the csv module's only one and belongs to the process; raising it again does no harm.
    csv.field_size_limit(max(_LONGEST_FIELD, csv.field_size_limit()))
    reader = csv.reader(read_lines(path), delimiter=delimiter, strict=True)
    while True:
        first = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise DataError(
                f"{path}, in the record that starts at line {first:,}: {error}. A quote inside a quoted field is "
                'written twice (""), and every quote that opens is closed.'
            ) from None
        if row is None:
            return
        if row:  # the module gives an empty list for a blank line
            yield first, row


def _table_format(delimiter: str) -> RecordFormat:
    def columns(path: Path) -> dict[str, bool]:
        return dict.fromkeys(next(_table_lines(path, delimiter), (0, []))[1], True)

    def rows(path: Path, names: Sequence[str]) -> Iterator[Row]:
        lines = _table_lines(path, delimiter)
        _, header = next(lines, (0, []))
        places = [header.index(choose_column(str(path), dict.fromkeys(header, True), name)) for name in names]
        for number, row in lines:
            if len(row) != len(header):
                raise DataError(
                    f"{path}, line {number:,} has {len(row)} columns, but the first line names {len(header)}: "
                    f"{', '.join(header)}. Put quotes around a field that holds a {_spoken(delimiter)}."
                )
            yield number, [row[place] for place in places]

    return RecordFormat("line", columns, rows)


def _spoken(delimiter: str) -> str:
    return "tab" if delimiter == "\t" else "comma"


def _open_parquet(path: Path) -> Any:
    import pyarrow  # type: ignore[import-untyped]
    from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]

    try:
        return ParquetFile(path, memory_map=True)
    except pyarrow.ArrowInvalid as error:
        raise DataError(f"{path} is not a parquet file, or is damaged ({error}): fetch or write it again.") from None
    except OSError as error:
        raise unreadable(path, error) from None


def _parquet_columns(path: Path) -> dict[str, bool]:
    with _open_parquet(path) as file:
        return {field.name: str(field.type) in {"string", "large_string", "string_view"} for field in file.schema_arrow}


def _parquet_rows(path: Path, names: Sequence[str]) -> Iterator[Row]:
    import pyarrow

    number = 0
    with _open_parquet(path) as file:
        there = dict.fromkeys(file.schema_arrow.names, True)
        wanted = [choose_column(str(path), there, name) for name in names]
        try:
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS, columns=wanted, use_threads=False):
                columns = [batch.column(name).to_pylist() for name in wanted]
                for values in zip(*columns, strict=True):
                    number += 1
                    yield number, values
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} is damaged after row {number:,} ({error}): fetch or write it again.") from None


RECORD_FORMATS: dict[str, RecordFormat] = {
    ".jsonl": RecordFormat("line", _jsonl_columns, _jsonl_rows),
    ".ndjson": RecordFormat("line", _jsonl_columns, _jsonl_rows),
    ".csv": _table_format(","),
    ".tsv": _table_format("\t"),
    ".parquet": RecordFormat("row", _parquet_columns, _parquet_rows),
}
