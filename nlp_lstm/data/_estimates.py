"""How many characters shards hold, estimated from the beginnings of those that the sample takes."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from nlp_lstm.data._plain import unreadable
from nlp_lstm.data._records import parquet_length
from nlp_lstm.data._shards import Shards, sampling
from nlp_lstm.data._tables import file_table, kind_of

_CHUNK_BYTES = 1 << 13  # on disk, of which gzip makes a thousand times as many at most
_GZIP = 31  # what zlib calls the format
_ON_THE_HUB = 10  # a tenth of the sample, since it comes over the network


def estimate_files(paths: Sequence[Path], column: str) -> int:
    """Estimate the characters of files, plain text where `column` is empty: each has as many as its beginning says.

    Those that are not looked into have as many a byte on disk as all that are, so that no single file decides.

    Raises:
        DataError: A file cannot be read, or the beginning of one is damaged.
    """
    try:
        sizes = [path.stat().st_size for path in paths]
    except OSError as error:
        raise unreadable(Path(error.filename), error) from None
    return _estimate(sizes, lambda number, share: _in_file(paths[number], sizes[number], column, share))


def estimate_rows(shards: Shards, rows: int) -> int:
    """Estimate the characters of shards that have so many documents, as many in each.

    Raises:
        DataError: A shard that is looked into cannot be read.
    """

    def in_shard(number: int, share: int) -> tuple[float, int]:
        mean, read = _mean_length(shards[number], share)
        return mean * rows / len(shards), read

    return _estimate([1] * len(shards), in_shard, _ON_THE_HUB)


def _estimate(sizes: Sequence[int], measure: Callable[[int, int], tuple[float, int]], one_in: int = 1) -> int:
    """Add up what `measure(shard, share)` gives: the characters of a shard, and how many of them were read to tell."""
    chosen = sampling(len(sizes), one_in)
    size = read = 0
    characters = 0.0
    for number in chosen.order:
        found, looked_at = measure(number, chosen.share)
        size += sizes[number]
        characters += found
        read += looked_at
        if read >= chosen.total:
            break
    return int(characters * sum(sizes) / max(1, size))


def _in_file(path: Path, size: int, column: str, share: int) -> tuple[float, int]:
    if kind_of(path) == ".parquet":
        values = (value for _, (value,) in file_table(path).rows({column: "--text-field"}))
        mean, read = _mean_length(values, share)
        return mean * parquet_length(path), read
    head = _read_head(path, share)
    text, told_by = head.characters, head.bytes
    if column and head.whole_bytes:
        rows = file_table(path).rows({column: "--text-field"})
        inside = takewhile(lambda row: row[0] <= head.lines, rows)
        text, told_by = sum(_length(value) for _, (value,) in inside), head.whole_bytes
    return text * head.bytes / max(1, told_by) * size / max(1, head.stored), head.bytes


def _mean_length(values: Iterable[object], share: int) -> tuple[float, int]:
    """Return the mean length of the first values that have `share` characters together, and how many they have."""
    count = characters = 0
    for value in values:
        count += 1
        characters += _length(value)
        if characters >= share:
            break
    return characters / max(1, count), characters


def _length(value: object) -> int:
    return len(value) if isinstance(value, str) else 0  # anything else is refused when its turn comes


class _Head(NamedTuple):
    """The beginning of a file: bytes on disk, the bytes and characters they hold, and its whole lines with theirs."""

    stored: int
    bytes: int
    characters: int
    lines: int
    whole_bytes: int


def _read_head(path: Path, share: int) -> _Head:
    """Read a file until there are `share` bytes of text; at its end, the last line needs no line end."""
    stored = read = characters = lines = whole = 0
    try:
        with path.open("rb") as file:
            for packed, data in _unpacked(file) if path.suffix.lower() == ".gz" else _as_it_is(file):
                characters += int(np.count_nonzero((np.frombuffer(data, np.uint8) & 0xC0) != 0x80))  # of UTF-8
                lines += data.count(b"\n")
                whole = read + data.rindex(b"\n") + 1 if b"\n" in data else whole
                stored, read = stored + packed, read + len(data)
                if read >= share:
                    break
            else:
                lines, whole = lines + 1, read
    except OSError as error:
        raise unreadable(path, error) from None
    return _Head(stored, read, characters, lines, whole)


def _as_it_is(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    while data := file.read(_CHUNK_BYTES):
        yield len(data), data


def _unpacked(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield what the chunks of a gzip file hold, each with its size on disk; `gzip` does not tell where it stands.

    The members of a file follow on each other (RFC 1952, section 2.2). At what is damaged it ends.
    """
    unpacker = zlib.decompressobj(_GZIP)
    while packed := file.read(_CHUNK_BYTES):
        size, data = len(packed), b""
        try:
            while packed:
                if unpacker.eof:
                    unpacker = zlib.decompressobj(_GZIP)
                data += unpacker.decompress(packed)
                packed = unpacker.unused_data
        except zlib.error:
            return
        yield size, data
