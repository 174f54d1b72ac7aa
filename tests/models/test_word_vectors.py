"""Word vectors from a text file: every form, and every fault with its line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch
from torch import nn

from nlp_lstm.errors import DataError
from nlp_lstm.models import load_word_vectors

WORDS = ["<pad>", "sea", "new york", "1", "unseen"]
GLOVE = b"sea 1.5 -2 0.25\nnew york 1e-3 0 4\n1 7 8 9\nsea 0 0 0\nother 1 1 1\n"


def table() -> nn.Parameter:
    return nn.Parameter(torch.zeros(len(WORDS), 3))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("glove.txt", GLOVE),
        ("fast.vec", b"5 3\n" + GLOVE.replace(b"\n", b" \n")),  # fastText leaves a space at the end of a line
        ("glove.txt.gz", gzip.compress(GLOVE, mtime=0)),
    ],
)
def test_rows_get_the_first_vector_of_their_word(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    embedding = table()
    assert load_word_vectors(embedding, WORDS, tmp_path / name) == 3
    assert torch.allclose(embedding[1:4], torch.tensor([[1.5, -2, 0.25], [1e-3, 0, 4], [7, 8, 9]]))
    assert embedding[4].abs().sum() > 0  # drawn, since nothing is known of it


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"sea 1 2 3\nland 1 2\n", r"line 2: 2 numbers after the word, and --embedding-size is 3"),
        (b"sea 1.0 2.0 3.0 4.5 5.5\n", r"line 1: 5 numbers after the word, and --embedding-size is 3"),
        (b"a 1 2 3\nsea 1 two 3\n", r"line 2: there is something other than numbers"),
        (b"sea 1 nan 3\n", r"line 1: there is something other than numbers"),
        (b"a 1 2 3\n\nb\xff 1 2 3\n", r"line 3: not UTF-8"),
        (b"a 1 2 3\n", r"has no vector for any of the 5 words"),
    ],
)
def test_a_fault_names_the_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_word_vectors(table(), WORDS, path)


@pytest.mark.parametrize(
    ("name", "content"), [("missing.txt", None), ("cut.txt.gz", gzip.compress(GLOVE, mtime=0)[:20])]
)
def test_a_file_that_cannot_be_read_is_named(name: str, content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name} cannot be read as word vectors"):
        load_word_vectors(table(), WORDS, tmp_path / name)
