"""Outputs of a classifier against closed forms: ordered ratings, several labels at once, weights, temperature."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nlp_lstm.models import OrdinalOutput, label_losses, probabilities


def sigmoid(x: np.ndarray | float) -> np.ndarray | float:
    return 1 / (1 + np.exp(-np.asarray(x, dtype=np.float64)))


def test_ordered_ratings_are_differences_of_sigmoids(seed: int) -> None:
    torch.manual_seed(seed)
    output, features = OrdinalOutput(4, 5), torch.randn(6, 4)
    with torch.no_grad():
        output.gaps.copy_(torch.tensor([0.3, -2.0, 1.0]))
    found = output(features).detach()
    thresholds, scores = output.thresholds().detach().double().numpy(), (features @ output.weight).detach().numpy()
    assert (np.diff(thresholds) > 0).all()
    for row, score in zip(found.exp().numpy(), scores, strict=True):
        below = np.concatenate([[0.0], sigmoid(thresholds - score), [1.0]])
        np.testing.assert_allclose(row, np.diff(below), rtol=1e-4, atol=1e-7)
    assert torch.allclose(found.exp().sum(dim=1), torch.ones(6), atol=1e-5)


def test_ratings_start_alike_and_stay_in_order_whatever_the_gaps() -> None:
    output = OrdinalOutput(3, 4)
    assert output.thresholds().tolist() == pytest.approx([-1.0, 0.0, 1.0], abs=1e-3)
    with torch.no_grad():
        output.gaps.fill_(-50.0)
    assert (output.thresholds().diff() > 0).all()


@pytest.mark.parametrize("score", [-200.0, 0.0, 200.0])
def test_extreme_scores_have_finite_losses_and_gradients(score: float) -> None:
    output = OrdinalOutput(1, 3)
    with torch.no_grad():
        output.weight.fill_(1.0)
    logits = output(torch.tensor([[score]]))
    assert torch.isfinite(logits).all()
    for rating in range(3):
        (gradient,) = torch.autograd.grad(logits[0, rating], output.weight, retain_graph=True)
        assert torch.isfinite(gradient).all()
    if score:
        assert int(logits.argmax()) == (2 if score > 0 else 0)


def test_losses_are_those_of_torch_and_weighted() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.0, 3.0]])
    one, weights = torch.tensor([0, 1]), torch.tensor([1.0, 4.0, 9.0])
    plain = F.cross_entropy(logits, one, reduction="none")
    assert torch.allclose(label_losses(logits, one), plain)
    assert torch.allclose(label_losses(logits, one, weights), plain * torch.tensor([1.0, 4.0]))
    several = torch.tensor([[1, 0, 1], [0, 0, 0]])
    nats = [-np.log(sigmoid(2)) - np.log(sigmoid(1)) - np.log(sigmoid(0.5)), 2 * np.log(2) - np.log(sigmoid(-3))]
    np.testing.assert_allclose(label_losses(logits, several).numpy(), nats, rtol=1e-5)
    heavier = -np.log(sigmoid(2)) - np.log(sigmoid(1)) - 9 * np.log(sigmoid(0.5))
    assert float(label_losses(logits, several, weights)[0]) == pytest.approx(heavier, rel=1e-5)


def test_a_temperature_changes_how_sure_and_not_what() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5]])
    hot, plain = probabilities(logits, False, 4.0), probabilities(logits, False)
    assert torch.allclose(hot, (logits / 4).softmax(1))
    assert hot.max() < plain.max()
    assert torch.allclose(probabilities(logits, True, 2.0), (logits / 2).sigmoid())


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 2.0, 1.0])])
def test_smoothed_costs_are_those_of_the_mixed_distribution(weights: torch.Tensor | None, seed: int) -> None:
    torch.manual_seed(seed)
    logits, targets = torch.randn(5, 3), torch.tensor([0, 2, 1, 1, 0])
    wanted = 0.9 * F.one_hot(targets, 3) + 0.1 / 3
    expected = -(wanted * logits.log_softmax(dim=1)).sum(dim=1) * (1 if weights is None else weights[targets])
    assert torch.allclose(label_losses(logits, targets, weights, 0.1), expected, atol=1e-6)
