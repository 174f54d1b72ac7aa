"""Layers under torch.compile: the same forwards and backwards, without a warning, which the tests make an error."""

from __future__ import annotations

import pytest
import torch

from nlp_lstm.cells import CELLS, ConvLSTM1d, ConvLSTM2d, recurrent_layer

INPUT, HIDDEN, TIME, BATCH = 3, 4, 3, 2


@pytest.fixture(autouse=True)
def _nothing_compiled_before():
    torch._dynamo.reset()


def _results(run, layer, x):
    """Output, state and the gradients of input and parameters."""
    layer.zero_grad()
    x = x.clone().requires_grad_()
    output, state = run(x)
    states = state if isinstance(state, tuple) else (state,)
    (output.square().sum() + sum(one.sin().sum() for one in states)).backward()
    return [output, *states, x.grad, *(parameter.grad for parameter in layer.parameters())]


def _check(layer, x):
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    expected = _results(layer, layer, x)
    expected = [one.detach().clone() for one in expected]
    torch.testing.assert_close(_results(compiled, layer, x), expected)


@pytest.mark.parametrize("name", CELLS)
def test_a_compiled_layer_of_any_cell(name):
    torch.manual_seed(0)
    _check(recurrent_layer(name, INPUT, HIDDEN), torch.randn(TIME, BATCH, INPUT))


@pytest.mark.parametrize(("layer", "places"), [(ConvLSTM1d, (3,)), (ConvLSTM2d, (3, 2))])
@pytest.mark.parametrize("peepholes", [False, True])
def test_a_compiled_conv_lstm(layer, places, peepholes):
    torch.manual_seed(0)
    _check(layer(INPUT, HIDDEN, map_size=places if peepholes else None), torch.randn(TIME, BATCH, INPUT, *places))
