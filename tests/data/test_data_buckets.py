"""Length buckets: each item once an epoch, both limits kept, little padding, any batch by its number alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlp_lstm.data import LengthBuckets
from nlp_lstm.errors import DataError, UsageError

profile = settings(max_examples=60, deadline=None)
one_side = st.lists(st.integers(0, 90), min_size=1, max_size=120)
two_sides = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 60)), min_size=1, max_size=120)
limits = st.tuples(st.none() | st.integers(1, 20), st.none() | st.integers(1, 200)).filter(any)


def padded(lengths: npt.NDArray[np.int64], batch: npt.NDArray[np.int64]) -> int:
    """Return the tokens of a batch with its padding, both sides together."""
    sides = lengths.reshape(len(lengths), -1)[batch]
    return int(sides.max(axis=0).sum()) * len(batch)


def epoch(buckets: LengthBuckets, number: int) -> list[npt.NDArray[np.int64]]:
    count = buckets.batches_per_epoch
    return [buckets.batch(number * count + place) for place in range(count)]


def drawn_lengths(items: int, seed: int) -> npt.NDArray[np.int64]:
    """Return lengths as of sentences: the second side is about as long as the first, (items, 2)."""
    generator = np.random.default_rng(seed)
    first = generator.gamma(4.0, 4.0, items) + 3
    second = first * generator.normal(1.1, 0.15, items).clip(0.5, 2)
    return np.stack([first, second], axis=1).astype(np.int64) + 1


@profile
@given(one_side | two_sides, limits, st.integers(0, 2**32))
def test_every_item_comes_once_an_epoch_within_the_limits(lengths, limit, seed: int):
    size, tokens = limit
    buckets = LengthBuckets(lengths, size, tokens, seed)
    array = np.array(lengths, np.int64)
    for number in (0, 1, 5):
        batches = epoch(buckets, number)
        assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
        for batch in batches:
            assert batch.dtype == np.int64
            assert size is None or len(batch) <= size
            assert tokens is None or len(batch) == 1 or padded(array, batch) <= tokens


@profile
@given(one_side, limits, st.integers(0, 1000))
def test_a_batch_is_a_function_of_seed_and_number(lengths: list[int], limit, number: int):
    straight = LengthBuckets(lengths, *limit, 7)
    expected = [straight.batch(place).tolist() for place in range(number, number + 5)]
    other = LengthBuckets(np.array(lengths), *limit, 7)
    other.batch(number + 100)  # whatever was asked for before
    assert [other.batch(place).tolist() for place in range(number + 4, number - 1, -1)] == expected[::-1]


def test_epochs_and_seeds_differ_in_order_and_in_company():
    lengths = drawn_lengths(2000, 3)
    first, again = LengthBuckets(lengths, 32, None, 1), LengthBuckets(lengths, 32, None, 2)
    seen = [epoch(first, 0), epoch(first, 1), epoch(again, 0)]
    orders = [[int(batch[0]) for batch in batches] for batches in seen]
    assert len({tuple(order) for order in orders}) == 3
    groups = [{frozenset(batch.tolist()) for batch in batches} for batches in seen]
    assert len(groups[0] & groups[1]) < len(groups[0]) / 4, "most batches have new members"
    means = np.array([lengths[batch].mean() for batch in seen[0]])
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.5, "the short ones do not come first"


@pytest.mark.parametrize("limit", [(64, None), (None, 4000)])
@pytest.mark.parametrize("sides", [1, 2])
def test_padding_is_close_to_that_of_sorted_items(limit, sides: int):
    lengths = drawn_lengths(20_000, 11)[:, :sides]
    buckets = LengthBuckets(lengths, *limit, 5)
    batches = epoch(buckets, 0)
    size = int(np.mean([len(batch) for batch in batches]))
    by_length = np.lexsort(lengths.T[::-1])  # by the first side, then the second
    oracle = np.array_split(by_length, len(lengths) // size)
    real = int(lengths.sum())
    shares = [1 - real / sum(padded(lengths, batch) for batch in some) for some in (batches, oracle)]
    shuffled = np.array_split(np.random.default_rng(0).permutation(len(lengths)), len(lengths) // size)
    unsorted = 1 - real / sum(padded(lengths, batch) for batch in shuffled)
    assert shares[0] < shares[1] + 0.02
    assert shares[0] < unsorted / 3


def test_batches_by_tokens_are_nearly_full():
    lengths = drawn_lengths(5000, 2)
    buckets = LengthBuckets(lengths, None, 3000, 0)
    assert sum(padded(lengths, batch) for batch in epoch(buckets, 0)) > 0.9 * 3000 * buckets.batches_per_epoch


def test_one_side_may_be_given_as_a_column():
    flat, column = LengthBuckets([3, 1, 2], 2, None, 0), LengthBuckets(np.array([[3], [1], [2]]), 2, None, 0)
    assert [batch.tolist() for batch in epoch(flat, 0)] == [batch.tolist() for batch in epoch(column, 0)]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1], 0, None), UsageError, "--batch-size is 0: give a whole number from 1 up"),
        (([1], None, -5), UsageError, "--batch-tokens is -5"),
        (([1], None, None), UsageError, "Neither --batch-size nor --batch-tokens is given"),
        (([], 1, None), DataError, "nothing to make batches of"),
    ],
)
def test_faulty_arguments_are_refused(arguments, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        LengthBuckets(*arguments, 0)
