"""Every cell against an independent NumPy reading of its equations, and against finite differences."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nlp_lstm.cells import CELLS

_spec = importlib.util.spec_from_file_location("numpy_cells", Path(__file__).with_name("numpy_cells.py"))
numpy_cells = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(numpy_cells)


def _draw(cell, input_size: int, hidden_size: int, batch: int, seed: int):
    print(f"seed {seed}")
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    weights = {name: normal(*shape) for name, shape in cell.parameter_shapes(input_size, hidden_size, True).items()}
    state = tuple(normal(batch, hidden_size) for _ in cell.state_names)
    return normal(batch, input_size), state, weights


def test_every_cell_has_a_numpy_reading():
    assert set(CELLS) == set(numpy_cells.STEPS)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("seed", range(5))
def test_step_equals_the_numpy_reading(name, seed):
    cell = CELLS[name].cell
    x, state, weights = _draw(cell, 3, 4, 5, seed)
    space = SimpleNamespace(**weights)
    new = cell.step(cell.project(x, space), state, space)
    expected = numpy_cells.STEPS[name](
        x.numpy(), tuple(tensor.numpy() for tensor in state), {key: value.numpy() for key, value in weights.items()}
    )
    for tensor, array in zip(new, expected, strict=True):
        np.testing.assert_allclose(tensor.numpy(), array, atol=1e-12)


@pytest.mark.parametrize("name", CELLS)
def test_gradient_of_a_step_equals_finite_differences(name):
    cell = CELLS[name].cell
    x, state, weights = _draw(cell, 2, 3, 2, seed=7)
    names = list(weights)

    def step(x, *rest):
        space = SimpleNamespace(**dict(zip(names, rest[: len(names)], strict=True)))
        return cell.step(cell.project(x, space), rest[len(names) :], space)

    inputs = [tensor.requires_grad_() for tensor in (x, *weights.values(), *state)]
    assert torch.autograd.gradcheck(step, inputs)


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_names_its_paper_and_its_state(name):
    cell = CELLS[name].cell
    assert cell.name == name
    assert any(character.isdigit() for character in cell.paper)
    assert cell.state_names[0] == "h"
