"""The filters against a second reading of their definitions, one token at a time in float64 NumPy."""

from __future__ import annotations

import math

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nlp_lstm.decoding import SamplingOptions, next_token_distribution
from nlp_lstm.errors import ShapeError


def expected_row(logits: list[float], options: SamplingOptions, recent: list[int]) -> NDArray[numpy.float64]:
    """Apply the options to one row: explicit sets and sums, nothing shared with the implementation."""
    scores = numpy.array(logits, dtype=numpy.float64)
    for token in set(recent):
        penalty = options.repetition_penalty
        scores[token] = scores[token] / penalty if scores[token] > 0 else scores[token] * penalty
    if options.temperature == 0:
        winner = min(range(len(scores)), key=lambda token: (-scores[token], token))
        return numpy.array([float(token == winner) for token in range(len(scores))])
    weights = numpy.exp((scores - scores.max()) / options.temperature)
    kept = set(range(len(weights)))
    if 0 < options.top_k < len(weights):
        last = sorted(weights, reverse=True)[options.top_k - 1]
        kept = {token for token in kept if weights[token] >= last}
    if options.min_p > 0:
        kept = {token for token in kept if weights[token] >= options.min_p * (1 - 1e-6)}  # the largest weight is 1
    if options.top_p < 1:
        mass = sum(weights[token] for token in kept)
        nucleus, held = set(), 0.0
        for value in sorted({weights[token] for token in kept}, reverse=True):
            if held >= options.top_p * (1 - 1e-6):
                break
            equals = [token for token in kept if weights[token] == value]
            # Equal tokens come together, and the first of them to be needed brings the others.
            nucleus.update(equals)
            held += value / mass * len(equals)
        kept = nucleus
    filtered = numpy.array([weights[token] if token in kept else 0.0 for token in range(len(weights))])
    result: NDArray[numpy.float64] = filtered / filtered.sum()
    return result


# Quarters make ties frequent and keep distinct weights far apart beside rounding.
LOGITS = st.lists(st.integers(-24, 24).map(lambda quarters: quarters / 4), min_size=1, max_size=9)
# Values that no sum or ratio of such weights meets exactly, so that rounding cannot decide a case.
OPTIONS = st.builds(
    SamplingOptions,
    temperature=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    top_k=st.integers(0, 11),
    top_p=st.sampled_from([1e-6, 0.123, 0.377, 0.713, 0.941, 1.0]),
    min_p=st.sampled_from([0.0, 0.0137, 0.217, 1.0]),
    repetition_penalty=st.sampled_from([0.5, 1.0, 1.25, 2.0]),
)


@settings(max_examples=60, deadline=None)
@given(rows=st.tuples(LOGITS, LOGITS), options=OPTIONS, data=st.data())
def test_every_filter_and_their_order_match_an_independent_reading(
    rows: tuple[list[float], list[float]], options: SamplingOptions, data: st.DataObject
) -> None:
    width = min(map(len, rows))
    batch = [row[:width] for row in rows]
    recent = data.draw(st.lists(st.lists(st.integers(0, width - 1), min_size=3, max_size=3), min_size=2, max_size=2))
    got = next_token_distribution(torch.tensor(batch), options, torch.tensor(recent))
    expected = numpy.stack([expected_row(row, options, ids) for row, ids in zip(batch, recent, strict=True)])
    assert got.dtype == torch.float32
    numpy.testing.assert_allclose(got.numpy(), expected, rtol=1e-5, atol=1e-7)


