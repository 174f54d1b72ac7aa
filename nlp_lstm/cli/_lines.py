"""Lines of stdin, as many at once as are there: a file goes through in large blocks, a dialogue line by line."""

from __future__ import annotations

import io
import os
import select
from collections.abc import Iterator
from typing import TextIO

from nlp_lstm.errors import DataError, UsageError

_BYTES_AT_ONCE = 1 << 16
_BYTES_A_BLOCK = 1 << 20


def line_blocks(stream: TextIO | None) -> Iterator[list[str]]:
    """Yield the lines of a stream without their ends, in blocks of what has arrived; never waits for more than one.

    Raises DataError with line and byte where they are not UTF-8, after the lines before it, and UsageError where there
    is no stream.
    """
    if stream is None:
        raise UsageError("There is no stdin to read from, and so there are no lines. Give them with < FILE.")
    number = 0
    rest: list[bytes] = []  # the parts of a line whose end has not come
    for block in _blocks(stream):
        first, *others = block.split(b"\n")
        rest.append(first)
        if others:
            lines = [b"".join(rest), *others[:-1]]
            yield from _decoded(lines, number)
            number += len(lines)
            rest = [others[-1]]
    if last := b"".join(rest):
        yield from _decoded([last], number)


def _blocks(stream: TextIO) -> Iterator[bytes]:
    """Yield bytes until the end: those that are there, up to a megabyte, or else the next that come."""
    try:
        descriptor = stream.fileno()
    except (AttributeError, OSError, io.UnsupportedOperation):  # no file: it is all in memory
        yield stream.buffer.read()
        return
    while True:
        parts = [os.read(descriptor, _BYTES_AT_ONCE)]
        while parts[-1] and len(parts) < _BYTES_A_BLOCK // _BYTES_AT_ONCE and _ready(descriptor):
            parts.append(os.read(descriptor, _BYTES_AT_ONCE))
        yield b"".join(parts)
        if not parts[-1]:
            return


def _ready(descriptor: int) -> bool:
    try:
        return bool(select.select([descriptor], [], [], 0)[0])
    except OSError:  # where only sockets can be asked, a block is what one read gives
        return False


def _decoded(lines: list[bytes], before: int) -> Iterator[list[str]]:
    decoded: list[str] = []
    for number, line in enumerate(lines, start=before + 1):
        try:
            decoded.append(line.rstrip(b"\r").decode("utf-8"))
        except UnicodeDecodeError as error:
            if decoded:
                yield decoded
            raise DataError(
                f"Standard input, line {number:,}, byte {error.start + 1}: not UTF-8 text. Convert it with "
                "`iconv -f latin1 -t utf-8` or whatever it is in."
            ) from error
    yield decoded
