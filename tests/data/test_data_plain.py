"""Reading plain text: exact, in pieces that depend on the text alone, with faults that name the place."""

from __future__ import annotations

import gzip
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlp_lstm.data import _plain
from nlp_lstm.data._plain import cut_pieces, read_characters, read_lines
from nlp_lstm.errors import DataError

TEXT = "The heron stood.\r\nIt waited\u2028 — \U0001f41f!\n\n  end\x85 of line\rno newline"


@pytest.fixture(params=[1, 2, 3, 7, 1 << 20])
def chunk_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(_plain, "CHUNK_BYTES", request.param)
    return int(request.param)


@pytest.mark.usefixtures("chunk_bytes")
@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.TXT.GZ"])
def test_text_comes_back_exactly(tmp_path: Path, name: str):
    path = tmp_path / name
    packed = gzip.compress(TEXT.encode()) if name.lower().endswith("gz") else TEXT.encode()
    path.write_bytes(packed)
    assert "".join(cut_pieces(read_characters(path))) == TEXT
    assert list(read_lines(path)) == [line + "\n" for line in TEXT.split("\n")[:-1]] + [TEXT.split("\n")[-1]]


@pytest.mark.usefixtures("chunk_bytes")
def test_only_a_byte_order_mark_at_the_start_is_dropped(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone \ufefftwo".encode())
    assert "".join(cut_pieces(read_characters(path))) == "one \ufefftwo"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet="ab \n\r\u00e9", max_size=20), max_size=12), st.integers(1, 9))
def test_pieces_depend_on_the_text_alone(chunks: list[str], size: int):
    pieces = list(cut_pieces(chunks, size))
    text = "".join(chunks)
    assert "".join(pieces) == text
    assert all(0 < len(piece) <= size for piece in pieces)
    assert pieces == list(cut_pieces([text], size)) == list(cut_pieces(text, size))
    for piece, following in pairwise(pieces):
        assert piece.endswith("\n") or ("\n" not in piece and (following[0] == " " or " " not in piece[1:]))


def test_a_very_long_line_is_cut_at_spaces_and_else_anywhere():
    assert list(cut_pieces(["aaa bb cccccccccc\nd"], 8)) == ["aaa bb", " ccccccc", "ccc\nd"]


def test_a_long_line_needs_little_memory(tmp_path: Path):
    path = tmp_path / "one line.txt"
    path.write_bytes(b"abcdefghi " * 2_000_000)  # 20 MB
    tracemalloc.start()
    try:
        pieces = sum(1 for _ in cut_pieces(read_characters(path)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert pieces == 20
    assert peak < 8_000_000


@pytest.mark.usefixtures("chunk_bytes")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"fine\nM\xfcller\n", r"not UTF-8 at byte 6, line 2 \(byte value 0xfc\).*iconv -f latin1 -t utf-8"),
        (b"cut short \xe2\x82", r"not UTF-8 at byte 10, line 1"),
        (b"\n" * 1500 + b"\xff", r"not UTF-8 at byte 1,500, line 1,501"),
        (b"text\n\n\0more", r"binary file: it has a NUL byte at byte 6, line 3"),
    ],
)
def test_what_is_not_text_is_refused_with_its_place(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        list(read_characters(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "meaning"),
    [
        (gzip.compress(b"text", mtime=0), r"gzip file: give its name the ending \.gz"),
        (b"PK\x03\x04\0\0", "zip archive"),
        (b"BZh91AY&SY\xff", "bzip2"),
        (b"\xfd7zXZ\0", "xz file"),
        (b"\x28\xb5\x2f\xfd", "zstandard"),
        (b"PAR1\x15\0", "parquet file"),
        (b"\x89PNG\r\n", "PNG image"),
        (b"\xff\xd8\xff\xe0", "JPEG image"),
        (b"%PDF-1.4\n%\xe2\xe3", "PDF document"),
        ("text".encode("utf-16"), "UTF-16 text: convert it with `iconv -f utf-16"),
        (b"\xfe\xff\0t", "UTF-16 text"),
    ],
)
def test_well_known_binary_files_are_named(tmp_path: Path, content: bytes, meaning: str):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=meaning):
        list(read_characters(path))


def test_text_that_begins_like_a_binary_file_is_text(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("%PDF is how such files begin")
    assert "".join(cut_pieces(read_characters(path))) == "%PDF is how such files begin"


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: data[:40] + b"\0\0\0" + data[43:], lambda _: b"plain"]
)
def test_damaged_gzip_is_refused(tmp_path: Path, damage):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(damage(gzip.compress(bytes(range(65, 91)) * 20 + b"\n" + TEXT.encode())))
    with pytest.raises(DataError, match=r"a\.txt\.gz is a damaged or incomplete gzip file"):
        list(read_characters(path))


def test_a_file_that_may_not_be_read_is_an_error_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(
        DataError, match=r"a\.txt cannot be read: Permission denied\. Check the path and its permissions"
    ):
        list(read_characters(tmp_path / "a.txt"))
