"""States of a decoder whose rows are chosen, repeated, left out: against rows that were read alone, and no copies."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from nlp_lstm.models import EncoderDecoder, EncoderDecoderOptions, autocast
from nlp_lstm.models._encoder_decoder_state import Grid

VOCAB = 11
SHAPES: list[dict[str, Any]] = [
    *({"attention": name} for name in ("dot", "general", "concat", "additive", "multi-head")),
    {"copy": True, "input_feeding": True},
    {"coverage": 0.5, "attention": "additive", "copy": True},
    {"cell": "gru", "decoder_layers": 3},
]


def build(**options: Any) -> EncoderDecoder:
    sizes = {"embedding_size": 5, "encoder_size": 4, "decoder_size": 8, "dropout": 0.0}
    return EncoderDecoder(VOCAB, VOCAB, EncoderDecoderOptions(**{**sizes, **options})).eval()


def sources(count: int) -> tuple[Tensor, Tensor]:
    lengths = torch.randint(1, 7, (count,))
    lengths[0] = 6
    return torch.randint(4, VOCAB, (count, 6)), lengths


def alone(model: EncoderDecoder, ids: Tensor, length: int, tokens: list[int]) -> tuple[Tensor, Tensor]:
    """Logits and attention after reading the tokens, one sentence and one row."""
    state = model.start(model.encode(ids[None, :length], torch.tensor([length])))
    for token in tokens:
        logits, state = model.step(torch.tensor([token]), state)
    weights = model.attention(state)
    assert weights is not None
    return logits[0], weights[0]


@torch.no_grad()
@pytest.mark.parametrize("options", SHAPES, ids=str)
def test_rows_get_what_they_get_alone_whatever_was_chosen_before(options: dict[str, Any], seed: int) -> None:
    torch.manual_seed(seed)
    model, (ids, lengths) = build(**options), sources(6)
    state = model.start(model.encode(ids, lengths))
    owners, read = list(range(6)), [[] for _ in range(6)]
    # As in a search: each sentence gets several rows, rows change places, sentences end; and once in any order.
    for rows in (
        [0, 0, 0, 1, 2, 2, 3, 4, 5, 5],
        [1, 0, 2, 3, 3, 4, 5, 6, 7, 8, 9, 9],
        [0, 3, 4, 5, 6, 10, 11],
        [6, 0, 3, 3, 1],
        [4],
        [0, 0, 0],
    ):
        given = torch.randint(4, VOCAB, (len(owners),))
        logits, state = model.step(given, state)
        read = [[*tokens, token] for tokens, token in zip(read, given.tolist(), strict=True)]
        weights = model.attention(state)
        for row, (owner, tokens) in enumerate(zip(owners, read, strict=True)):
            length = int(lengths[owner])
            expected, attention = alone(model, ids[owner], length, tokens)
            torch.testing.assert_close(logits[row], expected, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(weights[row, :length], attention, atol=1e-5, rtol=1e-4)
            assert (weights[row, length:] == 0).all()
        state = model.select(state, torch.tensor(rows))
        owners, read = [owners[row] for row in rows], [read[row] for row in rows]


@torch.no_grad()
@pytest.mark.parametrize("attention", ["dot", "additive", "multi-head"])
def test_rows_are_chosen_in_bf16_too(attention: str) -> None:
    torch.manual_seed(1)
    model, (ids, lengths) = build(attention=attention), sources(3)
    found = []
    for precision in ("fp32", "bf16"):
        with autocast(precision, torch.device("cpu")):
            state = model.start(model.encode(ids, lengths))
            _, state = model.step(torch.tensor([4, 5, 6]), state)
            _, state = model.step(torch.tensor([7, 8, 9, 4, 5]), model.select(state, torch.tensor([0, 0, 1, 2, 2])))
            found.append(model.step(torch.tensor([6, 7]), model.select(state, torch.tensor([1, 4])))[0].float())
    torch.testing.assert_close(found[1], found[0], atol=0.03, rtol=0.03)
    assert not torch.equal(found[1], found[0])


def test_each_sentence_is_kept_once_and_moved_only_where_a_third_are_done() -> None:
    model, (ids, lengths) = build(), sources(6)
    state = model.start(model.encode(ids, lengths))
    beams = state.select(torch.arange(6).repeat_interleave(3))
    assert beams.memory is state.memory
    assert beams.memory.summary is None, "what only the beginning needs is carried on"
    fewer = beams.select(torch.arange(15))  # one of six sentences is done
    assert fewer.memory is state.memory
    assert torch.equal(fewer.source_ids(), state.memory.ids[fewer.owners])
    few = fewer.select(torch.arange(12))
    assert len(few.memory.keys) == len(few.memory.ids) == 4
    assert torch.equal(few.source_ids(), fewer.source_ids()[:12])
    assert few.memory.values is few.memory.keys, "one tensor has become two"
    assert few.owners.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert len(few.select(torch.tensor([], dtype=torch.int64)).memory.keys) == 0


def test_rows_are_laid_out_by_their_sentences() -> None:
    grid = Grid.of(torch.tensor([1, 0, 1, 3]), 4)
    rows = torch.arange(4.0)[:, None, None] + 1
    assert grid.spread(rows)[:, :, 0].tolist() == [[2, 0], [1, 3], [0, 0], [4, 0]]
    assert torch.equal(grid.gather(grid.spread(rows), 1), rows)
    full = Grid.of(torch.tensor([0, 0, 1, 1]), 2)
    assert full.places is None
    assert torch.equal(full.gather(full.spread(rows), 1), rows)
    steps = torch.randn(4, 3, 2)  # several steps of each row at once
    for one in (grid, full):
        assert torch.equal(one.gather(one.spread(steps), 3), steps)
