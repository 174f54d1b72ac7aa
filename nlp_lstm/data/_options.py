"""Where the data comes from, as plain values that fit a configuration file."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from nlp_lstm.errors import UsageError


def exact(fraction: float) -> Fraction:
    """Return the decimal number that the user wrote, so that 0.1 is one tenth and not its nearest float."""
    return Fraction(repr(fraction))


@dataclass(frozen=True)
class SplitOptions:
    """What all kinds of data have: a name, the column of the text, and the shares to hold out.

    Raises:
        UsageError: A share is outside 0 to 1, the two together exceed 1, `data` is empty, or a size is out of range.
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


@dataclass(frozen=True)
class DataOptions(SplitOptions):
    """Name the text of a language model and say how it is split; `dataclasses.asdict` gives it back as plain values.

    Attributes:
        data: A built-in name (`pydoc`); a file (`.txt .csv .tsv .jsonl .parquet`, `.gz` on the text ones), or a
            pattern such as `shards/*.jsonl.gz`; a folder whose file names say the split (`train`, `valid`, `test`);
            or a hub id (`owner/name` or `owner/name:configuration`).
        text_field: The column that holds the text, in formats that have columns. By default `text`, `sentence`,
            `content` or `review`, or else the only column of strings.
        valid_fraction: The share held out for validation where the data does not come split.
        test_fraction: The share held out for the test where the data does not come split.
        held_out_limit: The most characters (of plain text) or records to hold out for each of the two; 0 is no limit.
            Streamed, always of characters, and the held-out documents are the first ones.
        stream: Tokenize the text as it is trained on, in place of all of it before the first step: for text that is
            past memory and disk, best in many files (`shards/*.jsonl.gz`) or on the hub. The tokenizer is trained on
            20 million characters of it, and an epoch's length is estimated. A run goes on with files of the same
            names, so that a damaged one can be mended.
        shuffle_buffer: How many characters are read, shuffled (by document, or by block of 16,384 characters of plain
            text) and tokenized at a time where the text is streamed; the files change places in every epoch as well.

    Raises:
        UsageError: A share is outside 0 to 1, the two together exceed 1, `data` is empty, or a size is out of range.
    """

    stream: bool = False
    shuffle_buffer: int = 10_000_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shuffle_buffer < 1:
            raise UsageError(f"--shuffle-buffer is {self.shuffle_buffer}: give a number of characters from 1 up.")


@dataclass(frozen=True)
class LabelledOptions(SplitOptions):
    """Name texts with labels and say how they are split; `dataclasses.asdict` gives it back as plain values.

    Attributes:
        data: A built-in name (`reviews`); a file (`.csv .tsv .jsonl .parquet`, or `.txt` with a tab between label and
            text, or in the form of fastText), or a pattern such as `shards/*.jsonl.gz`; a folder whose file names say
            the split, the label (`pos.txt`, `train.neg`) or both, or with a folder a label (`train/pos/*.txt`); or a
            hub id (`owner/name` or `owner/name:configuration`).
        text_field: The column that holds the text, in formats that have columns. By default `text`, `sentence`,
            `content` or `review`, or else the only column of strings besides the label.
        label_field: The column that holds the label, or the list of labels. By default `label`, `labels`,
            `sentiment`, `category`, `rating` or another usual name, or else the only column besides the text.
        label_separator: What stands between the labels where a text has several in one field, such as `,` or `|`.
        valid_fraction: The share held out for validation where the data does not come split.
        test_fraction: The share held out for the test where the data does not come split.
        held_out_limit: The most texts to hold out for each of the two; 0 is no limit.

    Raises:
        UsageError: As of `DataOptions`; or the separator is empty, or text and label are one column.
    """

    label_field: str | None = None
    label_separator: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label_separator == "":
            raise UsageError("--label-separator is empty: give what stands between two labels, such as a comma.")
        if self.text_field is not None and self.text_field == self.label_field:
            raise UsageError(f"--text-field and --label-field both name {self.text_field!r}: they are two columns.")


@dataclass(frozen=True)
class PairOptions(SplitOptions):
    """Name pairs of texts and say how they are split; `dataclasses.asdict` gives it back as plain values.

    The filters are for training data alone: what is dropped is told, and validation and test data stay whole.

    Attributes:
        data: A built-in name (`phrases`, `reports`); a folder of parallel files whose names say the split and end in
            the language (`train.en`, `train.de.gz`); a file with two columns (`.csv .tsv .jsonl .parquet`, or `.txt`
            with a tab between them), or a pattern such as `shards/*.jsonl.gz`; or a hub id (`owner/name` or
            `owner/name:configuration`).
        text_field: Not used for pairs: name both columns with --source and --target.
        source: The language to translate from, as file names or a `translation` column have it, or the name of a
            column, or its number where columns have no names. By default the first column.
        target: The same for the language to translate to; swap the two to turn the direction round. By default the
            second column.
        min_words: The fewest words (between whitespace) on either side of a pair to train on.
        max_words: The most words on either side of a pair to train on; 0 is no limit.
        max_ratio: How many times as long one side of a pair to train on may be as the other, in characters and
            relative to the usual ratio of the data; 0 is no limit.
        deduplicate: Train on each pair once, however often the data has it.
        valid_fraction: The share held out for validation where the data does not come split.
        test_fraction: The share held out for the test where the data does not come split.
        held_out_limit: The most pairs to hold out for each of the two; 0 is no limit.

    Raises:
        UsageError: As of `DataOptions`; or a filter's bound is out of range, source and target are the same, or
            `text_field` is given.
    """

    source: str | None = None
    target: str | None = None
    min_words: int = 1
    max_words: int = 100
    max_ratio: float = 4.0
    deduplicate: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.text_field is not None:
            raise UsageError(
                "--text-field is for one column of text: name the two of a pair with --source and --target."
            )
        if self.source is not None and self.source == self.target:
            raise UsageError(f"--source and --target are both {self.source!r}: name two sides that differ.")
        if self.min_words < 1:
            raise UsageError(f"--min-words is {self.min_words}: give a whole number from 1 up.")
        if self.max_words and self.max_words < self.min_words:
            raise UsageError(
                f"--max-words is {self.max_words}: give {self.min_words} (--min-words) or more, or 0 for no limit."
            )
        if not (self.max_ratio == 0 or self.max_ratio > 1):
            raise UsageError(f"--max-ratio is {self.max_ratio}: give a number above 1, such as 4, or 0 for no limit.")
