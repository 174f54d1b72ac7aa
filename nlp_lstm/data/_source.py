"""Text that can be read again and again, a piece at a time, and its splits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from nlp_lstm.errors import DataError, unknown_name

SPLITS = ("train", "valid", "test")
Split = TypeVar("Split")


@dataclass(frozen=True)
class TextSource:
    """Text in pieces: each `iter()` starts from the beginning, and no more than a piece or two is in memory.

    Attributes:
        name: What messages call it, for example `tiny.txt, train part`.
        ends_with_eos: True where each piece is a record (a row, a document), which the end-of-sequence token follows;
            False for plain text, whose pieces concatenate to the exact text.
        pieces: Opens the text and yields it in order.

    Raises (while it is read):
        DataError: The file is damaged, is not UTF-8, or holds no text.
    """

    name: str
    ends_with_eos: bool
    pieces: Callable[[], Iterator[str]] = field(repr=False)

    def __iter__(self) -> Iterator[str]:
        return self.pieces()


@dataclass(frozen=True)
class TextData:
    """The splits of one data set; a split that the data does not have is None.

    Attributes:
        description: One line that says what the data is, for the model card.
        notes: What was decided while loading, such as where a single file was cut; to be printed.
    """

    train: TextSource | None
    valid: TextSource | None
    test: TextSource | None
    description: str
    notes: list[str]

    def split(self, name: str) -> TextSource:
        """Return the split `train`, `valid` or `test`.

        Raises:
            UsageError: There is no split of that name.
            DataError: The data does not have this split; the message names those that it has.
        """
        splits = dict(zip(SPLITS, (self.train, self.valid, self.test), strict=True))
        there = {split: source for split, source in splits.items() if source is not None}
        return choose_split(name, there, self.description)


@dataclass(frozen=True)
class SplitData(Generic[Split]):
    """The splits of one data set that is read whole.

    Attributes:
        splits: Those that the data has, in the order train, valid, test.
        description: One line that says what the data is, for the model card.
        notes: What was decided while loading (where a file was cut, what a filter dropped); to be printed.
    """

    splits: Mapping[str, Split]
    description: str
    notes: list[str]

    def split(self, name: str) -> Split:
        """Return the split `train`, `valid` or `test`.

        Raises:
            UsageError: There is no split of that name.
            DataError: The data does not have this split; the message names those that it has.
        """
        return choose_split(name, self.splits, self.description)


def choose_split(name: str, there: Mapping[str, Split], description: str) -> Split:
    """Return one of the splits that some data has.

    Raises:
        UsageError: There is no split of that name.
        DataError: The data does not have this split; the message names those that it has.
    """
    if name not in SPLITS:
        raise unknown_name("split", name, SPLITS)
    if name not in there:
        raise DataError(
            f"{description} has no {name} split, only: {', '.join(there)}. Choose one of these with --split, add a "
            f"file whose name says {name!r}, or hold a share out with --valid-fraction and --test-fraction."
        )
    return there[name]


def content_sha(rows: Iterable[Iterable[str]]) -> str:
    """Return the hex digest of rows of strings; where each string and row ends counts as well."""
    digest = hashlib.sha256()
    for row in rows:
        parts = [part.encode() for part in row]
        digest.update(repr([len(part) for part in parts]).encode())
        digest.update(b"".join(parts))
    return digest.hexdigest()
