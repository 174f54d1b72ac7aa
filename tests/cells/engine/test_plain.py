"""Steps in pure torch: simpler graphs give the same numbers, and random equations the loop's."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.fx import Interpreter
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional as F

from nlp_lstm.cells import CELLS, Cell
from nlp_lstm.cells.engine import _program, linear, normalised, run_cell, run_fused
from nlp_lstm.cells.engine._in_place import in_place
from nlp_lstm.cells.engine._plain import PlainStages
from nlp_lstm.cells.engine._recorded import traced_whole
from nlp_lstm.cells.engine._simplify import simplify
from nlp_lstm.cells.engine._step import Scratch

SIZE = 4
_aten = torch.ops.aten
# Of two tensors (batch, SIZE) each: all that can be views, be written in place, or be neither.
OPERATIONS = [
    lambda a, b: a + b,
    lambda a, b: a - b * a,
    lambda a, b: a * b + b,
    lambda a, b: (a * b) * 2,
    lambda a, b: 1 - a,
    lambda a, b: a.sigmoid() * b,
    lambda a, b: a.tanh(),
    lambda a, b: torch.cat([a, b], dim=-1)[:, 2 : 2 + SIZE],
    lambda a, b: torch.cat([a, b], dim=-1).tanh().chunk(2, dim=-1)[1],
    lambda a, b: torch.cat([b[:, :1], a[:, 1:]], dim=-1),
    lambda a, b: a.unsqueeze(1).expand(-1, 2, -1).sum(dim=1),
    lambda a, b: torch.where(a > b, a, b * b),
    lambda a, b: normalised(a + 2 * b, 0.1),
    lambda a, b: F.layer_norm(a, a.shape[-1:]) + F.softplus(b),
    lambda a, b: a * b.mean(dim=-1, keepdim=True),
    lambda a, b: a.clamp(min=-0.3),
    lambda a, b: F.logsigmoid(a) * b,
]


class DrawnCell(Cell):
    """Equations that a seed draws; the state of the generator at the start of a step is always the same."""

    name = "drawn"
    number_of_gates = 2
    state_names = ("h", "memory")

    def __init__(self, seed):
        object.__setattr__(self, "seed", seed)

    def __hash__(self):
        return hash(self.seed)

    def __eq__(self, other):
        return isinstance(other, DrawnCell) and self.seed == other.seed

    def step(self, projected, state, weights):
        chance = random.Random(self.seed)
        known = [*state, *projected.chunk(2, dim=-1)]
        known += [weights.bias_ih[:SIZE].exp() * known[-1], known[0] + weights.bias_ih[SIZE:]]
        for _ in range(chance.randint(1, 12)):
            one, other = chance.choice(known), chance.choice(known)
            if chance.random() < 0.2:
                known += linear(one, weights.weight_hh, chance.choice([None, weights.bias_ih])).chunk(2, dim=-1)
            else:
                known.append(chance.choice(OPERATIONS)(one, other))
        memory = (chance.choice(known) + state[1]).tanh()
        last = linear(chance.choice(known[-3:]).sigmoid(), weights.weight_hh)[:, SIZE:]
        return (last + sum(known[4:])).tanh() * 0.5, memory


def gradients(way, seed, lengths, reverse):
    generator = torch.Generator().manual_seed(seed)

    def normal(*sizes):
        return torch.randn(sizes, generator=generator, dtype=torch.float64).requires_grad_()

    weights = SimpleNamespace(weight_ih=normal(2 * SIZE, 3), weight_hh=normal(2 * SIZE, SIZE), bias_ih=normal(2 * SIZE))
    x, state = normal(5, 3, 3), (normal(3, SIZE), normal(3, SIZE))
    output, end = way(DrawnCell(seed), x, state, lengths, weights, reverse)
    outputs = [output, *end]
    cotangents = [torch.randn(one.shape, generator=generator, dtype=torch.float64) for one in outputs]
    leaves = [x, *state, *vars(weights).values()]
    return [*outputs, *torch.autograd.grad(outputs, leaves, cotangents)]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1 << 30), ragged=st.booleans(), reverse=st.booleans())
def test_random_equations_equal_the_loop(seed, ragged, reverse):
    lengths = torch.tensor([5, 2, 3]) if ragged else None
    shapes = (("weight_ih", (2 * SIZE, 3)), ("weight_hh", (2 * SIZE, SIZE)), ("bias_ih", (2 * SIZE,)))
    found = _program.program(DrawnCell(seed), 2 * SIZE, (SIZE, SIZE), shapes)
    assert found is None or isinstance(found.plain, PlainStages)
    pairs = zip(*(gradients(way, seed, lengths, reverse) for way in (run_fused, run_cell)), strict=True)
    for one, other in pairs:
        assert (one - other).abs().max() <= 1e-10 * (1 + other.abs().max())


def test_most_random_equations_can_be_traced():
    shapes = (("weight_ih", (2 * SIZE, 3)), ("weight_hh", (2 * SIZE, SIZE)), ("bias_ih", (2 * SIZE,)))
    found = [_program.program(DrawnCell(seed), 2 * SIZE, (SIZE, SIZE), shapes) for seed in range(20)]
    assert sum(one is not None for one in found) >= 10


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_a_simpler_graph_gives_the_same_numbers(seed):
    def compute(a, b):
        chance = random.Random(seed)
        known = [a, b, a * b]
        for _ in range(10):
            known.append(chance.choice(OPERATIONS)(chance.choice(known), chance.choice(known)))
        return sum(known)

    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(3, SIZE, generator=generator, dtype=torch.float64) for _ in range(2))
    module = make_fx(compute)(a, b)
    before = len(module.graph.nodes)
    expected = compute(a, b)
    simplify(module.graph)
    assert len(module.graph.nodes) <= before
    torch.testing.assert_close(Interpreter(module).run(a, b), expected, rtol=1e-12, atol=1e-12)


def test_simpler_graphs():
    def compute(a, b):
        return a + a * b, a.tanh() + a.tanh(), a - b * b, a * 2 + b

    module = make_fx(compute)(torch.ones(2, 3), torch.ones(2, 3))
    simplify(module.graph)
    targets = [node.target for node in module.graph.nodes if node.op == "call_function"]
    assert targets.count(_aten.addcmul.default) == 2
    assert targets.count(_aten.tanh.default) == 1
    assert len(targets) == 6


def test_operations_that_write_in_place():
    assert in_place(_aten.mul.Tensor) == (torch.mul, "out")
    assert in_place(_aten.sigmoid_backward.default) == (_aten.sigmoid_backward.grad_input, "grad_input")
    assert in_place(_aten.native_layer_norm.default)[1] is None
    assert in_place(_aten.rsub.Scalar)[1] is None  # which torch would compute and copy


@pytest.mark.parametrize(
    ("name", "calls"),
    [
        ("rnn", (3, 5)),
        ("lstm", (10, 16)),
        ("gru", (12, 15)),
        ("lstmp", (12, 17)),
        ("multiplicative", (12, 17)),
        ("slstm", (17, 35)),
        ("layer_norm_lstm", (26, 25)),
        ("mogrifier", (31, 42)),
    ],
)
def test_a_step_is_few_calls(name, calls):
    """At small sizes a call takes longer than its arithmetic: their number is not to grow unseen."""
    stages = _plain_stages(name)
    found = [_calls(stages.step(backward, keep=True, ragged=False)) for backward in (False, True)]
    assert all(one <= bound for one, bound in zip(found, calls, strict=True)), found


def _plain_stages(name):
    cell, size = CELLS[name].cell, 3
    shapes = cell.parameter_shapes(size, SIZE, True)
    weights = SimpleNamespace(**{key: torch.zeros(shape) for key, shape in shapes.items()})
    columns = cell.project(torch.zeros(1, 1, size), weights).shape[-1]
    return _program.program(cell, columns, tuple(cell.state_sizes(SIZE).values()), tuple(shapes.items())).plain


def _calls(step):
    nodes = step.function.__self__.graph.nodes
    return sum(node.op in ("call_function", "call_method") for node in nodes)


def test_memory_is_used_again_within_a_step():
    step = _plain_stages("slstm").step(True, keep=True, ragged=False)
    own = {one.memory for one in step.inputs if isinstance(getattr(one, "memory", None), Scratch)}
    assert 0 < len(own) < _calls(step) / 2


def test_a_norm_is_written_out_but_where_operations_stay_whole():
    x = torch.randn(3, 5, dtype=torch.float64)
    assert not traced_whole()
    torch.testing.assert_close(normalised(x, 1e-5), F.layer_norm(x, (5,)), rtol=1e-12, atol=1e-12)
    cell = CELLS["layer_norm_lstm"].cell
    shapes = tuple(cell.parameter_shapes(3, SIZE, True).items())
    found = _program.program(cell, 4 * SIZE, (SIZE, SIZE), shapes)
    targets = [{node.target for node in one.graph.nodes} for one in (found.trace, found.plain_trace)]
    assert [_aten.native_layer_norm.default in one for one in targets] == [False, True]
    assert not traced_whole()
