"""Batches for truncated back-propagation through time: long rows of text, cut into steps that follow on each other.

Williams and Peng (1990), "An efficient gradient-based algorithm for on-line training of recurrent network
trajectories"; the layout in rows is that of Zaremba et al. (2014), arXiv:1409.2329, section 4.1.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nlp_lstm.errors import DataError, UsageError

if TYPE_CHECKING:
    import torch

IGNORE = -100  # the target that torch's cross-entropy leaves out
Ids = npt.NDArray[np.integer[Any]]


class StreamBatch(NamedTuple):
    """One step of the stream.

    `inputs` is (batch, time) int64. `targets` is (batch, time) int64: the token that follows each input in the text,
    -100 where none is to be scored (padding after a row's end, context before its start).
    """

    inputs: torch.Tensor
    targets: torch.Tensor


class TokenStream:
    """A text as steps of (rows, sequence_length) tokens, in which each row goes on where the step before ended.

    The text is laid out in contiguous rows whose lengths differ by at most one. Every token but the first is a target
    exactly once: a row's last input has the first token of the next row as its target, the last step is shorter, and
    rows that are over are padded. Only what a step needs is read, in whatever order steps are asked for.

    Args:
        ids: (tokens,) integers, in memory or memory-mapped.
        batch_size: How many rows; fewer where the text has not as many targets.
        sequence_length: Tokens of each row in a step.
        context: How many tokens before its start each row begins, as far as the text has them. They are not scored
            again and give a row a state that is warmed up, for evaluation.

    Raises:
        DataError: There are fewer than 2 tokens.
        UsageError: A size is out of range.
    """

    def __init__(self, ids: Ids, batch_size: int, sequence_length: int, context: int = 0) -> None:
        for flag, value, least in (
            ("--batch-size", batch_size, 1),
            ("--sequence-length", sequence_length, 1),
            ("the context", context, 0),
        ):
            if value < least:
                raise UsageError(f"{flag} is {value}: give a whole number from {least} up.")
        if len(ids) < 2:
            raise DataError(f"The text has {len(ids)} tokens; at least 2 are needed to predict one from another.")
        self.targets = len(ids) - 1
        self.rows = min(batch_size, self.targets)
        self.sequence_length = sequence_length
        self._ids = np.asarray(ids)  # a plain view: indexing a memmap directly builds a memmap each time
        borders = np.arange(self.rows + 1, dtype=np.int64) * self.targets // self.rows
        self._starts = borders[:-1, None]
        self._stops = borders[1:, None]
        self._firsts = np.maximum(self._starts - context, 0)
        self._width = int((self._stops - self._firsts).max())

    def __len__(self) -> int:
        """Return the number of steps."""
        return -(-self._width // self.sequence_length)

    def __iter__(self) -> Iterator[StreamBatch]:
        return self.iterate()

    def iterate(self, start: int = 0) -> Iterator[StreamBatch]:
        """Yield the steps from number `start` on, without reading those before."""
        for step in range(start, len(self)):
            yield self.batch(step)

    def around(self, start: int = 0) -> Iterator[tuple[int, StreamBatch]]:
        """Yield steps without end, each with its number in the text, from the one numbered `start` over all epochs."""
        for number in itertools.count(start):
            yield number % len(self), self.batch(number % len(self))

    def batch(self, step: int) -> StreamBatch:
        """Return one step by its number, from 0.

        Raises:
            IndexError: There are not as many steps.
        """
        import torch  # here, so that the options and the tokens can be used without waiting for it

        positions = self._positions(step)  # (rows, time)
        inside = positions < self._stops
        pairs = self._ids[np.minimum(positions, self.targets)], self._ids[np.minimum(positions + 1, self.targets)]
        inputs = np.where(inside, pairs[0], 0).astype(np.int64)
        scored = inside & (positions >= self._starts)
        targets = np.where(scored, pairs[1].astype(np.int64), IGNORE)
        return StreamBatch(torch.from_numpy(inputs), torch.from_numpy(targets))

    def _positions(self, step: int) -> npt.NDArray[np.int64]:
        if not 0 <= step < len(self):
            raise IndexError(f"The stream has steps 0 to {len(self) - 1}; {step} was asked for.")
        first = step * self.sequence_length
        time = np.arange(first, min(first + self.sequence_length, self._width), dtype=np.int64)
        return self._firsts + time
