"""Which columns of a table hold the text and the label, with or without a header, and what a label may be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from nlp_lstm.data._columns import TEXT_COLUMNS, asked_column, choose_column, listed, usual_column
from nlp_lstm.data._options import LabelledOptions
from nlp_lstm.data._records import RECORD_FORMATS, briefly
from nlp_lstm.data._tables import (
    Table,
    cells_of,
    file_table,
    kind_of,
    numbered_table,
    require_columns,
    require_text,
)
from nlp_lstm.errors import DataError

LABEL_COLUMNS = (
    *("label", "labels", "sentiment", "category", "categories", "rating", "class", "classes", "target", "stars"),
    *("score", "emotion", "emotions", "topic", "topics", "intent", "polarity", "tag", "tags"),
)
_LOOKED_AT = 1000  # rows of a table without a header that tell its columns apart


class Example(NamedTuple):
    """A text, its labels (none where the data has none), where it stands, and whether its labels stand as a list."""

    text: str
    labels: tuple[str, ...]
    place: str
    listed: bool = False


@dataclass(frozen=True)
class Layout:
    """The columns of a table; `numbered` where it has no header."""

    numbered: bool
    text: str
    label: str

    @classmethod
    def of_table(cls, table: Table, options: LabelledOptions) -> Layout:
        """Find the columns of a table that has names for them.

        Raises:
            DataError: There is no such column, or it is not clear which one is meant.
        """
        _require_two(table)
        label = _label_column(table, options)
        others = {name: strings and name != label for name, strings in table.columns.items()}
        return cls(False, choose_column(table.name, others, options.text_field), label)

    @classmethod
    def of_file(cls, path: Path, options: LabelledOptions) -> Layout:
        """Find the columns of a file; without a header, the shortest texts of the fewest kinds are the labels.

        Raises:
            DataError: As `of_table`; or a file without a header has only one column.
        """
        if kind_of(path) != ".txt" and RECORD_FORMATS[kind_of(path)].cells is None:
            return cls.of_table(file_table(path), options)
        rows = [cells for _, cells in islice(cells_of(path)(path), _LOOKED_AT)]
        if not rows or _has_header(rows, options):
            return cls.of_table(file_table(path) if rows else numbered_table(path), options)
        table = numbered_table(path)
        _require_two(table)
        columns = table.columns
        text, label = options.text_field, options.label_field
        label = asked_column(str(path), columns, label, "--label-field") if label else _likeliest_label(rows, text)
        text = asked_column(str(path), columns, text, "--text-field") if text else _likeliest_text(rows, label)
        return cls(True, text, label)


def _require_two(table: Table) -> None:
    require_columns(table)
    if len(table.columns) == 1:
        raise DataError(f"{table.name} has only one column, but a text and its label are two. Give another file.")


def read_examples(table: Table, layout: Layout, options: LabelledOptions) -> Iterator[Example]:
    """Yield the text and the labels of each row.

    Raises:
        DataError: A text is no text, a label is no string or number, or the table is damaged.
    """
    names = table.label_names.get(layout.label)
    fields = {layout.text: "--text-field", layout.label: "--label-field"}
    for number, (text, value) in table.rows(fields):
        place = f"{table.name}, {table.place} {number:,}"
        text = require_text(table, number, layout.text, "" if text is None else text)
        values = value if isinstance(value, list | tuple) else [value]
        labels = tuple(label for part in values for label in _labels(part, names, options, place))
        listed = values is value or (options.label_separator is not None and isinstance(value, str))
        yield Example(text, labels, place, listed)


def _labels(value: object, names: Sequence[str] | None, options: LabelledOptions, place: str) -> list[str]:
    """Return the labels in one value as text; a null, an empty string or a number without a name is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return []
    if names is not None and isinstance(value, int):
        return [names[value]] if 0 <= value < len(names) else []
    if isinstance(value, str):
        parts = value.split(options.label_separator) if options.label_separator else [value]
        return [part.strip() for part in parts if part.strip()]
    if isinstance(value, float) and value.is_integer():
        return [str(int(value))]
    if isinstance(value, int | float):
        return [str(value)]
    raise DataError(
        f"{place}: the label is {briefly(value)}, but text or a number is needed, or a list of them. Mend it, or name "
        "another column with --label-field."
    )


def _label_column(table: Table, options: LabelledOptions) -> str:
    if options.label_field is not None:
        return asked_column(table.name, table.columns, options.label_field, "--label-field")
    others = [name for name in table.columns if name != options.text_field]
    usual = usual_column(others, LABEL_COLUMNS)
    if usual is not None:
        return usual
    named = [name for name in others if name in table.label_names]
    text = options.text_field or usual_column(others, TEXT_COLUMNS)
    for candidates in (named, [name for name in others if name != text] if text else []):
        if len(candidates) == 1:
            return candidates[0]
    raise DataError(
        f"It is not clear which column of {table.name} holds the label. Its columns: {listed(table.columns)}. Name "
        "it with --label-field."
    )


def _has_header(rows: Sequence[Sequence[str]], options: LabelledOptions) -> bool:
    """Tell whether the first of some rows names the columns; many .tsv files have no such line.

    It does where it has a name that was asked for or a usual one; it does not where a cell is a number, a number was
    asked for, or a cell stands again in the same column below, as a label does.
    """
    first, *rest = rows
    asked = [name for name in (options.text_field, options.label_field) if name is not None]
    usual = {*TEXT_COLUMNS, *LABEL_COLUMNS}
    if any(name in first for name in asked) or any(cell.strip().lower() in usual for cell in first):
        return True
    if any(map(_is_number, first)) or any(name.isdigit() for name in asked):
        return False
    return not any(cell and cell in row[column : column + 1] for row in rest for column, cell in enumerate(first))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _likeliest_label(rows: Sequence[Sequence[str]], text: str | None) -> str:
    others = [column for column in range(len(rows[0])) if str(column + 1) != text]
    return str(1 + min(others, key=lambda column: (len(set(_cells(rows, column))), _mean_length(rows, column))))


def _likeliest_text(rows: Sequence[Sequence[str]], label: str) -> str:
    others = [column for column in range(len(rows[0])) if str(column + 1) != label]
    return str(1 + max(others, key=lambda column: _mean_length(rows, column)))


def _cells(rows: Sequence[Sequence[str]], column: int) -> list[str]:
    return [row[column] for row in rows if column < len(row)]


def _mean_length(rows: Sequence[Sequence[str]], column: int) -> float:
    cells = _cells(rows, column)
    return sum(map(len, cells)) / len(cells)
