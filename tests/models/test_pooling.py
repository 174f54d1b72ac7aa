"""Pooling against NumPy, one sequence at a time; what stands behind a sequence's end changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nlp_lstm.models import AttentionPooling, Pooling

LENGTHS = [5, 1, 3, 7]
SIZE = 6


@pytest.fixture
def features(seed: int) -> torch.Tensor:
    return torch.randn(len(LENGTHS), 7, SIZE, generator=torch.Generator().manual_seed(seed))


def attended(row: np.ndarray, pooling: AttentionPooling) -> np.ndarray:
    """Equations 8 to 10 of Yang et al. 2016, step by step."""
    weight, bias = (parameter.detach().numpy() for parameter in pooling.projection.parameters())
    scores = [float(np.tanh(weight @ h + bias) @ pooling.query.detach().numpy()) for h in row]
    exponentials = np.exp(np.array(scores) - max(scores))
    return (exponentials / exponentials.sum()) @ row


def expected(name: str, row: np.ndarray, bidirectional: bool, pooling: Pooling) -> np.ndarray:
    if name == "attention":
        return attended(row, pooling.attention)
    if name == "last":
        half = SIZE // 2
        return np.concatenate([row[-1, :half], row[0, half:]]) if bidirectional else row[-1]
    return row.max(axis=0) if name == "maximum" else row.mean(axis=0)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("names", [["last"], ["maximum"], ["mean"], ["attention"], ["attention", "last", "maximum"]])
def test_pooling_is_that_of_each_sequence_alone(names: list[str], bidirectional: bool, features: torch.Tensor) -> None:
    pooling = Pooling(names, SIZE, bidirectional)
    pooled = pooling(features, torch.tensor(LENGTHS)).detach().numpy()
    assert pooled.shape == (len(LENGTHS), pooling.output_size) == (4, SIZE * len(names))
    for row, length, found in zip(features.numpy(), LENGTHS, pooled, strict=True):
        parts = [expected(name, row[:length], bidirectional, pooling) for name in names]
        np.testing.assert_allclose(found, np.concatenate(parts), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["last", "maximum", "mean", "attention"])
def test_what_stands_behind_the_end_has_no_part_and_no_gradient(name: str, features: torch.Tensor) -> None:
    pooling, lengths = Pooling([name], SIZE, True), torch.tensor(LENGTHS)
    behind = torch.arange(7) >= lengths.unsqueeze(1)
    loud = features.masked_fill(behind.unsqueeze(2), 1e6).requires_grad_()
    pooled = pooling(loud, lengths)
    assert torch.equal(pooled, pooling(features, lengths))
    pooled.square().sum().backward()
    assert not loud.grad[behind].any()
    assert loud.grad[~behind].any()


def test_attention_weighs_all_steps_and_sums_to_one(features: torch.Tensor) -> None:
    mask = torch.arange(7) < torch.tensor(LENGTHS).unsqueeze(1)
    weights = AttentionPooling(SIZE).weights(features, mask)
    assert torch.allclose(weights.sum(dim=1), torch.ones(4))
    assert torch.equal(weights > 0, mask)
