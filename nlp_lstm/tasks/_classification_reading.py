"""How a classifier reads a text: its token ids, cut where it is too long, and the words they come from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from nlp_lstm.errors import UsageError
from nlp_lstm.tokenization import Tokenizer

Ids = npt.NDArray[np.int64]

# Where a word ends, every tokenizer begins a new token: the ids of the parts are those of the whole.
_BETWEEN_WORDS = re.compile(r"(?<=\S)(?=[ \n])")
_SENTENCE_ENDS = frozenset(".!?…。！？\nĊ")
_TOKENS_AT_ONCE = 16_384


@dataclass(frozen=True)
class Reading:
    """How a text becomes ids.

    Attributes:
        lowercase: Make all letters small first.
        max_words: Of a longer text read the first half of so many words and the last half, and nothing between; the
            words are the tokenizer's, which may be pieces. None reads everything.
    """

    lowercase: bool = False
    max_words: int | None = None

    def __post_init__(self) -> None:
        if self.max_words is not None and self.max_words < 2:
            raise UsageError(f"--max-words {self.max_words} must be at least 2: one at the beginning, one at the end.")

    def prepare(self, text: str) -> str:
        """Return the text as the tokenizer gets it."""
        return text.lower() if self.lowercase else text

    def ids(self, text: str, tokenizer: Tokenizer) -> Ids:
        """Return the ids (tokens,) int64, at least one: of an empty text the one that ends a text."""
        ids = tokenizer.encode_array(self.prepare(text)).astype(np.int64)
        return ids[self._kept(len(ids))] if len(ids) else np.array([tokenizer.eos_id])

    def words(self, text: str, tokenizer: Tokenizer) -> tuple[list[str], Ids, Ids]:
        """Return the words, which joined are the text; the ids as in `ids`; and of which word each id is (tokens,)."""
        words = _BETWEEN_WORDS.split(text)
        of_each = [tokenizer.encode_array(self.prepare(word)) for word in words]
        numbers = np.repeat(np.arange(len(words)), [len(ids) for ids in of_each])
        if not len(numbers):
            return words, np.array([tokenizer.eos_id]), np.array([0])
        kept = self._kept(len(numbers))
        return words, np.concatenate(of_each).astype(np.int64)[kept], numbers[kept]

    def _kept(self, tokens: int) -> Ids:
        places = np.arange(tokens)
        if self.max_words is None or tokens <= self.max_words:
            return places
        end = self.max_words // 2
        return np.concatenate([places[: self.max_words - end], places[tokens - end :]])

    def note(self) -> str | None:
        """Say what is left out of long texts, for the model card."""
        if self.max_words is None:
            return None
        end = self.max_words // 2
        return f"Of longer texts the first {self.max_words - end:,} and the last {end:,} words are read."


def sentence_ends(tokenizer: Tokenizer) -> tuple[int, ...]:
    """Return the ids of the tokens that end a sentence: full stop, exclamation mark, question mark, line end."""
    ends = [one for one in range(4, tokenizer.vocab_size) if tokenizer.id_to_token(one).lstrip(" ▁Ġ") in _SENTENCE_ENDS]
    return (*ends, tokenizer.eos_id) if ends else ()


def pad(sequences: Sequence[Ids], pad_id: int = 0) -> tuple[Ids, Ids]:
    """Lay sequences in rows, (batch, longest) int64, and return them with their lengths (batch,)."""
    lengths = np.array([len(one) for one in sequences], dtype=np.int64)
    rows = np.full((len(sequences), int(lengths.max())), pad_id, dtype=np.int64)
    for row, one in zip(rows, sequences, strict=True):
        row[: len(one)] = one
    return rows, lengths


def length_batches(lengths: Sequence[int]) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the places of sequences of similar length, as many at once as make a batch of a fixed number of tokens."""
    order = np.argsort(lengths, kind="stable")
    sizes = np.asarray(lengths)[order]
    borders = [0]
    for place, size in enumerate(sizes):
        if place > borders[-1] and (place + 1 - borders[-1]) * size > _TOKENS_AT_ONCE:
            borders.append(place)
    for start, stop in pairwise([*borders, len(order)]):
        if stop > start:
            yield order[start:stop]
