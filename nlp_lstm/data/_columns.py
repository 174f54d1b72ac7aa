"""Which column of a table is meant: the one asked for, or one with a usual name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

from nlp_lstm.errors import DataError, shown

_TOLD = 20
TEXT_COLUMNS = ("text", "sentence", "content", "review")


def choose_column(where: str, columns: Mapping[str, bool], text_field: str | None) -> str:
    """Return the column that holds the text: the one asked for, else a usual name, else the only one of strings.

    Raises:
        DataError: There is no such column, or none or several could be meant.
    """
    if text_field is not None:
        return asked_column(where, columns, text_field, "--text-field")
    strings = [name for name, holds_strings in columns.items() if holds_strings]
    usual = usual_column(strings, TEXT_COLUMNS)
    if usual is not None:
        return usual
    if len(strings) == 1:
        return strings[0]
    raise DataError(
        f"It is not clear which column of {where} holds the text. Its columns: {listed(columns)}. Name it with "
        "--text-field."
    )


def asked_column(where: str, columns: Iterable[str], name: str, flag: str) -> str:
    """Return the name of a column that the user asked for with a flag, or raise DataError where there is none."""
    if name in columns:
        return name
    raise DataError(f"{where} has no column {name!r}. Its columns: {listed(columns)}. Name one with {flag}.")


def usual_column(columns: Iterable[str], usual: Iterable[str]) -> str | None:
    """Return the column that has the first of the usual names, in whatever case, or None."""
    by_name = {name.lower(): name for name in reversed(list(columns))}
    return next((by_name[name] for name in usual if name in by_name), None)


def listed(names: Iterable[str]) -> str:
    """List names in a message, the first twenty; what is long or would not print is quoted."""
    rest = iter(names)
    told = [shown(name, 80) for name in islice(rest, _TOLD)]
    more = sum(1 for _ in rest)
    return (", ".join(told) or "none") + (f" and {more:,} more" if more else "")
