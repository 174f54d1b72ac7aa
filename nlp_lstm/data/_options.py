"""Where the data comes from, as plain values that fit a configuration file."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from nlp_lstm.errors import UsageError


def exact(fraction: float) -> Fraction:
    """Return the decimal number that the user wrote, so that 0.1 is one tenth and not its nearest float."""
    return Fraction(repr(fraction))


@dataclass(frozen=True)
class DataOptions:
    """Name the data and say how it is split; `dataclasses.asdict` gives it back as plain values.

    Attributes:
        data: A built-in name (`pydoc`); a file (`.txt .csv .tsv .jsonl .parquet`, `.gz` on the text ones); a folder
            whose file names say the split (`train`, `valid`, `test`); or a hub id (`owner/name` or
            `owner/name:configuration`).
        text_field: The column that holds the text, in formats that have columns. By default `text`, `sentence` or
            `content`, or else the only column of strings.
        valid_fraction: The share held out for validation where the data does not come split.
        test_fraction: The share held out for the test where the data does not come split.
        held_out_limit: The most characters (of plain text) or records to hold out for each of the two; 0 is no limit.

    Raises:
        UsageError: A share is outside 0 to 1, the two together exceed 1, or `data` is empty.
    """

    data: str
    text_field: str | None = None
    valid_fraction: float = 0.05
    test_fraction: float = 0.05
    held_out_limit: int = 1_000_000

    def __post_init__(self) -> None:
        if not self.data:
            raise UsageError("--data is empty: give a built-in name, a file, a folder or a hub id.")
        for flag, value in (("--valid-fraction", self.valid_fraction), ("--test-fraction", self.test_fraction)):
            if not 0 <= value <= 1:
                raise UsageError(f"{flag} is {value}: give a share from 0 to 1, such as 0.05.")
        if self.held_out_limit < 0:
            raise UsageError(
                f"--held-out-limit is {self.held_out_limit}: give a number of characters, or 0 for no limit."
            )
        if exact(self.valid_fraction) + exact(self.test_fraction) > 1:
            raise UsageError(
                f"--valid-fraction {self.valid_fraction} and --test-fraction {self.test_fraction} together exceed 1: "
                "lower one of them, so that something is left to train on."
            )
