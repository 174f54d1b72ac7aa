"""Text past memory: documents in shards, which are read one after another, a buffer of documents at a time.

The order is a pure function of a seed and can be taken up where any buffer begins. In each epoch the shards come in
the order `default_rng([seed, epoch]).permutation(shards)`. The next documents are put into a buffer until it has its
number of characters (each document counts one more), and come out in the order
`default_rng([seed, epoch, buffer]).permutation(documents)`, where `buffer` counts the buffers of the epoch from 0.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import NamedTuple

import numpy as np

from nlp_lstm.data._source import TextSource
from nlp_lstm.errors import DataError

SAMPLE_CHARACTERS = 20_000_000
SAMPLED_SHARDS = 100
Shards = Sequence[TextSource]


class Place(NamedTuple):
    """Where a buffer begins.

    `buffer` is its number in the epoch, `shard` a place in the epoch's order of the shards, `document` the number of
    the first document in that shard, of those that are not held out.
    """

    epoch: int = 0
    buffer: int = 0
    shard: int = 0
    document: int = 0


BEGINNING = Place()


@dataclass(frozen=True)
class StreamedSource(TextSource):
    """Text that is never read whole; iterating gives a sample of it, to train a tokenizer on.

    Attributes:
        shards: The parts in the order of their names; each piece of one is a document.
        held_out: How many documents are held out at the beginning of each shard.
        buffer_characters: How many characters are shuffled together.
        characters: About how many there are to train on; None where nothing tells.
        identity: The names of the shards. Not their sizes: a damaged shard, which is found when its turn comes, can
            be mended and the training goes on. So a shard that is changed is no other data, unless in what is held
            out or in the sample.
    """

    shards: Shards = field(repr=False)
    held_out: Sequence[int] = field(repr=False)
    buffer_characters: int
    characters: int | None
    identity: str = field(repr=False)

    def buffers(self, seed: int, place: Place = BEGINNING) -> Iterator[tuple[Place, list[str]]]:
        """Yield where each buffer begins and its documents in their order, epoch after epoch, from `place` on.

        The documents are kept by none but the caller, who can so be rid of them before the next buffer is read.

        Raises:
            DataError: A shard is damaged, and the message names it and the line; or there are no documents any more.
        """
        while True:
            filled = yield from self._epoch(seed, place)
            if not filled:
                raise DataError(f"{self.name}: no documents are left there. Put the files back.")
            place = Place(place.epoch + 1)

    def _epoch(self, seed: int, place: Place) -> Generator[tuple[Place, list[str]], None, bool]:
        """Yield the buffers of an epoch from a place on; return whether there was one."""
        waiting: list[str] = []
        characters, filled = 0, False
        for after, document in self._documents(seed, place):
            filled = True
            waiting.append(document)
            characters += len(document) + 1  # an empty one takes memory as well
            if characters >= self.buffer_characters:
                yield place, _taken(waiting, seed, place)
                place = Place(place.epoch, place.buffer + 1, *after)
                characters = 0
        if waiting:
            yield place, _taken(waiting, seed, place)
        return filled

    def _documents(self, seed: int, place: Place) -> Iterator[tuple[tuple[int, int], str]]:
        """Yield the documents of an epoch from a place on, each with the (shard, document) that follows it."""
        order = np.random.default_rng([seed, place.epoch]).permutation(len(self.shards)).tolist()
        for shard in range(place.shard, len(order)):
            first = place.document if shard == place.shard else 0
            skipped = self.held_out[order[shard]] + first
            for number, document in enumerate(islice(self.shards[order[shard]], skipped, None), first + 1):
                yield (shard, number), document


def _taken(waiting: list[str], seed: int, place: Place) -> list[str]:
    """Return the documents of a buffer in their order, and empty it."""
    order = np.random.default_rng([seed, place.epoch, place.buffer]).permutation(len(waiting))
    documents = [waiting[number] for number in order.tolist()]
    waiting.clear()
    return documents


class Sampling(NamedTuple):
    """Which shards are looked into, in their order, until there are `total` characters, `share` at most of each."""

    order: list[int]
    share: int
    total: int


def sampling(shards: int, one_in: int = 1) -> Sampling:
    """Choose 20 million characters (or one in so many of them) of so many shards.

    They are equal shares of up to a hundred shards, and of more where some are short.
    """
    total = SAMPLE_CHARACTERS // one_in
    share = total // min(shards, max(1, SAMPLED_SHARDS // one_in))
    return Sampling(np.random.default_rng(0).permutation(shards).tolist(), share, total)


def sample(shards: Shards, held_out: Sequence[int]) -> Iterator[str]:
    """Yield documents of shards, as `sampling` chooses them."""
    chosen = sampling(len(shards))
    total = 0
    for shard in chosen.order:
        taken = 0
        for document in islice(shards[shard], held_out[shard], None):
            yield document
            taken += len(document)
            if taken >= chosen.share:
                break
        total += taken
        if total >= chosen.total:
            return


def hold_out_first(shards: Shards, sizes: Mapping[str, int], name: str) -> tuple[dict[str, TextSource], list[int], str]:
    """Hold out the first documents, for each split at least one and as many as have its number of characters.

    Returns the splits, how many documents are held out at the beginning of each shard, and both in words.

    Raises:
        DataError: Nothing but whitespace is left to train on.
    """
    held_out = [0] * len(shards)
    splits: dict[str, TextSource] = {}
    said: list[str] = []
    documents = ((number, document) for number, shard in enumerate(shards) for document in shard)
    start = 0
    for split, size in sizes.items():
        taken = characters = 0
        for number, document in documents:
            held_out[number] += 1
            taken += 1
            characters += len(document)
            if characters >= size:
                break
        splits[split] = _first_documents(shards, f"{name}, {split} part", start, start + taken)
        said.append(f"the {'next' if start else 'first'} {taken:,} documents ({characters:,} characters) are {split}")
        start += taken
    if not any(document and not document.isspace() for _, document in documents):
        raise DataError(
            f"{name} is too short to stream: nothing is left to train on"
            + (f" when {', '.join(said)}" if said else "")
            + ". Give more text, leave out --stream, or lower --valid-fraction and --test-fraction."
        )
    return splits, held_out, ", ".join(said)


def _first_documents(shards: Shards, name: str, start: int, stop: int) -> TextSource:
    return TextSource(name, shards[0].ends_with_eos, lambda: islice(chain.from_iterable(shards), start, stop))
