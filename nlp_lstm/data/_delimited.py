"""Tables as text, .csv and .tsv: lines of cells, with the line that each starts in."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from nlp_lstm.data._columns import asked_column, listed
from nlp_lstm.data._plain import read_lines, unreadable
from nlp_lstm.errors import DataError

# A quote that is never closed swallows the lines after it; this bounds the memory it can take.
_LONGEST_FIELD = 16 << 20
_LOOKED_AT = 4 << 20  # characters of a .tsv file that show what its quotes are

Row = tuple[int, Sequence[object]]
Cells = tuple[int, list[str]]


def quoted_cells(path: Path) -> Iterator[Cells]:
    """Yield (line, cells) of a .csv file, in which quotes may enclose a cell.

    Raises:
        DataError: A quote is broken; the message names the line where its record starts.
    """
    return _quoted(path, read_lines(path), ",")


def _quoted(path: Path, lines: Iterable[str], delimiter: str) -> Iterator[Cells]:
    # The limit is the csv module's only one and belongs to the process; raising it again does no harm.
    csv.field_size_limit(max(_LONGEST_FIELD, csv.field_size_limit()))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
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


def literal_cells(path: Path) -> Iterator[Cells]:
    """Yield (line, cells) of text with tabs between the cells, in which a quote is a sign like any other."""
    return _literal(read_lines(path))


def _literal(lines: Iterable[str]) -> Iterator[Cells]:
    for number, line in enumerate(lines, 1):
        if not line.isspace():
            yield number, line.rstrip("\r\n").split("\t")


def tab_cells(path: Path) -> Iterator[Cells]:
    """Yield (line, cells) of a .tsv file, whose quotes may be marks or text."""
    try:
        status = path.stat()
    except OSError as error:
        raise unreadable(path, error) from None
    marks = _quotes_are_marks(path, status.st_size, status.st_mtime_ns)
    return _quoted(path, read_lines(path), "\t") if marks else literal_cells(path)


@lru_cache(maxsize=1 << 14)
def _quotes_are_marks(path: Path, _size: int, _changed: int) -> bool:
    """Tell whether quotes in a .tsv file enclose cells; many such files have them only as part of the text.

    They are text where every line has as many tabs, which leaves nothing to enclose, and reading them as marks would
    fail or join lines. Four million characters are looked at, once for all times that a file is opened unchanged.
    """
    widths = set()
    lines, quoted = 0, False
    for _, cells in _literal(_beginning(path)):
        widths.add(len(cells))
        lines += 1
        quoted = quoted or any(cell.startswith('"') for cell in cells)
    if not quoted or len(widths) != 1:
        return True
    try:
        return sum(1 for _ in _quoted(path, _beginning(path), "\t")) == lines
    except DataError:
        return False


def _beginning(path: Path) -> Iterator[str]:
    left = _LOOKED_AT
    for line in read_lines(path):
        yield line
        left -= len(line)
        if left <= 0:
            return


def named_rows(path: Path, lines: Iterator[Cells], header: Sequence[str], fields: Mapping[str, str]) -> Iterator[Row]:
    """Yield the cells of the columns in `fields` from lines that must all be as wide as the header.

    Raises:
        DataError: There is no such column, or a line has more cells or fewer.
    """
    places = [header.index(asked_column(str(path), header, name, flag)) for name, flag in fields.items()]
    for number, row in lines:
        if len(row) != len(header):
            width = "1 column" if len(row) == 1 else f"{len(row)} columns"
            raise DataError(
                f"{path}, line {number:,} has {width}, but the first line has {len(header)}: "
                f"{listed(header)}. Mend the line; a field that holds the separator needs quotes around it."
            )
        yield number, [row[place] for place in places]
