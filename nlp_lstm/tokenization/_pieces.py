"""A memory of the pieces of text that were encoded before: a corpus repeats most of its words."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

MAX_PIECES = 1 << 18


class PieceCache:
    """Encodes a list of pieces, asking `encode_pieces` only for those not met before.

    Sound where the encoding of a text is the concatenation of the encodings of its pieces. It holds at most
    `MAX_PIECES` pieces beyond those of the text at hand.
    """

    def __init__(self, encode_pieces: Callable[[list[str]], Iterable[Sequence[int]]]) -> None:
        self._encode_pieces = encode_pieces
        self._known: dict[str, Sequence[int]] = {}

    def encode(self, pieces: list[str], dtype: np.dtype[Any]) -> np.ndarray:
        """Return the ids of all pieces in order, shape (tokens,)."""
        known = self._known
        unseen = list(set(pieces).difference(known))
        if len(known) + len(unseen) > MAX_PIECES:
            known = self._known = {}  # a new one, so that another thread in the middle of a text keeps its own
            unseen = list(set(pieces))
        known.update(zip(unseen, self._encode_pieces(unseen), strict=True))
        return np.fromiter(itertools.chain.from_iterable(map(known.__getitem__, pieces)), dtype=dtype)
