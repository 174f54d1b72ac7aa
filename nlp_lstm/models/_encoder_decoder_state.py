"""Where a decoder stands: one copy of each source, and the rows of hypotheses that ask it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nlp_lstm.cells import State
from nlp_lstm.models._encoder_decoder_encoder import Memory


class Grid(NamedTuple):
    """Rows laid out as (sentences, width), so that all rows of a sentence ask its memory in one product.

    `places` (rows,) int64 say where each row stands, counted through the grid; None where the rows fill it in order.
    """

    places: Tensor | None
    sentences: int
    width: int

    @classmethod
    def of(cls, owners: Tensor, sentences: int) -> Grid:
        """Lay out rows that belong to the sentences `owners` (rows,) int64, in any order."""
        every = torch.arange(len(owners), device=owners.device)
        counts = owners.bincount(minlength=sentences)
        order = owners.argsort(stable=True)
        # The number of a row among those of its sentence: its place in the order, less where the sentence begins.
        among = every - (counts.cumsum(0) - counts).index_select(0, owners.index_select(0, order))
        width = int(counts.max()) if len(counts) else 1
        places = owners * width + torch.empty_like(owners).index_copy_(0, order, among)
        filled = len(owners) == sentences * width and torch.equal(places, every)
        return cls(None if filled else places, sentences, width)

    def spread(self, rows: Tensor) -> Tensor:
        """Give (rows, time, size) as (sentences, width * time, size), zero where no row stands."""
        if self.places is not None:
            empty = rows.new_zeros(self.sentences * self.width, *rows.shape[1:])
            rows = empty.index_copy(0, self.places, rows)
        return rows.reshape(self.sentences, self.width * rows.shape[1], rows.shape[2])

    def gather(self, laid_out: Tensor, time: int) -> Tensor:
        """Give (sentences, width * time, size) as the rows, (rows, time, size)."""
        rows = laid_out.reshape(-1, time, laid_out.shape[-1])
        return rows if self.places is None else rows.index_select(0, self.places)


class DecoderState(NamedTuple):
    """Where a decoder stands in every row of a batch.

    `owners` (rows,) says which sentence of the memory a row belongs to, `layers` holds the recurrent states, `fed`
    (rows, embedding_size) the last features where they are fed back, `coverage` (rows, positions) the sum of all
    attention so far where it is kept, and `weights` (rows, positions) the attention of the last step. `grid` lays the
    rows out by their sentences; without one each row is a sentence of the memory, in order.
    """

    memory: Memory
    owners: Tensor
    layers: tuple[Tensor | State, ...]
    fed: Tensor | None
    coverage: Tensor | None
    weights: Tensor | None
    grid: Grid | None = None

    def select(self, rows: Tensor) -> DecoderState:
        """Take rows (n,) int64, repeated or left out.

        The memory has one copy of each sentence, however many rows it has, and is moved only where a third of its
        sentences have no row any more. With coverage the keys differ from row to row, and each has its own copy.
        """
        owners = self.owners.index_select(0, rows)
        memory, grid = self.memory, self.grid
        if not torch.equal(owners, self.owners):
            if self.coverage is not None:
                memory = memory.select(rows)
            else:
                memory, owners = _without_idle(memory, owners)
                grid = Grid.of(owners, len(memory.keys))
        layers = tuple(_select_state(state, rows) for state in self.layers)
        fed, coverage, weights = (
            None if one is None else one.index_select(0, rows) for one in (self.fed, self.coverage, self.weights)
        )
        return DecoderState(memory, owners, layers, fed, coverage, weights, grid)

    def source_ids(self) -> Tensor:
        """Give the ids of the source of each row, (rows, positions)."""
        return self.memory.ids if self.grid is None else self.memory.ids.index_select(0, self.owners)


def _without_idle(memory: Memory, owners: Tensor) -> tuple[Memory, Tensor]:
    """Leave out sentences that own no row, where they are many enough for it to pay; give the memory and the owners."""
    busy = owners.new_zeros(len(memory.keys), dtype=torch.bool).index_fill(0, owners, True)
    kept = busy.nonzero()[:, 0]
    if 3 * len(kept) > 2 * len(busy):
        return memory, owners
    return memory.select(kept), (busy.cumsum(0) - 1).index_select(0, owners)


def _select_state(state: Tensor | State, rows: Tensor) -> Tensor | State:
    if isinstance(state, Tensor):
        return state.index_select(1, rows)
    return tuple(tensor.index_select(1, rows) for tensor in state)
