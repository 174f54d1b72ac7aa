"""The batches of a streamed text, and where a training that was stopped reads on."""

from __future__ import annotations

import reprlib
import zlib
from collections.abc import Iterator
from itertools import chain
from typing import Any

from nlp_lstm.data import BufferedStream, Place, StreamBatch
from nlp_lstm.errors import TrainingError
from nlp_lstm.training._restored import MisfitError

_NUMBERS = 2 + len(Place._fields)


class StreamedBatches:
    """Steps of a `BufferedStream`, from any number on, and for each number the position from which it is found again.

    A position is six whole numbers: the number of the first batch of a buffer, the four fields of the `Place` where
    that buffer begins, and a checksum of the batch before the one to go on with, or 0 where there is none.
    """

    def __init__(self, stream: BufferedStream) -> None:
        self.stream = stream
        self._begins = {0: Place()}  # of the buffers that are known, by the number of the first batch
        self._newest: tuple[int, StreamBatch] | None = None
        self._told = 0, 0  # the number of the batch to go on with, and the checksum of the one before it

    def batches(self, start: int) -> Iterator[tuple[int, StreamBatch]]:
        """Yield the steps from number `start` on, each with its number in its buffer; the first is read at once.

        Raises TrainingError where a position was told for `start`, and what stands there is another text.
        """
        first = self._newest_before(start)
        told, checksum = self._told
        ahead = start - 1 if told == start and checksum and first < start else start
        found = self.stream.around(ahead, first, self._begins[first], self._begins.__setitem__)
        if ahead < start and _checksum(next(found)[1]) != checksum:
            raise TrainingError(_another_text(self._begins[first]))
        return self._remembered(chain([next(found)], found), start)

    def _remembered(self, found: Iterator[tuple[int, StreamBatch]], start: int) -> Iterator[tuple[int, StreamBatch]]:
        for number, (step, batch) in enumerate(found, start):
            self._newest = number, batch
            yield step, batch

    def position(self, batch: int) -> list[int]:
        """Give the position for going on with a batch, those before which have been read; what is older is forgotten.

        It belongs to that number even where batches after it have been read already.
        """
        first, newest = self._newest_before(batch), self._newest
        for number in [one for one in self._begins if one < first]:
            del self._begins[number]  # in place, since the stream writes there
        checksum = _checksum(newest[1]) if newest is not None and newest[0] == batch - 1 else 0
        return [first, *self._begins[first], checksum]

    def go_on_from(self, batch: int, position: Any) -> None:
        """Take a position for going on with a batch; raises MisfitError where it is none in these shards."""
        shards = len(self.stream.text.source.shards)
        if not _are_counts(position) or position[0] > batch or position[3] >= shards:
            raise MisfitError(f"position {reprlib.repr(position)} is none before batch {batch:,} in {shards:,} shards")
        first, *place, checksum = position
        self._begins, self._newest, self._told = {first: Place(*place)}, None, (batch, checksum)

    def _newest_before(self, batch: int) -> int:
        first = max((number for number in self._begins if number <= batch), default=0)
        self._begins.setdefault(first, Place())  # the beginning may have been forgotten
        return first


def _are_counts(position: Any) -> bool:
    return (
        isinstance(position, list)
        and len(position) == _NUMBERS
        and all(type(number) is int and 0 <= number < 2**48 for number in position)
    )


def _checksum(batch: StreamBatch) -> int:
    """A number from 1 that another batch is unlikely to have."""
    return max(1, zlib.crc32(batch.targets.numpy().tobytes(), zlib.crc32(batch.inputs.numpy().tobytes())))


def _another_text(place: Place) -> str:
    return (
        f"The training was in epoch {place.epoch}, in the buffer from document {place.document} of shard {place.shard} "
        "in that epoch's order (all counted from 0), and another text is there now: the shards or the tokenizer have "
        "changed since. Put them back, or train anew."
    )
