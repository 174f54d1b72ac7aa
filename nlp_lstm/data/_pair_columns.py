"""Which two columns of a table, or languages of a `translation` column, are the sides of a pair."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from nlp_lstm.data._columns import listed
from nlp_lstm.data._options import PairOptions
from nlp_lstm.data._pair_filters import Pair
from nlp_lstm.data._records import RECORD_FORMATS
from nlp_lstm.data._tables import Table, cells_of, file_table, kind_of, numbered_table, require_columns, require_text
from nlp_lstm.errors import DataError

TRANSLATION = "translation"
_USUAL = (
    *(("source", "target"), ("src", "tgt"), ("src", "trg"), ("input", "output"), ("question", "answer")),
    *(("text", "summary"), ("document", "summary"), ("article", "summary"), ("article", "highlights")),
)
# What the first line of a table of pairs says if it is no pair; any other name is known once it is asked for.
_LANGUAGES = {
    *("ar", "bg", "cs", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "he", "hi", "hr", "hu", "id", "it", "ja"),
    *("ko", "lt", "lv", "nl", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "ta", "th", "tr", "uk", "vi", "zh"),
    *("ces", "deu", "eng", "fra", "ita", "jpn", "nld", "pol", "por", "rus", "spa", "swe", "tur", "zho"),
    *("arabic", "chinese", "czech", "dutch", "english", "french", "german", "hindi", "italian", "japanese", "polish"),
    *("portuguese", "russian", "spanish", "swedish", "turkish"),
}


@dataclass(frozen=True)
class Sides:
    """The names of both sides: columns, or languages inside the column `translation`."""

    source: str
    target: str
    in_translation: bool = False

    def __str__(self) -> str:
        return f"{'' if self.in_translation else 'columns '}{self.source} to {self.target}"

    @classmethod
    def of_table(cls, table: Table, options: PairOptions) -> Sides:
        """Find the sides in a table.

        Raises:
            DataError: A side that was asked for is not there, or it is not clear which are meant.
        """
        require_columns(table)
        asked = [name for name in (options.source, options.target) if name is not None]
        if TRANSLATION in table.columns and not all(name in table.columns for name in asked or [""]):
            languages = _languages(table)
            if languages:
                return cls(*_choose(table.name, "language", languages, languages, options), in_translation=True)
        candidates = [name for name, holds_strings in table.columns.items() if holds_strings]
        usual = next((pair for pair in _USUAL if set(asked) <= set(pair) <= set(candidates)), None)
        candidates = list(usual) if usual else candidates
        return cls(*_choose(table.name, "column", list(table.columns), candidates, options))


def read_pair_tables(tables: Mapping[str, Table], options: PairOptions) -> tuple[dict[str, list[Pair]], str]:
    """Read the splits of a hub data set; also say which sides the pairs have."""
    sides = {split: Sides.of_table(table, options) for split, table in tables.items()}
    found = {split: list(read_pairs(table, sides[split])) for split, table in tables.items()}
    return found, " and ".join(dict.fromkeys(map(str, sides.values())))


def read_pairs(table: Table, sides: Sides) -> Iterator[Pair]:
    """Yield the pairs of a table.

    Raises:
        DataError: A side is no text, or the table is damaged.
    """
    flags = {sides.source: "--source", sides.target: "--target"}
    for number, values in table.rows({TRANSLATION: "--source"} if sides.in_translation else flags):
        if sides.in_translation:
            languages = values[0] if isinstance(values[0], dict) else {}
            values = [languages.get(name) for name in flags]
        source, target = (
            require_text(table, number, name, "" if value is None else value, flag)
            for (name, flag), value in zip(flags.items(), values, strict=True)
        )
        yield Pair(source, target, f"{table.name}, {table.place} {number:,}")


def pair_table(path: Path, options: PairOptions) -> Table:
    """Return a file as a table: columns have the names of the first line or, where it is a pair, their numbers.

    Raises:
        DataError: The file cannot be read.
    """
    kind = kind_of(path)
    if kind != ".txt" and (RECORD_FORMATS[kind].cells is None or _has_header(path, options)):
        return file_table(path)
    return numbered_table(path)


def _has_header(path: Path, options: PairOptions) -> bool:
    for _, first in islice(cells_of(path)(path), 1):
        asked = [name for name in (options.source, options.target) if name is not None]
        if any(name in first for name in asked):
            return True
        words = {cell.strip().lower() for cell in first}
        languages = {re.split("[-_]", word)[0] for word in words} & _LANGUAGES
        if len(languages) > 1 or any(set(pair) <= words for pair in _USUAL):
            return True
    return False


def _languages(table: Table) -> list[str]:
    for _, (value,) in table.rows({TRANSLATION: "--source"}):
        return list(value) if isinstance(value, dict) else []
    return []


def _choose(where: str, sort: str, there: list[str], candidates: list[str], options: PairOptions) -> tuple[str, str]:
    """Return the two that were asked for; where one or none was, the others come in the order they stand in."""
    names = f"{'No line names its columns, so they are' if _numbered(there) else 'It has'}: {listed(there)}"
    for name in (options.source, options.target):
        if name is not None and name not in there:
            raise DataError(f"{where} has no {sort} {name!r}. {names}. Name two of them with --source and --target.")
    rest = [name for name in candidates if name not in (options.source, options.target)]
    missing = (options.source is None) + (options.target is None)
    if missing > len(rest) or (missing < len(rest) and missing and not _numbered(there)):
        raise DataError(
            f"It is not clear which two {sort}s of {where} are the pair. {names}. Name two of them with --source and "
            "--target."
        )
    source = options.source if options.source is not None else rest.pop(0)
    target = options.target if options.target is not None else rest.pop(0)
    return source, target


def _numbered(columns: list[str]) -> bool:
    return columns == [str(number) for number, _ in enumerate(columns, 1)]
