"""Triton's kernels on a CPU, by its interpreter, against the readable loop.

`test_triton.py` runs these tests in a process of their own: what `TRITON_INTERPRET` says is read when Triton is loaded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import test_equations
import test_fused
import test_plain
import torch
import triton
import triton.language as tl

from nlp_lstm.cells import CELLS, recurrent_layer
from nlp_lstm.cells.engine import _fused, _row_functions, run_cell, run_fused
from nlp_lstm.cells.engine._row_functions import load, store
from nlp_lstm.cells.engine._triton import TritonStages

TIME, BATCH, INPUTS = 3, 3, 3
LENGTHS = torch.tensor([3, 1, 2])
SEEDS = (2, 3, 31)  # of equations that there are kernels for


@dataclass
class Route:
    """How many programs took the kernels, and which cells of those asked for did not."""

    taken: int = 0
    left: int = 0

    def choose(self, found, projected, others):
        low = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None
        stages = found.triton(projected.device, low, projected.dtype)
        self.taken, self.left = self.taken + (stages is not None), self.left + (stages is None)
        return _fused._Runner(stages or (found.plain if low is None else found.plain_half), low)


@pytest.fixture(autouse=True)
def route(monkeypatch):
    """Let the engine take a processor for a GPU; a trial run would only take time here."""
    taken = Route()
    monkeypatch.setattr(_fused, "_choose", taken.choose)
    monkeypatch.setattr(TritonStages, "_try_out", lambda *_: None)
    return taken


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(("ragged", "reverse"), [(False, False), (True, True)])
def test_every_cell_equals_the_loop(name, ragged, reverse, route):
    """The input's padding is no number, and neither is any gradient of it."""
    drawn = test_fused.draw(name, (TIME, BATCH, INPUTS, 5), ragged=ragged, reverse=reverse)
    test_fused.assert_close(drawn.run(run_fused), drawn.run(run_cell), 1e-5)
    assert route.taken == 1


@pytest.mark.parametrize("name", ["lstm", "gru", "lstmp"])
@pytest.mark.parametrize(("ragged", "reverse"), [(False, True), (True, False)])
def test_the_other_direction(name, ragged, reverse, route):
    drawn = test_fused.draw(name, (TIME, BATCH, INPUTS, 4), bias=False, ragged=ragged, reverse=reverse)
    test_fused.assert_close(drawn.run(run_fused), drawn.run(run_cell), 1e-5)
    assert route.taken == 1


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru_reset_before", "layer_norm_lstm", "lstmp"])
def test_products_of_bf16(name, route):
    """An odd width leaves a gap between rows. The interpreter cuts numbers off where a GPU rounds them."""
    ragged = name in ("lstm", "lstmp", "gru_reset_before")
    drawn = test_fused.draw(name, (TIME, BATCH, 5, 7), ragged=ragged, reverse=ragged, seed=2)
    found, expected = drawn.run(run_fused, half=True), drawn.run(run_cell)
    assert route.taken == 1
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        assert (one - other).norm() <= 0.05 * (other.norm() + 0.1)
    assert any((one - other).abs().max() > 1e-5 for one, other in zip(found, expected, strict=True))


def test_products_of_fp16(route):
    drawn = test_fused.draw("lstm", (TIME, BATCH, 5, 7))
    with torch.autocast("cpu", torch.float16), torch.no_grad():
        output, end = run_fused(drawn.cell, drawn.x, drawn.state, None, drawn.weights, False)
    expected, expected_end = run_cell(drawn.cell, drawn.x, drawn.state, None, drawn.weights, False)
    assert route.taken == 1
    test_fused.assert_close([output, *end], [expected.detach(), *expected_end], 4e-3)


def doubled(p, h, c, w):
    """The new state is a product, or a sum with one; c has no gradient from its own past."""
    return test_fused.linear(h, w.square) + p[:, :6], p[:, 6:] * test_fused.linear(h, w.square).sigmoid()


def parameters(p, h, c, w):
    """Parameters by part, by function, and as one number for all."""
    gate = (p[:, :6] * w.vector[2:3] + test_fused.linear(c, w.square) * w.vector.exp() / 4).sigmoid()
    half = torch.cat([gate[:, :3] * w.vector[:3], gate[:, 3:] - w.vector[3:]], dim=-1)
    return (half + h * w.scale).tanh(), c * 0.5 + gate.clamp(min=0.4) * w.bias_ih[:6]


