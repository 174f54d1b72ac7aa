"""Batches of items of similar length, so that little is padding, in an order that is new in every epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nlp_lstm.errors import DataError, UsageError

_WIDTH = 1.05  # lengths whose ratio is below this count as equal, which mixes the batches at little padding
Indices = npt.NDArray[np.int64]


class LengthBuckets:
    """The batches of all epochs by their number: each item once an epoch, similar lengths together.

    Items are grouped into buckets of nearly equal length and shuffled within them anew in each epoch, cut into
    batches from the shortest bucket to the longest, and the batches are shuffled. A batch is a function of the seed
    and its number alone, so that training can go on anywhere. The number of batches is the same in every epoch.

    Args:
        lengths: (items,) tokens of each item, or (items, 2) of its two sides.
        batch_size: The most items in a batch; None for no limit.
        batch_tokens: The most tokens in a batch, padding included, of both sides together; None for no limit. A
            longer item is a batch of its own.
        seed: Of the order.

    Raises:
        DataError: There are no items.
        UsageError: A limit is out of range, or neither is given.
    """

    def __init__(
        self,
        lengths: Sequence[int] | Sequence[tuple[int, int]] | npt.NDArray[np.integer],
        batch_size: int | None,
        batch_tokens: int | None,
        seed: int,
    ) -> None:
        for flag, value in (("--batch-size", batch_size), ("--batch-tokens", batch_tokens)):
            if value is not None and value < 1:
                raise UsageError(f"{flag} is {value}: give a whole number from 1 up.")
        if batch_size is None and batch_tokens is None:
            raise UsageError("Neither --batch-size nor --batch-tokens is given: set one of them.")
        if len(lengths) == 0:
            raise DataError("There is nothing to make batches of. Give more data.")
        sizes = np.asarray(lengths, np.int64).reshape(len(lengths), -1)  # (items, sides)
        self._seed = seed
        self._buckets = _buckets(sizes)
        order = np.argsort(self._buckets, kind="stable")
        self._borders = _borders(_largest(sizes, self._buckets)[order], batch_size, batch_tokens)
        self._epoch = -1
        self._batches: list[Indices] = []

    @property
    def batches_per_epoch(self) -> int:
        """How many batches hold every item once."""
        return len(self._borders) - 1

    def batch(self, number: int) -> Indices:
        """Return the items of a batch by its number, which counts from 0 over all epochs: (items,) int64."""
        epoch, place = divmod(number, self.batches_per_epoch)
        if epoch != self._epoch:
            self._batches, self._epoch = self._arranged(epoch), epoch
        return self._batches[place]

    def _arranged(self, epoch: int) -> list[Indices]:
        generator = np.random.default_rng([self._seed, epoch])
        shuffled = generator.permutation(len(self._buckets))
        order = shuffled[np.argsort(self._buckets[shuffled], kind="stable")]
        batches = [order[start:stop] for start, stop in zip(self._borders, self._borders[1:], strict=False)]
        return [batches[place] for place in generator.permutation(len(batches))]


def _buckets(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number the bucket of each item so that neighbours are similar: by one side, then to and fro by the other."""
    steps: npt.NDArray[np.int64] = np.floor(np.log(np.maximum(sizes, 1)) / np.log(_WIDTH)).astype(np.int64)
    if steps.shape[1] == 1:  # steps is (items, sides)
        return steps.ravel()
    _, first = np.unique(steps[:, 0], return_inverse=True)  # without gaps, so that odd follows even
    second = steps[:, 1]
    span = int(second.max()) + 1
    to_and_fro = np.where(first % 2 == 0, second, span - 1 - second)
    return np.asarray(first * span + to_and_fro, np.int64)


def _largest(sizes: npt.NDArray[np.int64], buckets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Give each item the greatest lengths of its bucket, since any item of it may take its place: (items, sides)."""
    _, bucket = np.unique(buckets, return_inverse=True)
    greatest = np.zeros((int(bucket.max()) + 1, sizes.shape[1]), np.int64)
    np.maximum.at(greatest, bucket, sizes)
    return np.maximum(greatest, 1)[bucket]


def _borders(sizes: npt.NDArray[np.int64], batch_size: int | None, batch_tokens: int | None) -> list[int]:
    """Cut items, in the order of their buckets, into batches that keep both limits: where each one starts."""
    borders = [0]
    longest = [0] * sizes.shape[1]
    for place, lengths in enumerate(sizes.tolist()):
        items = place - borders[-1] + 1
        longest = [max(pair) for pair in zip(longest, lengths, strict=True)]
        too_many = batch_size is not None and items > batch_size
        if too_many or (batch_tokens is not None and items > 1 and items * sum(longest) > batch_tokens):
            borders.append(place)
            longest = lengths
    return [*borders, len(sizes)]
