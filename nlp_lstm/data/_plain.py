"""Plain text from disk: bytes, then characters, then pieces or lines, with at most a few megabytes in memory.

The text stays exact: line ends are kept as they are ("\\r\\n" too); only a byte order mark at the start is dropped.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from nlp_lstm.errors import DataError

CHUNK_BYTES = 1 << 20
PIECE_CHARACTERS = 1 << 20
LONGEST_LINE = 16 << 20  # characters; a line, unlike a text, has to be in memory as a whole

# Only looked at when a file turned out not to be text, so a text that happens to start like this is no victim.
_MAGIC = {
    b"\x1f\x8b": "a gzip file: give its name the ending .gz",
    b"PK\x03\x04": "a zip archive: unpack it first",
    b"BZh": "a bzip2 file: unpack it first",
    b"\xfd7zXZ": "an xz file: unpack it first",
    b"\x28\xb5\x2f\xfd": "a zstandard file: unpack it first",
    b"PAR1": "a parquet file: give its name the ending .parquet",
    b"\x89PNG": "a PNG image: give a text file",
    b"\xff\xd8\xff": "a JPEG image: give a text file",
    b"%PDF": "a PDF document: extract its text first",
    b"\xff\xfe": "UTF-16 text: convert it with `iconv -f utf-16 -t utf-8`",
    b"\xfe\xff": "UTF-16 text: convert it with `iconv -f utf-16 -t utf-8`",
}


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file with their ends; only "\\n" ends a line, since records may hold the others.

    Raises:
        DataError: The bytes are not text, or a line is too long.
    """
    unfinished: list[str] = []
    number, length = 1, 0
    for chunk in read_characters(path):
        *lines, rest = chunk.split("\n")
        for line in lines:
            unfinished.append(line + "\n")
            yield "".join(unfinished)
            unfinished, length = [], 0
        number += len(lines)
        if rest:
            unfinished.append(rest)
            length += len(rest)
        if length > LONGEST_LINE:
            raise DataError(
                f"{path}, line {number:,} has more than {LONGEST_LINE:,} characters: write each record on a line of "
                "its own, or give the text as plain text."
            )
    if unfinished:
        yield "".join(unfinished)


def cut_pieces(chunks: Iterable[str], size: int = PIECE_CHARACTERS) -> Iterator[str]:
    """Join and cut text into pieces of at most `size` characters.

    A piece ends after a line end where there is one, else before a space, else anywhere. Where the cuts fall depends
    on the text alone and not on how it arrived, so that equal texts give equal tokens.
    """
    buffer = ""
    for chunk in chunks:
        buffer += chunk
        start = 0
        while len(buffer) - start > size:
            stop = buffer.rfind("\n", start, start + size) + 1
            if not stop:
                stop = buffer.rfind(" ", start + 1, start + size)
            if stop <= start:
                stop = start + size
            yield buffer[start:stop]
            start = stop
        buffer = buffer[start:]
    if buffer:
        yield buffer


def read_characters(path: Path) -> Iterator[str]:
    """Decode a file as UTF-8, chunk by chunk.

    Raises:
        DataError: The bytes are not text; the message names the first bad byte and its line.
    """
    tail, offset, line, head = b"", 0, 1, b""
    for chunk in _read_bytes(path):
        head = head or chunk[:8]
        data = tail + chunk
        if b"\0" in chunk:
            raise _not_text(path, head, data, data.index(b"\0"), offset, line)
        try:
            text, used = codecs.utf_8_decode(data, "strict", False)
        except UnicodeDecodeError as error:
            raise _not_text(path, head, data, error.start, offset, line) from None
        yield text.removeprefix("\ufeff") if offset == 0 else text
        line += data.count(b"\n", 0, used)
        offset += used
        tail = data[used:]
    if tail:
        raise _not_text(path, head, tail, 0, offset, line)


def _not_text(path: Path, head: bytes, data: bytes, bad: int, offset: int, line: int) -> DataError:
    bad_line = line + data.count(b"\n", 0, bad)
    where = f"byte {offset + bad:,}, line {bad_line:,}"
    for magic, meaning in _MAGIC.items():
        if head.startswith(magic):
            return DataError(f"{path} is not UTF-8 text ({where}); it looks like {meaning}.")
    if data[bad] == 0:
        return DataError(f"{path} is a binary file: it has a NUL byte at {where}. Give a text file.")
    return DataError(
        f"{path} is not UTF-8 at {where} (byte value 0x{data[bad]:02x}). If it is Latin-1, convert it with "
        f"`iconv -f latin1 -t utf-8`."
    )


def _read_bytes(path: Path) -> Iterator[bytes]:
    try:
        with _open(path) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is a damaged or incomplete gzip file ({error}): fetch or pack it again.") from None
    except OSError as error:
        raise unreadable(path, error) from None


def _open(path: Path) -> BinaryIO:
    if path.suffix.lower() == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    return path.open("rb")


def unreadable(path: Path, error: OSError) -> DataError:
    """Build the error for a file or folder that the operating system does not let us read."""
    return DataError(f"{path} cannot be read: {error.strerror or error}. Check the path and its permissions.")
