"""Texts as a classifier meets them in training: cut where they are too long, with words lost, anew each time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from nlp_lstm.errors import UsageError
from nlp_lstm.tasks._classification_reading import Ids, Reading, pad
from nlp_lstm.tokenization import Tokenizer

LONGEST_IN_TRAINING = 8192
"""Tokens of a text that are learned from where `max_words` says nothing: all steps are kept for the way back."""


class TrainingTexts:
    """The texts of training, and batches of them that are drawn anew each time.

    With `word_dropout` a token is the tokenizer's unknown one with that probability: the text is noised, and what
    stands for words that training never saw is learned; what `reading.boundaries` puts at the ends stays. With `crop` a
    text of more than `reading.max_words` tokens is a contiguous stretch of so many at a random place; without, its
    beginning and its end, as everywhere else.

    Attributes:
        limit: The most tokens of a text that are read.
        lengths: Tokens of each text as it is read, with what stands at its ends, (texts,) int64.
        too_long: How many texts have more than `LONGEST_IN_TRAINING` tokens where `max_words` says nothing.

    Raises UsageError where the share is out of range, or there is nothing to crop by.
    """

    def __init__(
        self,
        texts: Iterable[str],
        reading: Reading,
        tokenizer: Tokenizer,
        word_dropout: float = 0.0,
        crop: bool = False,
    ) -> None:
        if not 0 <= word_dropout < 1:
            raise UsageError(f"--word-dropout {word_dropout} must be at least 0 and below 1.")
        if crop and reading.max_words is None:
            raise UsageError("--crop needs --max-words: say how many words of a longer text are read at a time.")
        self.limit = reading.max_words or LONGEST_IN_TRAINING
        self._reading = replace(reading, max_words=self.limit)
        ids = [reading.whole(text, tokenizer) for text in texts]
        sizes = np.array([len(one) for one in ids], dtype=np.int64)
        self.too_long = int((sizes > self.limit).sum()) if reading.max_words is None else 0
        self._ids = ids if crop else [self._reading.cut(one) for one in ids]
        self._ends = int(reading.boundaries)
        self.lengths = np.maximum(np.minimum(sizes, self.limit) + 2 * self._ends, 1)
        self._word_dropout, self._unknown = word_dropout, tokenizer.unk_id

    def batch(self, places: Iterable[int], generator: np.random.Generator) -> tuple[Ids, Ids]:
        """Lay texts in rows, (batch, longest) int64, and return them with their lengths (batch,)."""
        rows, lengths = pad([self._reading.framed(self._stretch(self._ids[place], generator)) for place in places])
        if self._word_dropout:
            lost, steps = generator.random(rows.shape) < self._word_dropout, np.arange(rows.shape[1])
            rows[lost & (steps >= self._ends) & (steps < lengths[:, None] - self._ends)] = self._unknown
        return rows, lengths

    def _stretch(self, ids: Ids, generator: np.random.Generator) -> Ids:
        if len(ids) <= self.limit:
            return ids
        start = int(generator.integers(len(ids) - self.limit + 1))
        return ids[start : start + self.limit]


def most_tokens(batch_size: int, lengths: Sequence[int] | Ids, max_words: int | None) -> int:
    """Return how many tokens a batch holds at most, padding included: texts of a usual length are never too many.

    So memory is bounded however long the longest texts are, of which a batch has fewer.
    """
    return batch_size * max(512, max_words or 0, 2 * int(np.median(lengths)))
