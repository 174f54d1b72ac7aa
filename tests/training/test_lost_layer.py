"""What a loss that is lost says of the place: the weights, the layer of the pass forward, or the gradients."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nlp_lstm as nl
from nlp_lstm.errors import TrainingError
from nlp_lstm.training._finite import not_finite


class Exponential(nn.Module):
    """Gives infinity for large numbers, in a tuple, as a recurrent layer gives its output and states."""

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return x, {"state": x.exp()}


class Model(nn.Module):
    """Two linear layers with an exponential in a part between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 2)
        self.part = nn.Sequential(Exponential())
        self.last = nn.Linear(2, 2)
        for parameter in self.parameters():
            nn.init.ones_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        (x, state) = self.part(self.first(x))
        output: Tensor = self.last(state["state"])
        return output


def said(model: nn.Module, x: Tensor | None = None) -> str:
    again = None if x is None else lambda: model(x)
    error = not_finite("loss", math.nan, 7, nl.TrainingOptions(max_steps=9), model, None, again)
    message = re.fullmatch(r"The loss is nan at step 7\. (.*)Lower --learning-rate .*", str(error))
    assert message is not None
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    return message[1]


def test_the_innermost_layer_that_makes_it_is_named() -> None:
    assert (
        said(Model(), torch.full((1, 2), 99.0)) == "The first layer whose output is not finite: part.0 (Exponential). "
    )


def test_what_came_in_so_is_told_from_it() -> None:
    assert said(Model(), torch.full((1, 2), math.inf)) == "What goes into the Model is not finite already. "


def test_nothing_is_said_where_all_is_well() -> None:
    model = Model()
    model(torch.ones(1, 2)).sum().backward()
    assert said(model, torch.ones(1, 2)) == said(model) == ""


def test_gradients_are_counted_where_the_pass_forward_is_well() -> None:
    model = Model()
    model(torch.ones(1, 2)).sum().backward()
    assert model.first.bias.grad is not None
    model.first.bias.grad[0] = math.nan
    assert said(model, torch.ones(1, 2)) == "The gradients of 1 of 4 parameters are not finite: first.bias. "


def test_lost_weights_are_counted_and_the_layer_is_named_too() -> None:
    model = Model()
    with torch.no_grad():
        model.last.weight[0, 1] = math.inf
    lost = "The weights of 1 of 4 parameters are not finite: last.weight. "
    assert said(model) == lost
    assert said(model, torch.ones(1, 2)) == f"{lost}The first layer whose output is not finite: last (Linear). "
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(math.nan)
    assert said(model) == "The weights of all 4 parameters are not finite. "
    model.extra = nn.Parameter(torch.ones(1))
    named = "first.weight, first.bias, last.weight and 1 more"
    assert said(model) == f"The weights of 4 of 5 parameters are not finite: {named}. "


def test_a_layer_of_a_language_model_is_named(new_run: Any, language_model: Any, train: Any) -> None:
    run = new_run(max_steps=3, validations=1)
    objective = language_model(run, cell="rnn_relu", num_layers=2)
    first, second = objective.model.layers
    with torch.no_grad():
        first.bias_ih_l0.fill_(5)
        second.weight_ih_l0.fill_(3e38)
    with pytest.raises(TrainingError, match=r"at step 1, .* layer whose output is not finite: layers\.1 \(ReLURNN\)"):
        train(objective, run)


def test_a_rate_that_is_far_too_high_does_not_blame_the_embedding_alone(
    new_run: Any, language_model: Any, train: Any
) -> None:
    run = new_run(max_steps=9, validations=1, learning_rate=1e30)
    objective = language_model(run, num_layers=2)
    with pytest.raises(TrainingError) as error:
        train(objective, run)
    lost = [name for name, one in objective.model.named_parameters() if not one.isfinite().all()]
    total = len(list(objective.model.parameters()))
    print(error.value)
    if lost:
        assert re.search(rf"The weights of (all|{len(lost)} of) {total} parameters are not finite", str(error.value))
    else:
        assert re.search(r"(The first layer|What goes into|The gradients of .* parameters)", str(error.value))