def truths(p, h, c, w):
    """Conditions, signs, and functions of numbers near 0."""
    z = p[:, :6]
    near = torch.where((z > 0) & ~(h > c), torch.expm1(z * 1e-3) * 1e3, torch.log1p(z.abs() * 1e-3) * 1e3)
    return (near.masked_fill(c > 1, 0.5) * z.sign()).tanh(), torch.maximum(c, z) * 0.5 + (h.square() + 1).rsqrt()


def sums(p, h, c, w):
    """Sums over parts of a row."""
    z = p[:, :4] / (p[:, :4].square().sum(-1, keepdim=True) + 1).sqrt()
    return torch.cat([z, h[:, 4:] * c.mean(-1, keepdim=True)], -1).tanh(), c - c.mean(dim=-1, keepdim=True)


@pytest.mark.parametrize("equations", [doubled, parameters, truths, sums, test_equations.columns_again])
@pytest.mark.parametrize("ragged", [False, True])
def test_a_users_own_equations(equations, ragged, route):
    added = (("square", (6, 6)), ("vector", (6,)), ("scale", (1,)))
    cell, lengths = test_equations.Own(equations, added=added), torch.tensor([4, 1, 2]) if ragged else None
    ways = [test_equations.results(run, cell, lengths, ragged, True, torch.float32) for run in (run_fused, run_cell)]
    test_fused.assert_close(*ways, 2e-5)
    assert route.taken == 1


def test_states_that_are_products_of_bf16(route):
    cell = test_equations.Own(doubled, added=(("square", (6, 6)),))

    def in_bf16(*given):
        with torch.autocast("cpu", torch.bfloat16):
            return run_fused(*given)

    lengths = torch.tensor([4, 1, 2])
    ways = [test_equations.results(run, cell, lengths, False, True, torch.float32) for run in (in_bf16, run_cell)]
    assert all((one - other).norm() <= 0.05 * (other.norm() + 0.1) for one, other in zip(*ways, strict=True))
    assert route.taken == 1


def sum_over_the_batch(p, h, c, w):
    return (p[:, :6] + h.sum(0)).tanh(), c * 0.5 + h.double().float()


