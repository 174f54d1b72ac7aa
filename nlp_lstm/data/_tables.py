"""Tables: a file of records, or a split of a hub data set, as rows with named columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nlp_lstm.data._columns import choose_column
from nlp_lstm.data._delimited import Cells, Row, literal_cells, named_rows
from nlp_lstm.data._records import RECORD_FORMATS, TABBED_TEXT, briefly
from nlp_lstm.data._source import TextSource
from nlp_lstm.errors import DataError


@dataclass(frozen=True)
class Table:
    """Rows that can be read again and again, one at a time.

    Attributes:
        name: What messages call it, such as the path of the file.
        place: The word for what `rows` counts, "line" or "row".
        columns: Whether each column holds strings.
        rows: Opens the table at the columns asked for, a mapping of each to the flag that names it, and yields
            (place, values).
        label_names: The names behind the numbers of a column, where the table tells them.
        path: The file; None for a hub data set, which nobody can mend.
    """

    name: str
    place: str
    columns: Mapping[str, bool]
    rows: Callable[[Mapping[str, str]], Iterator[Row]] = field(repr=False)
    label_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    path: Path | None = None


def kind_of(path: Path) -> str:
    """Return the ending that says how a file is read, without `.gz`; an unknown ending is plain text, ".txt".

    Raises:
        DataError: A parquet file is packed again with gzip.
    """
    packed = path.suffix.lower() == ".gz"
    ending = Path(path.stem).suffix.lower() if packed else path.suffix.lower()
    if packed and ending == ".parquet":
        raise DataError(f"{path}: a parquet file is compressed inside already; unpack it with `gunzip` and give that.")
    return ending if ending in RECORD_FORMATS else ".txt"


def file_table(path: Path) -> Table:
    """Return a file of records, or of text with tabs, as a table; its columns have the names that stand in the file.

    Raises:
        DataError: The file cannot be read.
    """
    form = RECORD_FORMATS.get(kind_of(path), TABBED_TEXT)
    return Table(str(path), form.place, form.columns(path), lambda fields: form.rows(path, fields), path=path)


def numbered_table(path: Path) -> Table:
    """Return a table without a header, .csv, .tsv or text with tabs, whose columns are called 1, 2 and so on.

    Raises:
        DataError: The file cannot be read.
    """
    cells = cells_of(path)
    header = [str(number) for number, _ in enumerate(next(cells(path), (0, []))[1], 1)]

    def rows(fields: Mapping[str, str]) -> Iterator[Row]:
        return named_rows(path, cells(path), header, fields)

    return Table(str(path), "line", dict.fromkeys(header, True), rows, path=path)


def cells_of(path: Path) -> Callable[[Path], Iterator[Cells]]:
    """Return the function that yields (line, cells) of a .csv or .tsv file, or of plain text with tabs."""
    form = RECORD_FORMATS.get(kind_of(path))
    return literal_cells if form is None or form.cells is None else form.cells


def choose_text_column(table: Table, text_field: str | None) -> str:
    """Return the column of a table that holds the text, as `choose_column` finds it.

    Raises:
        DataError: The table is empty, or it is not clear which column is meant.
    """
    require_columns(table)
    return choose_column(table.name, table.columns, text_field)


def require_columns(table: Table) -> None:
    """Raise DataError where a table is empty."""
    if not table.columns:
        raise DataError(f"{table.name} is empty: it holds no records. Give a file with text in it.")


def require_text(table: Table, place: int, column: str, value: object, flag: str = "--text-field") -> str:
    """Return a value that is text.

    Raises:
        DataError: It is anything else.
    """
    if isinstance(value, str):
        return value
    raise DataError(
        f"{table.name}, {table.place} {place:,}: column {column!r} holds {briefly(value)} where text is expected. "
        f"Mend or remove it, or name another column with {flag}."
    )


def table_source(tables: Sequence[Table], name: str, column: str) -> TextSource:
    """Return the text in one column of tables, which follow on each other, as one source of records.

    Raises:
        DataError: While it is read: a record has no text there, or a file is damaged.
    """

    def pieces() -> Iterator[str]:
        for table in tables:
            for place, (value,) in table.rows({column: "--text-field"}):
                yield require_text(table, place, column, value)

    return TextSource(name, True, pieces)
