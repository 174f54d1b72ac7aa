"""Files of word vectors that are damaged, or made to do harm."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nlp_lstm.errors import DataError
from nlp_lstm.models import load_word_vectors

PACKED = gzip.compress(b"sea 1.5 -2 0.25\nland 7 8 9\n" * 20, mtime=0)


def load(path: Path) -> int:
    return load_word_vectors(nn.Parameter(torch.zeros(2, 3)), ["sea", "land"], path)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.txt", os.mkfifo, r"a.txt cannot be read as word vectors \(it is no plain file\)"),
        ("a.txt", os.mkdir, r"a.txt cannot be read as word vectors \(it is no plain file\)"),
        ("a.txt", lambda path: path.symlink_to("/dev/zero"), "it is no plain file"),
        ("a.txt", lambda path: (path.touch(), os.truncate(path, 2**31)), "line 1 has more than 1,048,576 bytes"),
        ("a.gz", lambda path: path.write_bytes(gzip.compress(b" " * 2**24)), "line 1 has more than 1,048,576 bytes"),
        ("a.gz", lambda path: path.write_bytes(PACKED[:14] + b"\xff\xff" + PACKED[16:]), "cannot be read as word"),
        ("a.gz", lambda path: path.write_bytes(PACKED[:10] + b"\xff" * 20), r"\(Error -3 while decompressing"),
        ("a.txt", lambda path: path.write_text("sea 1e300 0 0\n"), "line 1: there is something other than numbers"),
        ("a.txt", lambda path: path.write_text("sea 3e38 -3e38 3e38\n"), "numbers that are too large"),
    ],
)
def test_it_is_refused_in_a_sentence(name: str, make: Callable[[Path], Any], message: str, tmp_path: Path) -> None:
    make(tmp_path / name)
    with pytest.raises(DataError, match=message):
        load(tmp_path / name)


def test_the_longest_line_is_read(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"x" * (2**20 - 7) + b" 1 2 3\nsea 1 2 4\n")
    assert load(path) == 1
    path.write_bytes(b"x" * (2**20 - 6) + b" 1 2 3\nsea 1 2 4\n")
    with pytest.raises(DataError, match="line 1 has more than"):
        load(path)
