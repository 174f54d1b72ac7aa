"""The engine against the readable loop: compiled, in pure torch, and where neither can be."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from nlp_lstm.cells import CELLS, Cell
from nlp_lstm.cells.engine import _fused, _native, _program, fused_available, linear, run_cell, run_fused, run_step
from nlp_lstm.cells.engine._plain import PlainStages
from nlp_lstm.errors import UsageError

compiled_only = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler here")
SIZES = (3, 5)  # of input and state, in the tests of one case for each cell


@pytest.fixture
def without_compiler(monkeypatch):
    monkeypatch.setattr(_native.NativeStages, "build", lambda self, name, wait=True: False)
    monkeypatch.setattr(_native, "time_loop", lambda: None)
    monkeypatch.setattr(_fused, "time_loop", lambda: None)
    _program.program.cache_clear()
    yield
    _program.program.cache_clear()


@dataclass
class Drawn:
    """A cell with weights, input, state and gradients that come in, all random."""

    cell: Cell
    x: Tensor
    state: tuple[Tensor, ...]
    weights: SimpleNamespace
    lengths: Tensor | None
    reverse: bool

    def run(self, way, *, half=False):
        """Give output, states, and the gradients of everything, by `run_cell` or `run_fused`."""
        leaves = [self.x, *self.state, *(one for one in vars(self.weights).values() if one is not None)]
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            output, end = way(self.cell, self.x, self.state, self.lengths, self.weights, self.reverse)
        generator = torch.Generator().manual_seed(1)
        cotangents = [torch.randn(one.shape, generator=generator).to(one.dtype) for one in (output, *end)]
        gradients = torch.autograd.grad([output, *end], leaves, cotangents, allow_unused=True)
        filled = [torch.zeros_like(a) if g is None else g for a, g in zip(leaves, gradients, strict=True)]
        return [output, *end, *filled]


def draw(name, shape, seed=0, dtype=torch.float32, bias=True, ragged=False, reverse=False) -> Drawn:
    generator = torch.Generator().manual_seed(seed)
    time, batch, size, hidden = shape
    cell = CELLS[name].cell

    def normal(*sizes: int) -> Tensor:
        return torch.randn(sizes, generator=generator).to(dtype)

    shapes = cell.parameter_shapes(size, hidden, bias)
    absent = dict.fromkeys(set(cell.parameter_shapes(size, hidden, True)) - set(shapes))
    weights = {key: (normal(*one) / hidden**0.5).requires_grad_() for key, one in shapes.items()}
    states = {key: normal(batch, width) for key, width in cell.state_sizes(hidden).items()}
    if "n" in states:
        states["n"] = states["n"].abs() + 1
    x = normal(time, batch, size)
    lengths = torch.randint(1, time + 1, (batch,), generator=generator) if ragged else None
    if lengths is not None:
        x.masked_fill_((torch.arange(time)[:, None] >= lengths)[..., None], torch.nan)
    return Drawn(
        cell,
        x.requires_grad_(),
        tuple(one.requires_grad_() for one in states.values()),
        SimpleNamespace(**weights, **absent),
        lengths,
        reverse,
    )


def assert_close(found, expected, tolerance):
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        scale = tolerance * (1 + other.abs().max())
        assert (one - other).abs().max() <= scale, ((one - other).abs().max(), scale)


def runner_of(drawn, half=False):
    """Give what would run a case: NativeStages or PlainStages."""
    projected = drawn.cell.project(drawn.x, drawn.weights)
    found = _fused._program_for(drawn.cell, projected, drawn.state, drawn.weights)
    assert found is not None
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        return _fused._choose(found, projected, [*drawn.state]).stages


@compiled_only
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(("ragged", "reverse"), [(False, False), (True, True)])
def test_compiled_equals_the_loop(name, ragged, reverse):
    drawn = draw(name, (6, 4, *SIZES), ragged=ragged, reverse=reverse)
    assert isinstance(runner_of(drawn), _native.NativeStages)
    assert_close(drawn.run(run_fused), drawn.run(run_cell), 1e-5)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(("ragged", "reverse"), [(False, True), (True, False)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pure_torch_equals_the_loop(name, ragged, reverse, dtype, without_compiler):
    drawn = draw(name, (6, 4, *SIZES), dtype=dtype, ragged=ragged, reverse=reverse)
    assert isinstance(runner_of(drawn), PlainStages)
    assert_close(drawn.run(run_fused), drawn.run(run_cell), 1e-5 if dtype == torch.float32 else 1e-12)


@compiled_only
@settings(max_examples=60)
@given(
    name=st.sampled_from([name for name in CELLS if name != "rnn_relu"]),  # whose gradient jumps
    shape=st.tuples(*[st.integers(1, 17)] * 3, st.sampled_from([2, 3, 16, 17])),
    seed=st.integers(0, 1 << 20),
    bias=st.booleans(),
    ragged=st.booleans(),
    reverse=st.booleans(),
)
def test_compiled_equals_the_loop_in_float64(name, shape, seed, bias, ragged, reverse):
    settings_of_case = {"seed": seed, "bias": bias, "ragged": ragged, "reverse": reverse}
    exact = draw(name, shape, dtype=torch.float64, **settings_of_case).run(run_cell)
    loop = [one.double() for one in draw(name, shape, **settings_of_case).run(run_cell)]
    fast = [one.double() for one in draw(name, shape, **settings_of_case).run(run_fused)]
    for one, two, three in zip(exact, loop, fast, strict=True):
        rounding = (two - one).abs().max()
        assert (three - one).abs().max() <= torch.maximum(1e-4 * (1 + one.abs().max()), 100 * rounding)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("ragged", [False, True])
def test_gradients_equal_finite_differences(name, ragged):
    drawn = draw(name, (3, 2, 2, 3), seed=3, dtype=torch.float64, ragged=ragged)
    names = [key for key, one in vars(drawn.weights).items() if one is not None]
    # What stands in the padding is no number, which has no difference quotient: its gradient is tested elsewhere.
    x = drawn.x.detach().nan_to_num().requires_grad_()

    def run(x, *rest):
        weights = SimpleNamespace(**{**vars(drawn.weights), **dict(zip(names, rest, strict=False))})
        output, end = run_fused(drawn.cell, x, rest[len(names) :], drawn.lengths, weights, drawn.reverse)
        return output, *end

    assert isinstance(runner_of(drawn), PlainStages)
    assert torch.autograd.gradcheck(run, [x, *(getattr(drawn.weights, key) for key in names), *drawn.state])


@compiled_only
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("ragged", [False, True])
def test_bf16_products_stay_within_their_precision(name, ragged):
    drawn = draw(name, (6, 4, 5, 16), ragged=ragged, reverse=ragged, seed=2)
    found, expected = drawn.run(run_fused, half=True), drawn.run(run_cell)
    # A number of bfloat16 is known to 2^-9, and six steps of a dozen terms add up. A gradient of ReLU jumps besides.
    bound = 0.15 if name == "rnn_relu" else 0.04
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        assert (one - other).norm() <= bound * (other.norm() + 0.1)
    assert any((one - other).abs().max() > 1e-5 for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", ["lstm", "slstm", "gru_reset_before"])
def test_bf16_in_pure_torch(name, without_compiler):
    drawn = draw(name, (6, 4, 5, 7), seed=2)
    for one, other in zip(drawn.run(run_fused, half=True), drawn.run(run_cell), strict=True):
        assert one.dtype == torch.float32
        assert (one - other).norm() <= 0.04 * (other.norm() + 0.1)


@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), 1e30])
def test_garbage_in_the_padding_changes_nothing(garbage):
    drawn = draw("lstm", (6, 4, *SIZES), ragged=True)
    ended = (torch.arange(6)[:, None] >= drawn.lengths)[..., None]
    clean = Drawn(**{**vars(drawn), "x": drawn.x.detach().masked_fill(ended, 0.0).requires_grad_()})
    dirty = Drawn(**{**vars(drawn), "x": drawn.x.detach().masked_fill(ended, garbage).requires_grad_()})
    found = dirty.run(run_fused)
    for one, other in zip(found, clean.run(run_fused), strict=True):
        assert torch.equal(one, other)
    output, gradient = found[0], found[1 + len(drawn.state)]
    assert (output.masked_select(ended) == 0).all()
    assert (gradient.masked_select(ended) == 0).all()


def test_a_gradient_of_garbage_at_the_padding_is_not_taken_in():
    drawn = draw("gru", (5, 3, *SIZES), ragged=True)
    output, _ = run_fused(drawn.cell, drawn.x, drawn.state, drawn.lengths, drawn.weights, False)
    ended = (torch.arange(5)[:, None] >= drawn.lengths)[..., None]
    gradient = torch.ones_like(output).masked_fill(ended, torch.nan)
    for one in torch.autograd.grad(output, [drawn.x, drawn.weights.weight_hh, *drawn.state], gradient):
        assert one.isfinite().all()


def test_twice_in_one_graph_and_with_a_weight_that_is_computed():
    drawn = draw("lstm", (5, 3, *SIZES))

    def loss(way):
        weights = SimpleNamespace(**vars(drawn.weights))
        weights.weight_hh = F.dropout(weights.weight_hh, 0.5)
        first, end = way(drawn.cell, drawn.x, drawn.state, None, weights, False)
        second, _ = way(drawn.cell, drawn.x * 2, end, None, weights, True)
        return (first * second).sum()

    found = []
    for way in (run_fused, run_cell):
        torch.manual_seed(5)
        found.append(torch.autograd.grad(loss(way), [drawn.x, drawn.weights.weight_hh, *drawn.state]))
    assert_close(*found, 1e-5)


def test_the_graph_can_be_gone_through_again():
    drawn = draw("gru", (5, 3, *SIZES))
    output, _ = run_fused(drawn.cell, drawn.x, drawn.state, None, drawn.weights, False)
    first, second = (torch.autograd.grad(output.sum(), drawn.x, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_a_second_derivative_is_refused():
    drawn = draw("lstm", (3, 2, *SIZES))
    output, _ = run_fused(drawn.cell, drawn.x, drawn.state, None, drawn.weights, False)
    with pytest.raises(UsageError, match="backend='loop'"):
        torch.autograd.grad(output.sum(), drawn.x, create_graph=True)


@compiled_only
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("batch", [1, 3, 5])
@pytest.mark.parametrize("hidden", [5, 40])
def test_a_step_of_a_compiled_cell_equals_its_equations(name, batch, hidden, monkeypatch):
    drawn = draw(name, (2, batch, 3, hidden))
    with torch.inference_mode():
        projected = drawn.cell.project(drawn.x[0], drawn.weights)
        expected = drawn.cell.step(projected, drawn.state, drawn.weights)
        run_fused(drawn.cell, drawn.x, drawn.state, None, drawn.weights, False)  # compiles it
        if batch <= _fused._FEW:
            monkeypatch.setattr(type(drawn.cell), "step", None)
        found = run_step(drawn.cell, projected, drawn.state, drawn.weights)
    assert_close(found, expected, 1e-5)


@compiled_only
@pytest.mark.parametrize("name", ["lstm", "peephole"])
def test_what_was_compiled_serves_steps_of_other_sizes(name, monkeypatch):
    small, large = draw(name, (2, 1, 3, 4)), draw(name, (2, 1, 3, 24))
    with torch.inference_mode():
        run_fused(small.cell, small.x, small.state, None, small.weights, False)
        projected = large.cell.project(large.x[0], large.weights)
        expected = large.cell.step(projected, large.state, large.weights)
        monkeypatch.setattr(_native, "compiled", None)
        _program.program.cache_clear()
        with monkeypatch.context() as context:
            context.setattr(type(large.cell), "step", lambda *_: "by its equations")
            context.setattr(_native.NativeStages, "built", 0)
            assert run_step(large.cell, projected, large.state, large.weights) == "by its equations"
        assert_close(run_step(large.cell, projected, large.state, large.weights), expected, 1e-5)
        found = _fused._program_for(large.cell, projected, large.state, large.weights)
        assert isinstance(found.native_step, _native.NativeStages)


def test_a_step_waits_for_no_compiler(without_compiler, monkeypatch):
    drawn = draw("lstm", (2, 1, 3, 4))
    monkeypatch.setattr(_native, "compiled", None)  # would fail if it were called
    monkeypatch.setattr(_native.NativeStages, "built", 1)
    with torch.no_grad():
        projected = drawn.cell.project(drawn.x[0], drawn.weights)
        found = run_step(drawn.cell, projected, drawn.state, drawn.weights)
        assert_close(found, drawn.cell.step(projected, drawn.state, drawn.weights), 0)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("name", CELLS)
def test_without_gradients(name, mode):
    drawn = draw(name, (6, 4, 3, 6))
    expected, end = run_cell(drawn.cell, drawn.x, drawn.state, None, drawn.weights, False)
    _program.program.cache_clear()  # so that the trace, too, is made without gradients
    with mode():
        output, found_end = run_fused(drawn.cell, drawn.x, drawn.state, None, drawn.weights, False)
        assert isinstance(runner_of(drawn), _native.NativeStages if shutil.which("g++") else PlainStages)
    assert not output.requires_grad
    assert_close([output.clone(), *(one.clone() for one in found_end)], [expected.detach(), *end], 1e-5)


def test_input_with_another_order_in_memory():
    drawn = draw("lstm", (5, 4, *SIZES))
    turned = Drawn(
        **{**vars(drawn), "x": drawn.x.detach().transpose(0, 1).contiguous().transpose(0, 1).requires_grad_()}
    )
    assert not turned.x.is_contiguous()
    assert_close(turned.run(run_fused), drawn.run(run_cell), 1e-5)


class OwnCell(Cell):
    """What a user may write: a part of a weight, a parameter for the whole row, a shifted gate, a norm."""

    name = "own"
    paper = "none of 2026"
    number_of_gates = 2
    state_names = ("h", "memory")

    def step(self, projected, state, weights):
        h, memory = state
        first = linear(h, weights.weight_hh[: h.shape[-1]])
        second = linear(torch.cat([h, memory], dim=-1), weights.weight_hh.t().reshape(h.shape[-1], -1))
        left, right = projected[:, : h.shape[-1]], projected[:, h.shape[-1] :]
        gate = torch.clamp(first + left, min=-0.5).sigmoid() * F.softplus(right)
        memory = memory * gate + F.layer_norm(second, second.shape[-1:]) * weights.bias_ih[: h.shape[-1]].exp()
        h = torch.where(memory > 0, memory.tanh(), 0.1 * memory) - memory.mean(dim=-1, keepdim=True)
        return h, memory


def _own(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)

    def normal(*sizes):
        return (0.5 * torch.randn(sizes, generator=generator)).to(dtype).requires_grad_()

    shapes = OwnCell().parameter_shapes(3, 4, True)
    weights = SimpleNamespace(**{key: normal(*shape) for key, shape in shapes.items()})
    return Drawn(OwnCell(), normal(6, 3, 3), (normal(3, 4), normal(3, 4)), weights, None, False)


def test_a_users_own_cell(monkeypatch):
    drawn = _own(torch.float64)
    assert_close(drawn.run(run_fused), drawn.run(run_cell), 1e-12)
    assert_close(_own().run(run_fused), _own().run(run_cell), 1e-4)


class ColumnCell(Cell):
    """A column of what a column is a factor of."""

    name = "column"
    number_of_gates = 1
    state_names = ("h",)

    def step(self, projected, state, weights):
        y = projected * projected[:, :1].sigmoid()
        return ((y * y[:, 2:3] + linear(state[0], weights.weight_hh)).tanh(),)


@compiled_only
def test_a_column_of_what_a_column_is_a_factor_of():
    drawn = draw("rnn", (4, 2, 3, 5))
    drawn.cell = ColumnCell()
    assert isinstance(runner_of(drawn), _native.NativeStages)
    assert_close(drawn.run(run_fused), drawn.run(run_cell), 1e-5)


class InLoop(Cell):
    name = "in_loop"
    number_of_gates = 1
    state_names = ("h",)


class RandomCell(InLoop):
    def step(self, projected, state, weights):
        return (F.dropout(projected, 0.5) + linear(state[0], weights.weight_hh),)


class ChangingCell(InLoop):
    def step(self, projected, state, weights):
        return ((projected + linear(state[0], weights.weight_hh)).tanh_(),)


class DecidingCell(InLoop):
    def step(self, projected, state, weights):
        if state[0].sum() > 1e9:
            raise ValueError("a state too large")
        return (projected + linear(state[0], weights.weight_hh),)


class ConstantCell(InLoop):
    def step(self, projected, state, weights):
        return (projected * torch.tensor(0.5) + linear(state[0], weights.weight_hh),)


@pytest.mark.parametrize("kind", [RandomCell, ChangingCell, ConstantCell])
def test_what_cannot_be_traced_runs_in_the_loop(kind):
    drawn = draw("rnn", (4, 2, 3, 3))
    drawn.cell = kind()
    assert _fused._program_for(drawn.cell, drawn.x, drawn.state, drawn.weights) is None
    found = []
    for way in (run_fused, run_cell):
        torch.manual_seed(1)
        found.append(drawn.run(way))
    assert_close(*found, 1e-6)


def test_a_cell_without_a_hash_runs_in_the_loop():
    drawn = draw("lstm", (4, 2, 3, 3))

    class Unhashable(type(drawn.cell)):
        __hash__ = None

    drawn.cell = Unhashable()
    assert_close(drawn.run(run_fused), drawn.run(run_cell), 1e-6)


def test_availability(without_compiler):
    cell = CELLS["lstm"].cell
    assert not fused_available(cell, torch.zeros(2, 2, 2))


@compiled_only
def test_availability_with_a_compiler():
    cell = CELLS["lstm"].cell
    assert fused_available(cell, torch.zeros(2, 2, 2))
    assert not fused_available(cell, torch.zeros(2, 2, 2, dtype=torch.float64))
    assert not fused_available(cell, torch.zeros(2, 2, 2, device="meta"))


@compiled_only
def test_memory_is_used_again_but_never_twice_at_once():
    loop = _native.time_loop()
    first = loop.allocate([1 << 19], torch.float32)
    second = loop.allocate([1 << 19], torch.float32)
    assert first.data_ptr() != second.data_ptr()
    place, view = first.data_ptr(), first[5:]
    del first
    third = loop.allocate([1 << 19], torch.float32)
    assert third.data_ptr() != place  # a view still shows it
    del view
    assert loop.allocate([2, 1 << 18], torch.float32).data_ptr() == place
    second.share_memory_()
    moved = second.data_ptr()
    del second
    assert loop.allocate([1 << 19], torch.float32).data_ptr() != moved
