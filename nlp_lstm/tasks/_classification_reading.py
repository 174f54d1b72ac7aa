"""How a classifier reads a text: its token ids, cut where it is too long, and the words they come from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from nlp_lstm.errors import UsageError
from nlp_lstm.tasks._language_model_text import Preparation
from nlp_lstm.tokenization import Tokenizer

Ids = npt.NDArray[np.int64]

# Where a word ends, every tokenizer begins a new token: the ids of the parts are those of the whole.
_BETWEEN_WORDS = re.compile(r"(?<=\S)(?=[ \n])")
_BETWEEN_WORDS_AND_TAGS = re.compile(r"(?<=[^\s>])(?<!<br)(?=[ \n])", re.IGNORECASE)
_SENTENCE_ENDS = frozenset(".!?…。！？\nĊ")
_TOKENS_AT_ONCE = 16_384


@dataclass(frozen=True)
class Reading:
    """How a text becomes ids.

    Attributes:
        lowercase: Make all letters small first.
        max_words: Of a longer text read the first half of so many words and the last half, and nothing between; the
            words are the tokenizer's, which may be pieces. None reads everything.
        html_line_breaks: Read the line break of HTML, `<br />`, as the end of a line.
        boundaries: Put the token that ends a text at both ends, as a language model meets texts in its training.
    """

    lowercase: bool = False
    max_words: int | None = None
    html_line_breaks: bool = False
    boundaries: bool = False

    def __post_init__(self) -> None:
        if self.max_words is not None and self.max_words < 2:
            raise UsageError(f"--max-words {self.max_words} must be at least 2: one at the beginning, one at the end.")

    def prepare(self, text: str) -> str:
        """Return the text as the tokenizer gets it."""
        return Preparation(self.lowercase, self.html_line_breaks).text(text)

    def ids(self, text: str, tokenizer: Tokenizer) -> Ids:
        """Return the ids (tokens,) int64 that the model reads, at least one."""
        return self.framed(self.cut(self.whole(text, tokenizer)))

    def whole(self, text: str, tokenizer: Tokenizer) -> Ids:
        """Return the ids of all of a text, (tokens,) int64."""
        return tokenizer.encode_array(self.prepare(text)).astype(np.int64)

    def cut(self, ids: Ids) -> Ids:
        """Return those of the ids of a whole text (tokens,) that are read."""
        return ids[self._kept(len(ids))]

    def is_cut(self, tokens: int) -> bool:
        """Tell whether a text of so many tokens is longer than what is read of it."""
        return self.max_words is not None and tokens > self.max_words

    def framed(self, ids: Ids) -> Ids:
        """Return what is read of a text with what stands at its ends; nothing becomes the token that ends a text."""
        end = np.array([Tokenizer.eos_id])
        return np.concatenate([end, ids, end]) if self.boundaries else ids if len(ids) else end

    def words(self, text: str, tokenizer: Tokenizer) -> tuple[list[str], Ids, Ids]:
        """Return the words, which joined are the text; the ids as in `ids`; and of which word each id is (tokens,).

        What stands at the ends is of no word: -1.
        """
        words = (_BETWEEN_WORDS_AND_TAGS if self.html_line_breaks else _BETWEEN_WORDS).split(text)
        of_each = [tokenizer.encode_array(self.prepare(word)) for word in words]
        numbers = np.repeat(np.arange(len(words)), [len(ids) for ids in of_each])
        kept = self._kept(len(numbers))
        ids, numbers = np.concatenate(of_each).astype(np.int64)[kept], numbers[kept]
        if self.boundaries:
            return words, self.framed(ids), np.concatenate([[-1], numbers, [-1]])
        return words, self.framed(ids), numbers if len(numbers) else np.array([0])

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
