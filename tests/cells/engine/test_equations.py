"""Equations that a step in pure torch once got wrong, or that it leaves to the loop: numbers and gradients compared."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nlp_lstm.cells import CELLS, Cell, recurrent_layer
from nlp_lstm.cells.engine import _program, linear, run_cell, run_fused

TIME, BATCH, INPUTS = 4, 3, 2
LENGTHS = torch.tensor([4, 1, 2])


@dataclass(frozen=True)
class Own(Cell):
    """A cell with the step, and the weights besides those of an Elman cell, that a test gives it."""

    equations: Any
    hidden: int = 6
    added: tuple[tuple[str, tuple[int, ...]], ...] = ()

    name = "own"
    number_of_gates = 2
    state_names = ("h", "c")

    def step(self, projected, state, weights):
        return self.equations(projected, *state, weights)

    def shapes(self):
        columns = 2 * self.hidden
        own = (("weight_ih", (columns, INPUTS)), ("weight_hh", (columns, self.hidden)), ("bias_ih", (columns,)))
        return own + self.added

    def program(self):
        return _program.program(self, 2 * self.hidden, (self.hidden, self.hidden), self.shapes())


def results(run, cell, lengths=None, reverse=False, gradients=True, dtype=torch.float64):
    """Give what a run gives, and the gradients of the input, the states and the weights."""
    generator = torch.Generator().manual_seed(0)

    def normal(*sizes):
        return torch.randn(sizes, generator=generator, dtype=torch.float64).to(dtype).requires_grad_(gradients)

    x, state = normal(TIME, BATCH, INPUTS), [normal(BATCH, cell.hidden) for _ in range(2)]
    weights = {name: normal(*shape) for name, shape in cell.shapes()}
    output, end = run(cell, x, tuple(state), lengths, SimpleNamespace(**weights), reverse)
    outputs = [output, *end]
    if not gradients:
        return outputs
    given = [torch.randn(one.shape, generator=generator, dtype=torch.float64).to(dtype) for one in outputs]
    leaves = [x, *state, *weights.values()]
    found = torch.autograd.grad(outputs, leaves, given, allow_unused=True)
    return outputs + [torch.zeros_like(leaf) if one is None else one for leaf, one in zip(leaves, found, strict=True)]


def assert_equals_the_loop(cell):
    for lengths, reverse in ((None, False), (LENGTHS, False), (LENGTHS, True)):
        for gradients in (True, False):
            one, other = (results(run, cell, lengths, reverse, gradients) for run in (run_fused, run_cell))
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", list(CELLS))
def test_gradients_of_sequences_that_end_early_are_numbers(name, bidirectional):
    """A state that is 0 where a sequence has ended, and that another is divided by, is to spoil no sum over rows."""
    found = []
    for backend in ("fused", "loop"):
        torch.manual_seed(0)
        layer = recurrent_layer(name, 3, 4, bidirectional=bidirectional, backend=backend, dtype=torch.float64)
        x = torch.randn(5, 3, 3, dtype=torch.float64, requires_grad=True)
        layer(x, lengths=torch.tensor([5, 2, 1]))[0].sin().sum().backward()
        found.append([x.grad, *(one.grad for one in layer.parameters() if one.grad is not None)])
    assert all(one.isfinite().all() for one in found[0])
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-11)


def divided(p, h, c, w):
    """Divide by a new state; gain and bias take their gradients from sums that no call adds up alone."""
    new = c * c * 0.5 + p[:, :6].exp()
    return (p[:, 6:] + linear(h, w.weight_hh)[:, :6] * w.scale + (w.gain @ w.gain)[0] * h).tanh() / new, new


@pytest.mark.parametrize("reverse", [False, True])
def test_a_state_of_zero_that_is_divided_by(reverse):
    class FromZero(Own):
        def shapes(self):
            return (*super().shapes(), ("scale", (1,)), ("gain", (6, 6)))

    def run(way):
        def from_zero(cell, x, state, *rest):
            return way(cell, x, tuple(one * 0 for one in state), *rest)

        return results(from_zero, FromZero(divided), LENGTHS, reverse)

    found, expected = run(run_fused), run(run_cell)
    assert FromZero(divided).program() is not None
    assert all(one.isfinite().all() for one in found)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def bias_twice(p, h, c, w):
    n = linear(h, w.square)
    return (n + p[:, 6:] + w.vector + w.vector).tanh(), c * 0.3 + n


def column_of_what_is_written_over(p, h, c, w):
    gate = p[:, :6].sigmoid()
    y = c * gate[:, :1]
    y = (y + 0.1).tanh()
    return (y * h + 0.3).tanh(), y * 0.5


def columns_again(p, h, c, w):
    z = (p[:, :6] * 2).sigmoid()
    y = z * z[:, :1]
    y = y * y[:, 2:3]
    y = (y + 0.1).tanh() * y[:, 1:2]
    return (y * h + 0.3).tanh(), y * 0.5


def truth_added(p, h, c, w):
    z = p[:, :6]
    return (h * 0.5 + z * ((h > 0) + (c > 0) * (z > 0))).tanh(), c * 0.3 + z


def truth_beside_numbers(p, h, c, w):
    truth = h > 0
    z = torch.cat([truth, p[:, :6]], -1)
    return (z[:, :6] * p[:, 6:] + h).tanh(), torch.where(truth, c, z[:, 6:])


def heads_exchanged(p, h, c, w):
    z = p.view(-1, 2, 6).sum(1)
    y = h.view(h.shape[0], 2, 3).transpose(1, 2).reshape(h.shape[0], 6)
    return (y + z).tanh(), c.flip(-1) * 0.5 + torch.roll(h, 1, -1)


def constants(p, h, c, w):
    device = h.device
    ones, order = torch.ones(h.shape, device=device), torch.arange(6, device=device)
    return (h * 0.5 + p[:, :6] * order + ones).tanh(), c * torch.eye(6, device=device)[0] + h.new_full((6,), 0.3)


def to_and_fro(p, h, c, w):
    z = p[:, :6].double()
    return (z * h).tanh().to(h.dtype), (z.exp() * c).to(h.dtype).tanh()


@pytest.mark.parametrize(
    "equations",
    [
        *(bias_twice, column_of_what_is_written_over, columns_again, truth_added, truth_beside_numbers),
        *(heads_exchanged, constants, to_and_fro),
    ],
)
def test_equations_in_pure_torch_equal_the_loop(equations):
    cell = Own(equations, added=(("square", (6, 6)), ("vector", (6,))))
    assert cell.program() is not None
    assert_equals_the_loop(cell)


def halves(p, h, c, w):
    a, b = (p[:, :10] + h).chunk(2, -1)
    y = a.tanh() + w.vector[:5]
    y = (y * b).sigmoid() + y + torch.zeros(5, dtype=y.dtype)
    return torch.cat([y, b.tanh() * y], -1), c * 0.5 + torch.cat([y * y, y], -1)


def test_rows_are_no_part_of_a_size():
    cell = Own(halves, hidden=10, added=(("vector", (10,)),))
    assert cell.program().plain_trace.rows == 7
    assert_equals_the_loop(cell)


def narrow_state(p, h, c, w):
    return (p[:, :6] + h * c).tanh(), h[:, :1]


def truth_as_state(p, h, c, w):
    return (p[:, :6] + h * c).tanh(), h > 0


def mean_of_the_batch(p, h, c, w):
    return (p[:, :6] + h - h.mean(0)).tanh(), c * 0.5


def size_of_the_batch(p, h, c, w):
    return (p[:, :6] + h * h.shape[0]).tanh(), c * (1.0 / h.shape[0])


@pytest.mark.parametrize("equations", [narrow_state, mean_of_the_batch, size_of_the_batch])
def test_equations_that_are_left_to_the_loop(equations):
    cell = Own(equations)
    assert cell.program() is None
    assert_equals_the_loop(cell)


def test_a_state_that_is_no_number_is_left_to_the_loop():
    assert Own(truth_as_state).program() is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_constants_take_the_device_of_the_run(dtype):
    """The device without memory stands for any that is no CPU."""
    cell = Own(constants)

    def empty(*sizes):
        return torch.zeros(sizes, device="meta", dtype=dtype, requires_grad=True)

    weights = SimpleNamespace(**{name: empty(*shape) for name, shape in cell.shapes()})
    x, state = empty(TIME, BATCH, INPUTS), (empty(BATCH, 6), empty(BATCH, 6))
    output, _ = run_fused(cell, x, state, None, weights, False)
    assert (output.shape, output.device.type, output.dtype) == ((TIME, BATCH, 6), "meta", dtype)
    output.sum().backward()
    assert x.grad.shape == x.shape
