"""The average of the weights against its recurrence in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from nlp_lstm.training._average import WeightAverage


def test_the_average_follows_its_recurrence_with_a_growing_decay(seed: int) -> None:
    torch.manual_seed(seed)
    model = nn.Linear(3, 2)
    average = WeightAverage(model, 0.5)
    expected = [parameter.detach().double().numpy().copy() for parameter in model.parameters()]
    decays = []
    for step in range(1, 16):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        average.update(step)
        decays.append(min(0.5, (1 + step) / (10 + step)))
        weights = [parameter.detach().double().numpy() for parameter in model.parameters()]
        expected = [decays[-1] * old + (1 - decays[-1]) * new for old, new in zip(expected, weights, strict=True)]
    assert decays[0] == 2 / 11
    assert decays[-1] == decays[-2] == 0.5  # both parts of the rule were met
    for tensor, value in zip(average.average, expected, strict=True):
        np.testing.assert_allclose(tensor.numpy(), value, rtol=1e-5, atol=1e-6)


def test_applied_puts_the_average_in_place_and_takes_it_out_again() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    average = WeightAverage(model, 0.9)
    nn.init.constant_(model.weight, 12.0)
    average.update(1)  # 2/11 of 1 and 9/11 of 12
    with average.applied():
        assert model.weight.item() == pytest.approx(10.0)
    assert model.weight.item() == 12.0
    with pytest.raises(ZeroDivisionError), average.applied():
        raise ZeroDivisionError
    assert model.weight.item() == 12.0
    with average.applied():
        assert model.weight.item() == pytest.approx(10.0)


def test_a_shared_parameter_is_averaged_once() -> None:
    first, second = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    second.weight = first.weight
    assert len(WeightAverage(nn.Sequential(first, second), 0.5).average) == 1


def test_a_decay_of_nothing_costs_nothing() -> None:
    model = nn.Linear(1, 1)
    average = WeightAverage(model, 0.0)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    average.update(1)
    with average.applied():
        assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    assert average.average == []
