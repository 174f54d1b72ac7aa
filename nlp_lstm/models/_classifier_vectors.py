"""Word vectors that were trained elsewhere, from a local text file."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from nlp_lstm.errors import DataError

_NUMBER_AT_END = re.compile(rb" -?\d*\.\d+(e-?\d+)?$")  # a vector longer than was asked for
_LONGEST_LINE = 2**20  # a vector of 1,000 numbers has some 10,000 bytes
_HEADER = re.compile(rb"\d+ \d+\s*")


def load_word_vectors(embedding: nn.Parameter, words: Sequence[str], path: str | Path) -> int:
    """Fill rows of an embedding table with the vectors that a text file has for their words; returns how many.

    `embedding` is (len(words), size). The file has a line a word, the word and `size` numbers with spaces between, as
    GloVe writes them; a first line of two counts, as fastText and word2vec write it, is passed over. It may be packed
    with gzip. The first of several lines for a word counts. Rows without a vector are drawn from a normal distribution
    with the deviation of the vectors found.

    Raises DataError, with file and line, where a line has too few numbers or something else in their place, or is not
    UTF-8 text, or is too long for a vector; where it is no plain file, and where it has no vector for any of the words.
    """
    path = Path(path).expanduser()
    rows = {word: row for row, word in reversed(list(enumerate(words)))}
    found = np.zeros(len(words), dtype=bool)
    table = np.zeros(tuple(embedding.shape), dtype=np.float32)
    for number, line in _lines(path):
        word, numbers = _split(line, embedding.shape[1], f"{path}, line {number:,}")
        row = rows.get(word)
        if row is not None and not found[row]:
            table[row] = _vector(numbers, f"{path}, line {number:,}")
            found[row] = True
    if not found.any():
        raise DataError(f"{path} has no vector for any of the {len(words):,} words of the data. Is it in its language?")
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = float(table[found].std())
    if not np.isfinite(deviation):
        raise DataError(f"{path} has numbers that are too large for word vectors. Scale them down.")
    with torch.no_grad():
        embedding.normal_(std=deviation)
        embedding[torch.from_numpy(found)] = torch.from_numpy(table[found])
    return int(found.sum())


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for, and a device never ends
            raise OSError("it is no plain file")
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE + 1), b""), start=1):
                if len(line) > _LONGEST_LINE:
                    raise DataError(f"{path}, line {number:,} has more than {_LONGEST_LINE:,} bytes: no word vector.")
                if line.strip() and not (number == 1 and _HEADER.fullmatch(line)):
                    yield number, line
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DataError(f"{path} cannot be read as word vectors ({reason}). Check --word-vectors.") from None


def _split(line: bytes, size: int, place: str) -> tuple[str, list[bytes]]:
    # A word may have spaces in it, so the numbers are counted from the end.
    parts = line.rstrip().rsplit(b" ", size)
    if len(parts) <= size or _NUMBER_AT_END.search(parts[0]):
        raise DataError(
            f"{place}: {len(line.split()) - 1} numbers after the word, and --embedding-size is {size}. "
            f"Give the size of the file's vectors, or mend the line."
        )
    try:
        return parts[0].decode("utf-8"), parts[1:]
    except UnicodeDecodeError:
        raise DataError(f"{place}: not UTF-8 text. Convert the file.") from None


def _vector(numbers: list[bytes], place: str) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):
            vector = np.array(numbers, dtype=np.float32)
    except ValueError:
        vector = np.array(np.nan)
    if not np.isfinite(vector).all():
        raise DataError(f"{place}: there is something other than numbers after the word. Mend or remove the line.")
    return vector
