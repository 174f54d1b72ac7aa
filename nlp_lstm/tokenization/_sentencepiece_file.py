"""A sentencepiece model file, looked at before the library reads it, which trusts what it is given."""

from __future__ import annotations

from collections.abc import Iterator

_PIECE, _NORMALIZERS, _CHARACTER_TABLE = 1, (3, 5), 2  # fields of sentencepiece_model.proto
_MOST_PIECES = 500_000
_LONGEST_SETTINGS = 1 << 20
_VARINT, _LENGTH, _FIXED = 0, 2, {1: 8, 5: 4}  # wire types of protocol buffers, and the bytes of those of fixed size


def check_model(model: bytes) -> None:
    """Raise ValueError where the bytes are no model, or hold what no model of nlp_lstm has.

    That is: more pieces than memory should be asked for (an empty one takes two bytes here, and fifty times that when
    it is read), long settings, or a table of characters to replace, in which the library would follow any offset.
    """
    pieces = settings = 0
    for field, content in _fields(model):
        if field == _PIECE:
            pieces += 1
        else:
            settings += len(content)
        if pieces > _MOST_PIECES or settings > _LONGEST_SETTINGS:
            raise ValueError(f"it has more than {_MOST_PIECES:,} pieces, or settings of {_LONGEST_SETTINGS:,} bytes")
        if field in _NORMALIZERS and any(name == _CHARACTER_TABLE and table for name, table in _fields(content)):
            raise ValueError("it replaces characters, which no tokenizer of nlp_lstm does")


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (number, content) of the fields of a protocol buffer; raises ValueError where it is cut short."""
    place = 0
    while place < len(message):
        tag, place = _read_varint(message, place)
        kind = tag & 7
        if kind == _VARINT:
            start = place
            _, place = _read_varint(message, place)
        elif kind == _LENGTH:
            size, start = _read_varint(message, place)
            place = start + size
        elif kind in _FIXED:
            start, place = place, place + _FIXED[kind]
        else:
            raise ValueError("it is no protocol buffer")
        if place > len(message):
            raise ValueError("it is cut short")
        yield tag >> 3, message[start:place]


def _read_varint(message: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise ValueError("it is cut short")
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place += 1
        if byte < 0x80:
            return value, place
    raise ValueError("it is no protocol buffer")
