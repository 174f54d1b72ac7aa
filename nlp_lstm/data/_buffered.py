"""Batches from text past memory: each buffer of documents is tokenized when its turn comes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from nlp_lstm.data._shards import BEGINNING, Place
from nlp_lstm.data._stream import StreamBatch, TokenStream
from nlp_lstm.data._tokenized import StreamedText, encode_pieces
from nlp_lstm.errors import DataError


class BufferedStream:
    """A streamed text as steps without end: buffer after buffer, each laid out in rows as `TokenStream` does.

    Every token but the first of a buffer is a target once an epoch. A step is a pure function of its number: what is
    before it is tokenized again to find it, or, where it is known in which buffer it is, one buffer alone.

    Args:
        text: The text and its tokenizer.
        batch_size: How many rows; fewer at the end of an epoch, where a buffer has not as many targets.
        sequence_length: Tokens of each row in a step.
        seed: Decides the order of the documents.
    """

    def __init__(self, text: StreamedText, batch_size: int, sequence_length: int, seed: int) -> None:
        self.text, self.batch_size, self.sequence_length, self.seed = text, batch_size, sequence_length, seed

    def __len__(self) -> int:
        """Return about how many steps an epoch has; the largest number there is where nothing tells."""
        characters = self.text.source.characters
        if characters is None:
            return sys.maxsize
        tokens = characters * len(self.text) / max(1, self.text.characters)
        return max(1, round(tokens / (self.batch_size * self.sequence_length)))

    def around(
        self,
        start: int = 0,
        first: int = 0,
        place: Place = BEGINNING,
        opened: Callable[[int, Place], None] = lambda *_: None,
    ) -> Iterator[tuple[int, StreamBatch]]:
        """Yield the steps from number `start` on, each with its number in its buffer.

        Args:
            first: Number of the first step of a buffer at or before `start`; nothing before that buffer is tokenized.
            place: Where that buffer begins.
            opened: Is told both of each buffer that is tokenized.

        Raises:
            DataError: A shard is damaged, or an epoch has no two tokens that follow on each other.
        """
        for begins, stream in self._buffers(first, place, opened):
            for step in range(max(0, start - begins), len(stream)):
                yield step, stream.batch(step)
            del stream  # as below

    def _buffers(
        self, first: int, place: Place, opened: Callable[[int, Place], None]
    ) -> Iterator[tuple[int, TokenStream]]:
        source, tokenizer = self.text.source, self.text.tokenizer
        newest = place.epoch  # of those with a step in them
        for where, documents in source.buffers(self.seed, place):
            ids = encode_pieces(documents, source.ends_with_eos, tokenizer)
            del documents  # tokens alone are kept while the model trains on them, and not while the next text is read
            if len(ids) >= 2:
                opened(first, where)
                stream = TokenStream(ids, self.batch_size, self.sequence_length)
                steps = len(stream)
                yield first, stream
                first, newest = first + steps, where.epoch
                del stream
            elif where.epoch > newest + 1:
                raise DataError(
                    f"{source.name}: no buffer has two tokens to predict one from another. Give more text, or a larger "
                    "--shuffle-buffer."
                )
            del ids
