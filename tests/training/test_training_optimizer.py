"""The optimisers against their equations, written out in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from nlp_lstm.models import LanguageModel, LanguageModelOptions
from nlp_lstm.training import TrainingOptions
from nlp_lstm.training._optimizer import MUON_RATE, build_optimizer

Update = Callable[[np.ndarray, np.ndarray, int, float], np.ndarray]
RATE, DECAY, BETA1, BETA2 = 0.03, 0.2, 0.8, 0.95


def adamw() -> Update:
    """Loshchilov and Hutter 2019, algorithm 2, with a step size of 1 (epsilon is torch's)."""
    m, v = 0.0, 0.0

    def update(weight: np.ndarray, gradient: np.ndarray, step: int, decay: float) -> np.ndarray:
        nonlocal m, v
        m = BETA1 * m + (1 - BETA1) * gradient
        v = BETA2 * v + (1 - BETA2) * gradient**2
        direction = (m / (1 - BETA1**step)) / (np.sqrt(v / (1 - BETA2**step)) + 1e-8)
        return weight - RATE * direction - RATE * decay * weight

    return update


def sgd() -> Update:
    """Gradient with an L2 penalty, momentum without dampening; its first value is the first gradient."""
    velocity = 0.0

    def update(weight: np.ndarray, gradient: np.ndarray, step: int, decay: float) -> np.ndarray:
        nonlocal velocity
        velocity = BETA1 * velocity + gradient + decay * weight
        return weight - RATE * velocity

    return update


@pytest.mark.parametrize(("name", "by_hand"), [("adamw", adamw), ("sgd", sgd)])
def test_three_steps_by_hand_and_biases_do_not_decay(name: str, by_hand: Callable[[], Update], seed: int) -> None:
    torch.manual_seed(seed)
    model = nn.Linear(4, 3)
    options = TrainingOptions(
        max_steps=3, optimizer=name, learning_rate=RATE, weight_decay=DECAY, momentum=BETA1, beta2=BETA2
    )
    optimizer = build_optimizer(model, options)
    expected = {key: value.detach().double().numpy().copy() for key, value in model.named_parameters()}
    updates = {key: by_hand() for key in expected}
    for step in (1, 2, 3):
        for key, parameter in model.named_parameters():
            parameter.grad = torch.randn_like(parameter)
            decay = DECAY if key == "weight" else 0.0
            expected[key] = updates[key](expected[key], parameter.grad.double().numpy(), step, decay)
        optimizer.step()
    for key, parameter in model.named_parameters():
        np.testing.assert_allclose(parameter.detach().numpy(), expected[key], rtol=1e-5, atol=1e-6)


def test_a_model_of_biases_alone_can_be_trained() -> None:
    model = nn.LayerNorm(3)
    optimizer = build_optimizer(model, TrainingOptions(max_steps=1))
    (part,) = optimizer.parts
    assert [group["weight_decay"] for group in part.param_groups] == [0.0]


def test_the_rate_is_set_between_steps_and_gradients_are_dropped() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    options = TrainingOptions(max_steps=1, optimizer="sgd", learning_rate=9.0, momentum=0.0, weight_decay=0.0)
    optimizer = build_optimizer(model, options)
    for rate, expected in ((0.5, 0.5), (0.25, 0.25)):
        model.weight.grad = torch.ones(1, 1)
        optimizer.set_learning_rate(rate)
        optimizer.step()
        optimizer.zero_grad()
        assert model.weight.item() == expected
        assert model.weight.grad is None


def test_muon_moves_recurrent_matrices_along_their_singular_vectors_and_all_else_as_adamw(seed: int) -> None:
    torch.manual_seed(seed)
    model = LanguageModel(7, LanguageModelOptions(embedding_size=5, hidden_size=6, num_layers=2))
    twin = LanguageModel(7, model.options)
    twin.load_state_dict(model.state_dict())
    options = {"max_steps": 1, "learning_rate": RATE, "weight_decay": DECAY}
    optimizers = [
        build_optimizer(one, TrainingOptions(optimizer=name, **options))
        for one, name in ((model, "muon"), (twin, "adamw"))
    ]
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for parameter, other in zip(model.parameters(), twin.parameters(), strict=True):
        parameter.grad = torch.randn_like(parameter)
        other.grad = parameter.grad.clone()
    for optimizer in optimizers:
        optimizer.set_learning_rate(RATE)
        optimizer.step()
    expected_by_adamw = dict(twin.named_parameters())
    orthogonal = []
    for name, parameter in model.named_parameters():
        if "weight_ih" not in name and "weight_hh" not in name:
            assert torch.equal(parameter, expected_by_adamw[name]), name
            continue
        orthogonal.append(name)
        rate = MUON_RATE * RATE
        step = (before[name] * (1 - rate * DECAY) - parameter.detach()) / (rate * 0.2 * max(parameter.shape) ** 0.5)
        u, values, v = torch.linalg.svd(parameter.grad, full_matrices=False)
        values = values / values.norm()
        for _ in range(optimizers[0].parts[0].param_groups[0]["ns_steps"]):
            # The quintic of Jordan et al. 2024 acts on each singular value alone, and brings it near 1.
            values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
        torch.testing.assert_close(u.T @ step @ v.T, values.diag(), rtol=0, atol=0.05)  # it runs in bf16
    assert len(orthogonal) == 4


def test_a_scale_multiplies_the_rate_of_the_parameters_that_it_names() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    options = TrainingOptions(max_steps=1, optimizer="sgd", momentum=0.0, weight_decay=0.0)
    optimizer = build_optimizer(model, options, {"0.weight": 0.25, "0.bias": 0.0})
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.set_learning_rate(0.4)
    optimizer.step()
    moved = {name: float((before[name] - parameter.detach()).mean()) for name, parameter in model.named_parameters()}
    assert moved == pytest.approx({"0.weight": 0.1, "0.bias": 0.0, "1.weight": 0.4, "1.bias": 0.4})
