"""Every cell against an independent NumPy reading of its equations, and against finite differences."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nlp_lstm.cells import CELLS, LSTMCell, MinGRUCell, MinLSTMCell, QRNNCell, RecurrentLayer, SLSTMCell
from nlp_lstm.cells._scan import scan_by_doubling, scan_by_steps
from nlp_lstm.errors import UsageError

_spec = importlib.util.spec_from_file_location("numpy_cells", Path(__file__).with_name("numpy_cells.py"))
numpy_cells = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(numpy_cells)


def _draw(cell, input_size: int, hidden_size: int, batch: int, seed: int):
    print(f"seed {seed}")
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    weights = {name: normal(*shape) for name, shape in cell.parameter_shapes(input_size, hidden_size, True).items()}
    state = {name: normal(batch, size) for name, size in cell.state_sizes(hidden_size).items()}
    if "n" in state:
        state["n"] = state["n"].abs() + 0.5  # a normaliser is a sum of positive numbers
    return normal(batch, input_size), tuple(state.values()), weights


def _assert_step_equals(cell, reading, seed):
    x, state, weights = _draw(cell, 3, 4, 5, seed)
    space = SimpleNamespace(**{"bias_hh": None, **weights})
    new = cell.step(cell.project(x, space), state, space)
    expected = reading(
        x.numpy(), tuple(tensor.numpy() for tensor in state), {key: value.numpy() for key, value in weights.items()}
    )
    for tensor, array in zip(new, expected, strict=True):
        np.testing.assert_allclose(tensor.numpy(), array, atol=1e-11)


def test_every_cell_has_a_numpy_reading():
    assert set(CELLS) == set(numpy_cells.STEPS)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("seed", range(5))
def test_step_equals_the_numpy_reading(name, seed):
    _assert_step_equals(CELLS[name].cell, numpy_cells.STEPS[name], seed)


@pytest.mark.parametrize("rounds", [0, 1, 2, 5, 6])
def test_mogrifier_with_other_rounds(rounds):
    cell = replace(CELLS["mogrifier"].cell, rounds=rounds)
    assert sum(name.startswith(("weight_q", "weight_r")) for name in cell.parameter_shapes(3, 4, True)) == rounds
    _assert_step_equals(cell, numpy_cells.mogrifier, seed=1)


@pytest.mark.parametrize("proj_size", [1, 4])
def test_projection_to_other_sizes(proj_size):
    _assert_step_equals(replace(CELLS["lstmp"].cell, proj_size=proj_size), numpy_cells.lstmp, seed=1)


@pytest.mark.parametrize("name", CELLS)
def test_gradient_of_a_step_equals_finite_differences(name):
    cell = CELLS[name].cell
    x, state, weights = _draw(cell, 2, 3, 2, seed=7)
    names = list(weights)

    def step(x, *rest):
        space = SimpleNamespace(bias_hh=None)
        vars(space).update(zip(names, rest[: len(names)], strict=True))
        return cell.step(cell.project(x, space), rest[len(names) :], space)

    inputs = [tensor.requires_grad_() for tensor in (x, *weights.values(), *state)]
    assert torch.autograd.gradcheck(step, inputs)


@pytest.mark.parametrize("cell", [MinGRUCell(), MinLSTMCell(), QRNNCell(), QRNNCell(4)], ids=str)
def test_all_steps_at_once_are_the_steps_one_by_one_and_so_is_their_gradient(cell):
    _, state, weights = _draw(cell, 2, 3, 2, seed=3)
    x = torch.randn(5, 2, 2, dtype=torch.float64)
    inputs = [tensor.requires_grad_() for tensor in (x, *weights.values(), *state)]

    def space_and_state(rest):
        return SimpleNamespace(**dict(zip(weights, rest, strict=False))), tuple(rest[len(weights) :])

    def parallel(x, *rest):
        space, start = space_and_state(rest)
        return cell.parallel(cell.project(x, space), start, space)

    space, one = space_and_state(inputs[1:])
    steps = []
    for projected in cell.project(x, space):
        one = cell.step(projected, one, space)
        steps.append(one)
    for found, expected in zip(parallel(*inputs), zip(*steps, strict=True), strict=True):
        torch.testing.assert_close(found, torch.stack(expected))
    assert torch.autograd.gradcheck(parallel, inputs)


@pytest.mark.parametrize("time", [1, 2, 3, 4, 7, 8, 9])
def test_both_ways_to_scan_give_the_recurrence(time):
    decay, update = torch.rand(2, time, 2, 3, dtype=torch.float64)
    state = start = torch.randn(2, 3, dtype=torch.float64)
    expected = []
    for a, b in zip(decay, update, strict=True):
        state = a * state + b
        expected.append(state)
    for scan in (scan_by_steps, scan_by_doubling):
        torch.testing.assert_close(scan(decay, update, start), torch.stack(expected))


@pytest.mark.parametrize("window", [2, 3, 5])
def test_qrnn_is_a_convolution_over_the_last_inputs(window):
    layer = CELLS["qrnn"](3, 4, window=window, dtype=torch.float64)
    x = torch.randn(7, 2, 3, dtype=torch.float64)
    weights = {name.removesuffix("_l0"): value.detach().numpy() for name, value in layer.named_parameters()}
    expected = numpy_cells.qrnn_sequence(list(x.numpy()), weights, 4)
    np.testing.assert_allclose(layer(x)[0].detach().numpy(), np.stack(expected), atol=1e-12)


def test_the_stabiliser_of_slstm_keeps_extreme_gates_finite():
    layer = CELLS["slstm"](1, 2, dtype=torch.float32)
    with torch.no_grad():
        layer.weight_ih_l0[:4] = 1.0  # input and forget gates take the input as it is
    for scale in (-1000.0, 1000.0):
        x = torch.full((20, 1, 1), scale, requires_grad=True)
        output, (_, _, n, _) = layer(x)
        output.sum().backward()
        assert output.isfinite().all()
        assert x.grad.isfinite().all()
        assert (n >= 1).all()
        assert (output.abs() <= 1).all()
    assert SLSTMCell().initial_state == {"m": -1e4}


def test_the_start_of_slstm_is_the_papers_without_a_past():
    layer = CELLS["slstm"](3, 4, dtype=torch.float64)
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    zeros = torch.zeros(1, 2, 4, dtype=torch.float64)
    torch.testing.assert_close(layer(x)[0], layer(x, (zeros, zeros, zeros, zeros))[0])


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_names_its_paper_and_its_state(name):
    cell = CELLS[name].cell
    assert cell.name == name
    assert any(character.isdigit() for character in cell.paper)
    assert cell.state_names[0] == "h"
    assert tuple(cell.state_sizes(8)) == cell.state_names
    assert cell.output_size(8) == cell.state_sizes(8)["h"]
    assert hash(cell) == hash(replace(cell))
    assert cell == replace(cell)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("mogrifier", {"rounds": -1}, "rounds=-1 must be a whole number of at least 0"),
        ("qrnn", {"window": 1}, "window=1 must be a whole number of at least 2"),
        ("lstmp", {"proj_size": 9}, "proj_size=9 must be .* at most hidden_size=4"),
        ("lstm", {"proj_size": -1}, "proj_size=-1 must be a whole number, at least 1"),
        ("rnn", {"nonlinearity": "rely"}, "Did you mean 'relu'"),
        ("lstm", {"proj_size": 2.5}, r"proj_size=2\.5 must be a whole number"),
        ("lstm", {"reset_after": True}, "The cell 'lstm' has no option 'reset_after'. Its own are: proj_size"),
        ("lstm", {"proj_size": 2, "foo": 1}, "The cell 'lstmp' has no option 'foo'. Its own are: proj_size"),
        ("mogrifier", {"rounds": 2.5}, r"rounds=2\.5 must be a whole number"),
        ("qrnn", {"window": "2"}, "window='2' must be a whole number"),
        ("gru", {"reset_after": False, "foo": 1}, "'gru_reset_before' has no option 'foo'. Its own are: reset_after"),
        ("gru", {"foo": 1}, "The cell 'gru' has no option 'foo'. Its own are: reset_after"),
        ("gru", {"reset_after": "no"}, "reset_after='no' must be True or False"),
        ("rnn", {"nonlinearity": "tanh", "foo": 1}, "The cell 'rnn' has no option 'foo'. Its own are: nonlinearity"),
        ("rnn", {"nonlinearity": ["tanh"]}, "no nonlinearity named"),
        ("peephole", {"foo": 1}, "The cell 'peephole' has no option 'foo'. It has none of its own"),
        ("qrnn", {"windows": 3}, "has no option 'windows'. Its own are: window"),
    ],
)
def test_options_that_a_cell_does_not_take(name, options, words):
    with pytest.raises(UsageError, match=words):
        CELLS[name](3, 4, **options)


def test_a_cell_with_equations_of_its_own_does_not_run_by_another_cells_kernel():
    class Doubled(LSTMCell):
        def step(self, projected, state, weights):
            h, c = super().step(projected, state, weights)
            return 2 * h, c

    class DoubledLSTM(RecurrentLayer):
        cell = Doubled()

    assert Doubled.torch_function is None
    assert LSTMCell.torch_function == "lstm"
    torch.manual_seed(0)
    layer, x = DoubledLSTM(3, 4), torch.randn(5, 2, 3)
    slow = DoubledLSTM(3, 4, backend="loop")
    slow.load_state_dict(layer.state_dict())
    assert torch.allclose(layer(x)[0], slow(x)[0], atol=1e-6)
