"""Text that can be read again and again, a piece at a time, and its splits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from nlp_lstm.errors import DataError, unknown_name

SPLITS = ("train", "valid", "test")


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
        if name not in SPLITS:
            raise unknown_name("split", name, SPLITS)
        source: TextSource | None = getattr(self, name)
        if source is None:
            there = ", ".join(split for split in SPLITS if getattr(self, split) is not None)
            raise DataError(
                f"{self.description} has no {name} split, only: {there}. Choose one of these with --split, add a file "
                f"whose name says {name!r}, or hold a share out with --valid-fraction and --test-fraction."
            )
        return source
