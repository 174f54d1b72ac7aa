"""The continuous cache, against a reading of the paper's equations position by position."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from nlp_lstm.errors import UsageError
from nlp_lstm.models import (
    CachedLanguageModel,
    CacheSettings,
    CacheState,
    LanguageModel,
    LanguageModelOptions,
    fit_weight,
)

VOCABULARY, SETTINGS = 11, CacheSettings(size=4, weight=0.3, sharpness=1.7)


@pytest.fixture
def model() -> LanguageModel:
    torch.manual_seed(3)
    options = LanguageModelOptions(embedding_size=5, hidden_size=6)
    return LanguageModel(VOCABULARY, options).double().eval().requires_grad_(False)


def text(rows: int = 2, length: int = 15) -> Tensor:
    return torch.randint(4, 8, (rows, length), generator=torch.Generator().manual_seed(5))


def by_the_equations(model: LanguageModel, ids: Tensor, settings: CacheSettings) -> list[list[dict[int, float]]]:
    """The distribution after each token of each row: equations 2 to 5 of the paper, in plain Python."""
    features, _ = model.hidden(ids)
    p_model = model.output.logits(features).softmax(-1)
    rows = []
    for row in range(ids.shape[0]):
        steps = []
        for t in range(ids.shape[1]):
            past = range(max(0, t - settings.size), t)  # i with x_{i+1} known
            weights = {i: math.exp(settings.sharpness * float(features[row, t] @ features[row, i])) for i in past}
            share = settings.weight if weights else 0.0
            mixed = {w: (1 - share) * float(p_model[row, t, w]) for w in range(VOCABULARY)}
            for i, one in weights.items():
                mixed[int(ids[row, i + 1])] += share * one / sum(weights.values())
            steps.append(mixed)
        rows.append(steps)
    return rows


@pytest.mark.parametrize("pieces", [[15], [1] * 15, [4, 1, 7, 3]])
def test_losses_are_those_of_the_equations_however_the_text_is_cut(model: LanguageModel, pieces: list[int]) -> None:
    ids = text()
    expected = by_the_equations(model, ids, SETTINGS)
    targets = torch.cat([ids[:, 1:], torch.full((2, 1), -100)], dim=1)
    cached = CachedLanguageModel(model, SETTINGS)
    state: CacheState | None = None
    found = []
    for inputs, wanted in zip(ids.split(pieces, 1), targets.split(pieces, 1), strict=True):
        nats, state = cached.token_losses(inputs, wanted, state)
        found.append(nats)
    losses = torch.cat(found, 1)
    for row in range(2):
        for t in range(14):
            assert float(losses[row, t]) == pytest.approx(-math.log(expected[row][t][int(targets[row, t])]), rel=1e-5)
    assert losses[:, -1].tolist() == [0.0, 0.0]


@torch.no_grad()
def test_steps_give_the_distribution_of_the_equations_and_what_is_read_counts(model: LanguageModel) -> None:
    ids = text()
    expected = by_the_equations(model, ids, SETTINGS)
    cached = CachedLanguageModel(model, SETTINGS)
    _, state = cached.hidden(ids[:, :6])
    for t in range(6, 15):
        logits, state = cached.step(ids[:, t], state)
        probabilities = logits.exp()
        assert probabilities.sum(1).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
        for row in range(2):
            assert probabilities[row].tolist() == pytest.approx(list(expected[row][t].values()), rel=1e-4, abs=1e-7)
    assert state.keys.shape == (2, SETTINGS.size, 6)


@torch.no_grad()
def test_an_empty_cache_leaves_the_model_as_it_is(model: LanguageModel) -> None:
    logits, _ = CachedLanguageModel(model, SETTINGS).step(text()[:, 0])
    plain, _ = model.step(text()[:, 0])
    assert torch.allclose(logits, plain.float().log_softmax(1), atol=1e-6)


def test_the_weight_is_fitted_to_what_was_found(model: LanguageModel) -> None:
    # Half of the tokens are always found and half never: the best weight has a closed form, where p_model is 0.1.
    nats = torch.full((1000,), -math.log(0.1))
    found = torch.cat([torch.ones(500), torch.zeros(500)])
    weight, mean = fit_weight(nats, found)
    exact = min((k / 100 for k in range(100)), key=lambda x: -math.log(0.1 * (1 - x) + x) - math.log(0.1 * (1 - x)))
    assert weight == pytest.approx(exact)
    assert mean == pytest.approx((-math.log(0.1 * (1 - exact) + exact) - math.log(0.1 * (1 - exact))) / 2, rel=1e-5)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"size": 0}, "--cache-size is 0: give a number from 1 to 100,000"),
        ({"size": 10**9}, "--cache-size is 1000000000: give a number from 1 to 100,000"),
        ({"weight": 1.1}, "give a weight from 0 to 1"),
        ({"weight": -0.1}, "give a weight from 0 to 1"),
        ({"sharpness": float("nan")}, "a sharpness of at least 0"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        replace(SETTINGS, **wrong)  # type: ignore[arg-type]