@pytest.mark.parametrize(
    "equations",
    [sum_over_the_batch, test_equations.heads_exchanged, test_equations.truth_added, test_equations.to_and_fro],
)
def test_what_there_are_no_kernels_for_runs_in_torch(equations, route):
    cell = test_equations.Own(equations)
    ways = [test_equations.results(run, cell, None, False, True, torch.float32) for run in (run_fused, run_cell)]
    test_fused.assert_close(*ways, 2e-5)
    assert (route.taken, route.left) == (0, 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_equations_equal_the_loop(seed, route):
    """Sums of a dozen terms, some of them exponential, in fp32: a mistake is far larger than their rounding."""
    results = [in_fp32(way, seed) for way in (run_fused, run_cell)]
    for one, other in zip(*results, strict=True):
        assert (one - other).abs().max() <= 1e-3 * (1 + other.abs().max())
    assert (route.taken, route.left) == (1, 0)


def in_fp32(way, seed):
    def narrow(cell, x, state, lengths, weights, reverse):
        given = SimpleNamespace(**{name: one.float() for name, one in vars(weights).items()})
        output, end = way(cell, x.float(), tuple(one.float() for one in state), lengths, given, reverse)
        return output.double(), tuple(one.double() for one in end)

    return test_plain.gradients(narrow, seed, torch.tensor([5, 2, 3]) if seed % 2 else None, seed % 3 == 0)


@pytest.mark.parametrize("wanted", ["x", "weight_hh", "bias_ih"])
def test_some_gradients_alone(wanted, route):
    drawn = test_fused.draw("gru", (TIME, BATCH, INPUTS, 4), ragged=True)
    leaves = {"x": drawn.x, **vars(drawn.weights)}
    for one in [*leaves.values(), *drawn.state]:
        one.requires_grad_(one is leaves[wanted])
    found = []
    for way in (run_fused, run_cell):
        output, _ = way(drawn.cell, drawn.x, drawn.state, drawn.lengths, drawn.weights, False)
        found.append(torch.autograd.grad(output.sin().sum(), leaves[wanted]))
    test_fused.assert_close(*found, 1e-5)
    assert route.taken == 1


def test_the_same_bits_again_and_garbage_in_the_padding_changes_none():
    drawn = test_fused.draw("peephole", (TIME, BATCH, INPUTS, 5), ragged=True)
    first = drawn.run(run_fused)
    drawn.x = drawn.x.detach().nan_to_num(1e30).requires_grad_()
    assert all(torch.equal(one, other) for one, other in zip(first, drawn.run(run_fused), strict=True))


def test_a_layer_with_zoneout(route):
    found = []
    for backend in ("fused", "loop"):
        torch.manual_seed(0)
        layer = recurrent_layer("lstm", 3, 4, bidirectional=True, zoneout=0.3, backend=backend)
        x = torch.randn(TIME, BATCH, 3, requires_grad=True)
        layer(x, lengths=LENGTHS)[0].sin().sum().backward()
        found.append([x.grad, *(one.grad for one in layer.parameters())])
    test_fused.assert_close(*found, 1e-5)
    assert route.taken == 2


def test_the_trial_run(monkeypatch):
    """It takes memory of the sizes and types that a run has, forwards and backwards."""
    monkeypatch.undo()
    drawn = test_fused.draw("rnn", (TIME, BATCH, INPUTS, 5))
    found = _fused._program_for(drawn.cell, drawn.cell.project(drawn.x, drawn.weights), drawn.state, drawn.weights)
    for low, projected in ((None, torch.float32), (torch.bfloat16, torch.float32)):
        assert isinstance(found.triton(torch.device("cpu"), low, projected), TritonStages)
    monkeypatch.setattr(TritonStages, "run", None)
    found._triton.clear()
    assert found.triton(torch.device("cpu"), None, torch.float32) is None


def test_a_row_too_wide_runs_in_torch(route):
    drawn = test_fused.draw("layer_norm_lstm", (1, 1, 2, 2049))
    with torch.no_grad():
        run_fused(drawn.cell, drawn.x, drawn.state, None, drawn.weights, False)
    assert (route.taken, route.left) == (0, 1)


FUNCTIONS: dict[str, Any] = {
    "exponential": math.exp,
    "exponential_minus_1": math.expm1,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "hyperbolic_tangent": math.tanh,
    "logarithm_of_1_plus": lambda x: math.log1p(abs(x)),
    "logarithm_of_sigmoid": lambda x: -math.log1p(math.exp(-x)),
    "square_root": lambda x: math.sqrt(abs(x)),
    "logarithm": lambda x: math.log(abs(x)),
}


@triton.jit
def compute(source, target, function: tl.constexpr, size: tl.constexpr):
    columns = tl.arange(0, size)
    store(target + columns, function(load(source + columns, columns < size)), columns < size)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_precise_near_0_and_far_from_it(name):
    sizes = torch.logspace(-7, math.log10(80), 64)
    x = torch.cat([-sizes, sizes])
    x = x.abs() if name in ("logarithm_of_1_plus", "square_root", "logarithm") else x
    found = torch.empty_like(x)
    compute[(1,)](x, found, getattr(_row_functions, name), len(x))
    expected = torch.tensor([FUNCTIONS[name](one) for one in x.double().tolist()], dtype=torch.float64)
    assert ((found - expected).abs() <= 3e-6 * expected.abs()).all()


def test_functions_of_no_number_and_of_infinity():
    x = torch.tensor([math.nan, math.inf, -math.inf, 0.0])
    expected = {
        "hyperbolic_tangent": [math.nan, 1.0, -1.0, 0.0],
        "sigmoid": [math.nan, 1.0, 0.0, 0.5],
        "exponential_minus_1": [math.nan, math.inf, -1.0, 0.0],
        "logarithm_of_1_plus": [math.nan, math.inf, math.nan, 0.0],
        "logarithm_of_sigmoid": [math.nan, 0.0, -math.inf, -math.log(2)],
        "absolute": [math.nan, math.inf, math.inf, 0.0],
        "sign": [0.0, 1.0, -1.0, 0.0],
    }
    for name, values in expected.items():
        found = torch.empty_like(x)
        compute[(1,)](x, found, getattr(_row_functions, name), 4)
        torch.testing.assert_close(found, torch.tensor(values), equal_nan=True, atol=1e-7, rtol=1e-6, msg=name)
