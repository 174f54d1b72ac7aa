"""The stream for truncated back-propagation: every token once, in order, and rows that go on from step to step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nlp_lstm.data import StreamBatch, TokenStream
from nlp_lstm.errors import DataError, UsageError

sizes = st.tuples(st.integers(2, 200), st.integers(1, 30), st.integers(1, 20), st.integers(0, 25))
profile = settings(max_examples=60, deadline=None)


def rows_of(stream: TokenStream) -> list[list[tuple[int, int]]]:
    """Return each row as its (input, target) pairs, all steps joined."""
    batches = list(stream)
    inputs = torch.cat([batch.inputs for batch in batches], dim=1).tolist()
    targets = torch.cat([batch.targets for batch in batches], dim=1).tolist()
    return [list(zip(*row, strict=True)) for row in zip(inputs, targets, strict=True)]


@profile
@given(sizes)
def test_every_pair_of_the_text_is_scored_once_and_in_order(size: tuple[int, int, int, int]):
    tokens, batch_size, length, context = size
    ids = np.arange(1, tokens + 1, dtype=np.uint16)
    rows = rows_of(TokenStream(ids, batch_size, length, context))
    scored = [pair for row in rows for pair in row if pair[1] != -100]
    assert scored == list(zip(ids.tolist(), ids[1:].tolist(), strict=False))
    assert len(rows) == min(batch_size, tokens - 1)
    counts = [sum(target != -100 for _, target in row) for row in rows]
    assert max(counts) - min(counts) <= 1


@profile
@given(sizes)
def test_rows_start_earlier_by_the_context_and_go_on_without_a_gap(size: tuple[int, int, int, int]):
    tokens, batch_size, length, context = size
    ids = np.arange(1, tokens + 1, dtype=np.uint16)
    for row in rows_of(TokenStream(ids, batch_size, length, context)):
        inputs = [token for token, _ in row]
        used = max(index for index, (_, target) in enumerate(row) if target != -100) + 1
        assert inputs[:used] == list(range(inputs[0], inputs[0] + used))
        assert set(inputs[used:]) <= {0}
        before = next(index for index, (_, target) in enumerate(row) if target != -100)
        first_scored = inputs[before]
        assert before == min(context, first_scored - 1)


@profile
@given(sizes)
def test_any_step_can_be_asked_for_alone(size: tuple[int, int, int, int]):
    tokens, batch_size, length, context = size
    ids = np.random.default_rng(tokens).integers(0, 50, tokens)
    stream = TokenStream(ids, batch_size, length, context)
    batches = list(stream)
    assert len(stream) == len(batches)
    for step in reversed(range(len(stream))):
        alone = stream.batch(step)
        later = next(stream.iterate(step))
        for batch in (alone, later):
            torch.testing.assert_close(batch.inputs, batches[step].inputs)
            torch.testing.assert_close(batch.targets, batches[step].targets)
    assert all(batch.inputs.shape == (stream.rows, length) for batch in batches[:-1])
    assert 1 <= batches[-1].inputs.shape[1] <= length


def test_a_small_example_by_hand():
    batches = list(TokenStream(np.arange(10, 18, dtype=np.uint16), batch_size=2, sequence_length=3))
    # 8 tokens have 7 targets: the rows are 10 11 12 and 13 14 15 16; the last step is 1 long.
    assert [batch.inputs.tolist() for batch in batches] == [[[10, 11, 12], [13, 14, 15]], [[0], [16]]]
    assert [batch.targets.tolist() for batch in batches] == [[[11, 12, 13], [14, 15, 16]], [[-100], [17]]]


def test_a_small_example_with_context_by_hand():
    (batch,) = TokenStream(np.arange(10, 15, dtype=np.int32), batch_size=2, sequence_length=9, context=1)
    assert batch.inputs.tolist() == [[10, 11, 0], [11, 12, 13]]
    assert batch.targets.tolist() == [[11, 12, -100], [-100, 13, 14]]


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.int64])
def test_batches_are_torch_int64_and_own_their_memory(dtype: type):
    ids = np.array([40_000 if dtype is np.uint16 else 70_000, 1, 2], dtype)
    batch = TokenStream(ids, 1, 5).batch(0)
    assert isinstance(batch, StreamBatch)
    assert batch.inputs.dtype == batch.targets.dtype == torch.int64
    assert batch.inputs[0, 0] == int(ids[0])
    batch.inputs[0, 0] = 5
    assert ids[0] > 5


def test_only_what_a_step_needs_is_read(tmp_path):
    path = tmp_path / "ids.bin"
    with path.open("wb") as file:
        file.truncate(200_000_000_000)  # a sparse file far larger than memory
    ids = np.memmap(path, np.uint16, mode="r")
    stream = TokenStream(ids, 20, 35)
    assert stream.batch(len(stream) // 2).inputs.shape == (20, 35)


@pytest.mark.parametrize("step", [-1, 4])
def test_a_step_that_is_not_there_is_an_index_error(step: int):
    with pytest.raises(IndexError, match=rf"steps 0 to 3; {step} was asked for"):
        TokenStream(np.arange(9), 2, 1).batch(step)


@pytest.mark.parametrize("tokens", [0, 1])
def test_two_tokens_are_the_least(tokens: int):
    with pytest.raises(DataError, match=f"has {tokens} tokens; at least 2 are needed"):
        TokenStream(np.arange(tokens), 1, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1, 0), "--batch-size is 0: give a whole number from 1 up"),
        ((1, 0, 0), "--sequence-length is 0"),
        ((1, 1, -1), "the context is -1: give a whole number from 0 up"),
    ],
)
def test_sizes_out_of_range_are_refused(arguments: tuple[int, int, int], message: str):
    with pytest.raises(UsageError, match=message):
        TokenStream(np.arange(9), *arguments)
