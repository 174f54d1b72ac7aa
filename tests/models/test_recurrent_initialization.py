"""The start of recurrent weights, for every cell of the zoo."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nlp_lstm.cells import CELLS, recurrent_layer
from nlp_lstm.models import initialize_recurrent

SIZE = 6


def _base(name):
    return name[: name.rindex("_l")]


@pytest.mark.parametrize("name", CELLS)
def test_orthogonal_blocks_and_zero_biases(name):
    torch.manual_seed(0)
    layer = recurrent_layer(name, SIZE, SIZE, dtype=torch.float64, learned_state=True)
    before = {key: value.clone() for key, value in layer.state_dict().items()}
    initialize_recurrent(layer, "orthogonal", 0.0)
    for key, value in layer.state_dict().items():
        if _base(key) in layer.cell.recurrent_weights:
            for block in value.split(SIZE):
                product = block.t() @ block  # of a block with more rows than columns, the columns are orthonormal
                torch.testing.assert_close(product, torch.eye(len(product), dtype=torch.float64))
        elif value.dim() == 2:
            assert float(value.abs().max()) <= (6 / (min(value.shape) + SIZE)) ** 0.5
            assert not torch.equal(value, before[key])
        elif _base(key) in layer.cell.biases:
            assert (value == 0).all()
        else:
            assert torch.equal(value, before[key]), key


@pytest.mark.parametrize("start", ["orthogonal", "uniform"])
@pytest.mark.parametrize("name", [name for name, layer in CELLS.items() if layer.cell.forget_gate is not None])
def test_the_forget_gate_keeps_as_much_as_its_bias_says(name, start):
    bias = 1.5
    layer = recurrent_layer(name, 1, SIZE, dtype=torch.float64)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)  # the candidate is then zero, and what is left of the memory is what was kept
    initialize_recurrent(layer, start, bias)
    sizes = layer.cell.state_sizes(SIZE)
    state = {key: torch.zeros(1, 1, size, dtype=torch.float64) for key, size in sizes.items()}
    memory = "c" if "c" in state else "h"
    state[memory] = torch.randn(1, 1, SIZE, dtype=torch.float64)
    if start == "orthogonal":
        for parameter in layer.parameters():
            if parameter.dim() == 2:
                nn.init.zeros_(parameter)
    given = tuple(state.values()) if len(state) > 1 else state["h"]
    _, after = layer(torch.zeros(1, 1, 1, dtype=torch.float64), given)
    after = dict(zip(sizes, after if isinstance(after, tuple) else (after,), strict=True))
    kept = 1 / (1 + math.exp(-bias))
    if name == "minlstm":  # f / (f + i)
        kept /= kept + 0.5
    units = after["m"].exp() if "m" in after else 1.0
    torch.testing.assert_close(after[memory] * units, kept * state[memory])


def test_other_layers_stay_as_they_are():
    layer = nn.Linear(2, 3)
    before = layer.weight.clone()
    initialize_recurrent(layer, "orthogonal", 1.0)
    assert torch.equal(layer.weight, before)
