"""Lines of stdin, as many at once as are there: a file goes through in large blocks, a dialogue line by line."""

from __future__ import annotations

import io
import os
import select
from collections.abc import Iterator
from typing import TextIO

from nlp_lstm.cli._terminal import note
from nlp_lstm.errors import UsageError

_BYTES_AT_ONCE = 1 << 16
_BYTES_A_BLOCK = 1 << 20
_TELL = 10  # lines that a warning lists


def line_blocks(stream: TextIO | None) -> Iterator[list[str]]:
    """Yield the lines of a stream without their ends, in blocks of what has arrived; never waits for more than one.

    Bytes that are not UTF-8 are read as U+FFFD, so that no line is lost, and a warning on stderr names their lines, one
    warning a block. Raises UsageError where there is no stream.
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
            yield _decoded(lines, number)
            number += len(lines)
            rest = [others[-1]]
    if last := b"".join(rest):
        yield _decoded([last], number)


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


def _decoded(lines: list[bytes], before: int) -> list[str]:
    decoded: list[str] = []
    broken: list[int] = []
    for number, line in enumerate(lines, start=before + 1):
        try:
            decoded.append(line.rstrip(b"\r").decode("utf-8"))
        except UnicodeDecodeError:
            decoded.append(line.rstrip(b"\r").decode("utf-8", errors="replace"))
            broken.append(number)
    if broken:
        named = ", ".join(f"{number:,}" for number in broken[:_TELL])
        more = f" and {len(broken) - _TELL:,} more" if len(broken) > _TELL else ""
        note(
            f"Standard input, line{'s' if len(broken) > 1 else ''} {named}{more}: not UTF-8 text; what is not was read "
            "as U+FFFD. Convert it with `iconv -f latin1 -t utf-8` or whatever it is in."
        )
    return decoded