LADDER = [math.log(weight) for weight in (0.4, 0.3, 0.2, 0.1)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (SamplingOptions(), [0.4, 0.3, 0.2, 0.1]),
        (SamplingOptions(temperature=0.5), [16 / 30, 9 / 30, 4 / 30, 1 / 30]),
        (SamplingOptions(temperature=0), [1, 0, 0, 0]),
        (SamplingOptions(temperature=1e-30), [1, 0, 0, 0]),
        (SamplingOptions(top_k=2), [4 / 7, 3 / 7, 0, 0]),
        (SamplingOptions(top_k=4), [0.4, 0.3, 0.2, 0.1]),
        (SamplingOptions(top_k=9), [0.4, 0.3, 0.2, 0.1]),
        (SamplingOptions(min_p=0.45), [4 / 9, 3 / 9, 2 / 9, 0]),
        (SamplingOptions(min_p=1), [1, 0, 0, 0]),
        (SamplingOptions(top_p=0.65), [4 / 7, 3 / 7, 0, 0]),
        (SamplingOptions(top_p=1e-12), [1, 0, 0, 0]),
        # Top-p sees what top-k left: of [4, 3] / 7 the first holds 0.57; of the whole it would hold 0.4 only.
        (SamplingOptions(top_k=2, top_p=0.5), [1, 0, 0, 0]),
        # Min-p comes before top-p: of [4, 3] / 7 the first holds 0.57.
        (SamplingOptions(min_p=0.7, top_p=0.55), [1, 0, 0, 0]),
        # Temperature comes before both: squared, the first holds 16/30 of the mass.
        (SamplingOptions(temperature=0.5, top_p=0.53), [1, 0, 0, 0]),
    ],
)
def test_worked_examples(options: SamplingOptions, expected: list[float]) -> None:
    got = next_token_distribution(torch.tensor([LADDER]), options)
    torch.testing.assert_close(got, torch.tensor([expected], dtype=torch.float32))


def test_ties_are_treated_alike_by_the_filters_and_greedy_takes_the_lowest_id() -> None:
    logits = torch.tensor([[1.0, 3.0, 3.0, 3.0, 0.0]])
    third = torch.tensor([[0, 1 / 3, 1 / 3, 1 / 3, 0]])
    for options in (SamplingOptions(top_k=2), SamplingOptions(top_p=0.4), SamplingOptions(top_k=1, top_p=0.4)):
        torch.testing.assert_close(next_token_distribution(logits, options), third)
    assert next_token_distribution(logits, SamplingOptions(temperature=0)).tolist() == [[0, 1, 0, 0, 0]]


def test_the_penalty_needs_recent_ids_counts_repeats_once_and_lowers_negative_logits_too() -> None:
    options = SamplingOptions(repetition_penalty=2.0)
    logits = torch.tensor([[2.0, -2.0, 1.0], [2.0, -2.0, 1.0]])
    assert torch.equal(next_token_distribution(logits, options), logits.softmax(-1))
    got = next_token_distribution(logits, options, torch.tensor([[0, 0, 0], [1, 2, 1]]))
    torch.testing.assert_close(got, torch.tensor([[1.0, -2.0, 1.0], [2.0, -4.0, 0.5]]).softmax(-1))
    assert logits.tolist() == [[2.0, -2.0, 1.0]] * 2  # the caller's logits are left as they were


def test_banned_tokens_stay_out_and_half_precision_comes_in() -> None:
    logits = torch.tensor([[0.0, -math.inf, 0.0]], dtype=torch.bfloat16)
    options = SamplingOptions(temperature=0.7, top_k=3, top_p=0.99, min_p=0.01, repetition_penalty=1.5)
    got = next_token_distribution(logits, options, torch.tensor([[1]]))
    assert got.dtype == torch.float32
    assert got.tolist() == [[0.5, 0.0, 0.5]]


def test_logits_that_differ_in_the_last_digit_are_no_tie() -> None:
    logits = torch.tensor([[1.0, 1.0 + 2**-23, 0.0]])
    for options in (SamplingOptions(top_k=1), SamplingOptions(min_p=1.0), SamplingOptions(temperature=0)):
        assert next_token_distribution(logits, options).tolist() == [[0, 1, 0]]


def test_a_far_away_maximum_leaves_it_alone_in_the_support() -> None:
    options = SamplingOptions(temperature=0.01, top_k=3, top_p=0.9, min_p=0.5)
    got = next_token_distribution(torch.tensor([[-3e4, 3e4, 0.0, -3e4]]), options)
    assert got.tolist() == [[0, 1, 0, 0]]


@pytest.mark.parametrize(
    ("logits", "recent", "message"),
    [
        (torch.zeros(5), None, r"logits have the shape \(5,\)"),
        (torch.zeros(2, 3, 5), None, r"logits have the shape \(2, 3, 5\)"),
        (torch.zeros(2, 5), torch.zeros(2, dtype=torch.int64), r"recent ids have the shape \(2,\).*\(2, window\)"),
        (torch.zeros(2, 5), torch.zeros(3, 4, dtype=torch.int64), r"recent ids have the shape \(3, 4\)"),
    ],
)
def test_wrong_shapes_are_refused(logits: torch.Tensor, recent: torch.Tensor | None, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        next_token_distribution(logits, SamplingOptions(), recent)
