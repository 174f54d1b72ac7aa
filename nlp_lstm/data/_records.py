"""Records from disk: the rows of .jsonl, .csv, .tsv and .parquet files, one at a time.

Every format has two functions: one tells the columns and which of them hold strings, the other yields the values of
the columns asked for, with the line or row they stand in.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from nlp_lstm.data._columns import asked_column, listed
from nlp_lstm.data._delimited import Cells, Row, literal_cells, named_rows, quoted_cells, tab_cells
from nlp_lstm.data._plain import read_lines, unreadable
from nlp_lstm.errors import DataError, first_line

_PARQUET_ROWS = 256


class RecordFormat(NamedTuple):
    """How to read one kind of file; `place` is the word for what `rows` counts.

    `columns(path)` maps names to whether they hold strings; `rows(path, fields)` yields (place, values) of the
    columns in `fields`, which maps each to the flag that names it. `cells(path)` yields (line, all cells) of tables
    as text, the first line too; None for formats whose columns always have names.
    """

    place: str
    columns: Callable[[Path], dict[str, bool]]
    rows: Callable[[Path, Mapping[str, str]], Iterator[Row]]
    cells: Callable[[Path], Iterator[Cells]] | None = None


def briefly(value: object) -> str:
    """Show a value in a message."""
    return "nothing" if value is None else reprlib.repr(value)


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
                f"{path}, line {number:,} is not a JSON object but {briefly(record)}: write each record as "
                '{"text": "..."}, one a line.'
            )
        yield number, record


def _jsonl_columns(path: Path) -> dict[str, bool]:
    for _, record in _jsonl_objects(path):
        return {name: isinstance(value, str) for name, value in record.items()}
    return {}


def _jsonl_rows(path: Path, fields: Mapping[str, str]) -> Iterator[Row]:
    for number, record in _jsonl_objects(path):
        for name, flag in fields.items():
            if name not in record:
                raise DataError(
                    f"{path}, line {number:,} has no {name!r}; it has: {listed(record)}. Mend the line, or name a "
                    f"field that every record has with {flag}."
                )
        yield number, [record[name] for name in fields]


def _table_format(cells: Callable[[Path], Iterator[Cells]]) -> RecordFormat:
    def columns(path: Path) -> dict[str, bool]:
        return dict.fromkeys(next(cells(path), (0, []))[1], True)

    def rows(path: Path, fields: Mapping[str, str]) -> Iterator[Row]:
        lines = cells(path)
        _, header = next(lines, (0, []))
        return named_rows(path, lines, header, fields)

    return RecordFormat("line", columns, rows, cells)


@contextmanager
def _parquet(path: Path) -> Iterator[Any]:
    from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]

    try:
        with ParquetFile(path, memory_map=True) as file:
            yield file
    except DataError:
        raise
    except (FileNotFoundError, PermissionError) as error:
        raise unreadable(path, error) from None
    except Exception as error:  # a damaged file makes the library raise whatever its reader happens to meet
        reason = first_line(error)
        raise DataError(f"{path} is not a parquet file, or is damaged ({reason}): fetch or write it again.") from None


def _parquet_columns(path: Path) -> dict[str, bool]:
    with _parquet(path) as file:
        return {field.name: str(field.type) in {"string", "large_string", "string_view"} for field in file.schema_arrow}


def parquet_length(path: Path) -> int:
    """Number of rows of a .parquet file, which it tells at once."""
    with _parquet(path) as file:
        return int(file.metadata.num_rows)


def _parquet_rows(path: Path, fields: Mapping[str, str]) -> Iterator[Row]:
    number = 0
    with _parquet(path) as file:
        there = file.schema_arrow.names
        wanted = [asked_column(str(path), there, name, flag) for name, flag in fields.items()]
        try:
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS, columns=wanted, use_threads=False):
                columns = [batch.column(name).to_pylist() for name in wanted]
                for values in zip(*columns, strict=True):
                    number += 1
                    yield number, values
        except Exception as error:
            reason = first_line(error)
            raise DataError(f"{path} is damaged after row {number:,} ({reason}): fetch or write it again.") from None


RECORD_FORMATS: dict[str, RecordFormat] = {
    ".jsonl": RecordFormat("line", _jsonl_columns, _jsonl_rows),
    ".ndjson": RecordFormat("line", _jsonl_columns, _jsonl_rows),
    ".csv": _table_format(quoted_cells),
    ".tsv": _table_format(tab_cells),
    ".parquet": RecordFormat("row", _parquet_columns, _parquet_rows),
}
TABBED_TEXT = _table_format(literal_cells)
