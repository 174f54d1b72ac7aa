"""Recurrent layers against `torch.nn` with the same weights, and against themselves run in another way."""

from __future__ import annotations

import copy
import shutil
import warnings
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from nlp_lstm.cells import CELLS, Cell, RecurrentLayer, recurrent_layer
from nlp_lstm.errors import ShapeError, UsageError

TORCH = {
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "rnn": nn.RNN,
    "rnn_relu": partial(nn.RNN, nonlinearity="relu"),
}
BACKENDS = ("torch", "fused", "loop")
OWN_BACKENDS = ("auto", "fused", "loop")
INPUT, HIDDEN, TIME, BATCH = 3, 5, 7, 4


def _layer(name, backend="auto", seed=0, **options):
    torch.manual_seed(seed)
    return recurrent_layer(name, INPUT, HIDDEN, backend=backend, dtype=torch.float64, **options)


def _tensors(state):
    return (state,) if isinstance(state, torch.Tensor) else state


def _state(layer, batch=BATCH):
    rows, sizes = layer.num_layers * layer.directions, layer.cell.state_sizes(HIDDEN)
    tensors = {name: torch.randn(rows, batch, size, dtype=torch.float64) for name, size in sizes.items()}
    if "n" in tensors:
        tensors["n"] = tensors["n"].abs() + 0.5
    return tuple(tensors.values()) if len(tensors) > 1 else tensors["h"]


def _as_given(tensors):
    return tuple(tensors) if len(tensors) > 1 else tensors[0]


def _assert_close(first, second):
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", TORCH)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_equals_torch_with_its_weights(name, backend, bidirectional, batch_first, bias):
    options = {"num_layers": 2, "bidirectional": bidirectional, "batch_first": batch_first, "bias": bias}
    layer = _layer(name, backend, **options)
    oracle = TORCH[name](INPUT, HIDDEN, dtype=torch.float64, **options)
    oracle.load_state_dict(layer.state_dict())
    shape = (BATCH, TIME, INPUT) if batch_first else (TIME, BATCH, INPUT)
    x, state = torch.randn(shape, dtype=torch.float64), _state(layer)
    results = []
    for module in (layer, oracle):
        inputs = [x.clone().requires_grad_(), *(tensor.clone().requires_grad_() for tensor in _tensors(state))]
        start = tuple(inputs[1:]) if len(inputs) > 2 else inputs[1]
        output, end = module(inputs[0], start)
        assert isinstance(end, torch.Tensor) == isinstance(state, torch.Tensor)
        total = output.square().sum() + sum(tensor.sin().sum() for tensor in _tensors(end))
        gradients = torch.autograd.grad(total, [*inputs, *module.parameters()])
        results.append([output, *_tensors(end), *gradients])
    _assert_close(*results)


@pytest.mark.parametrize("name", TORCH)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bias", [False, True])
def test_weights_of_torch_are_loaded(name, backend, bias):
    options = {"num_layers": 2, "bidirectional": True, "bias": bias}
    torch.manual_seed(1)
    oracle = TORCH[name](INPUT, HIDDEN, dtype=torch.float64, **options)
    layer = _layer(name, backend, **options)
    x, state = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64), _state(layer)
    assert not torch.allclose(layer(x, state)[0], oracle(x, state)[0])
    layer.load_state_dict(oracle.state_dict())
    (output, end), (expected, expected_end) = layer(x, state), oracle(x, state)
    _assert_close([output, *_tensors(end)], [expected, *_tensors(expected_end)])


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("backend", OWN_BACKENDS)
@pytest.mark.parametrize(("bidirectional", "garbage"), [(False, float("nan")), (True, float("nan")), (True, 1e6)])
def test_padding_changes_nothing(name, backend, bidirectional, garbage):
    layer = _layer(name, backend, num_layers=2, bidirectional=bidirectional)
    lengths = torch.tensor([3, TIME, 1, 5])
    sequences = [torch.randn(length, INPUT, dtype=torch.float64) for length in lengths]
    x, start = pad_sequence(sequences, padding_value=garbage).requires_grad_(), _tensors(_state(layer))
    output, state = layer(x, _as_given(start), lengths=lengths)
    (gradient,) = torch.autograd.grad(output.square().sum(), x)
    for index, sequence in enumerate(sequences):
        alone = sequence.clone().requires_grad_()
        expected, end = layer(alone.unsqueeze(1), _as_given([one[:, index : index + 1] for one in start]))
        (expected_gradient,) = torch.autograd.grad(expected.square().sum(), alone)
        size = len(sequence)
        _assert_close([output[:size, index], gradient[:size, index]], [expected[:, 0], expected_gradient])
        _assert_close([tensor[:, index] for tensor in _tensors(state)], [tensor[:, 0] for tensor in _tensors(end)])
        assert (output[size:, index] == 0).all()
        assert (gradient[size:, index] == 0).all()


@pytest.mark.parametrize("name", TORCH)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("enforce_sorted", [False, True])
def test_packed_sequences_come_in_and_go_out_as_in_torch(name, backend, enforce_sorted):
    layer = _layer(name, backend, bidirectional=True)
    oracle = TORCH[name](INPUT, HIDDEN, bidirectional=True, dtype=torch.float64)
    oracle.load_state_dict(layer.state_dict())
    lengths = torch.tensor([7, 5, 3, 1]) if enforce_sorted else torch.tensor([3, 7, 1, 5])
    x, state = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64), _state(layer)
    packed = pack_padded_sequence(x, lengths, enforce_sorted=enforce_sorted)
    output, end = layer(packed, state)
    expected, expected_end = oracle(packed, state)
    _assert_close(pad_packed_sequence(output), pad_packed_sequence(expected))
    _assert_close([output.data], [expected.data])
    _assert_close(_tensors(end), _tensors(expected_end))


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("backend", OWN_BACKENDS)
@pytest.mark.parametrize("enforce_sorted", [False, True])
def test_a_packed_sequence_is_what_lengths_are(name, backend, enforce_sorted):
    layer = _layer(name, backend, num_layers=2, bidirectional=True)
    lengths = torch.tensor([7, 5, 3, 1]) if enforce_sorted else torch.tensor([3, 7, 1, 5])
    x, state = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64), _state(layer)
    expected, expected_end = layer(x, state, lengths=lengths)
    packed = pack_padded_sequence(x, lengths, enforce_sorted=enforce_sorted)
    output, end = layer(packed, state)
    padded, found = pad_packed_sequence(output)
    assert torch.equal(found, lengths)
    assert (output.sorted_indices is None) == enforce_sorted
    _assert_close([padded, *_tensors(end)], [expected, *_tensors(expected_end)])


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("backend", OWN_BACKENDS)
def test_step_by_step_equals_the_whole_sequence(name, backend):
    layer = _layer(name, backend, num_layers=2)
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    whole, end = layer(x)
    state, outputs = None, []
    for t in range(TIME):
        output, state = layer(x[t : t + 1], state)
        outputs.append(output)
    _assert_close([whole, *_tensors(end)], [torch.cat(outputs), *_tensors(state)])


@pytest.mark.parametrize("name", CELLS)
def test_the_backward_half_reads_from_the_end(name):
    layer = _layer(name, bidirectional=True)
    x = torch.randn(TIME, 1, INPUT, dtype=torch.float64)
    changed = x.clone()
    changed[-1] += 1
    before, after = (layer(one)[0][0, 0].chunk(2) for one in (x, changed))
    assert torch.equal(before[0], after[0])
    assert not torch.allclose(before[1], after[1], atol=1e-12)
    forward = _layer(name)
    forward.load_state_dict({name.removesuffix("_reverse"): value for name, value in layer.state_dict().items()})
    torch.testing.assert_close(forward(x.flip(0))[0].flip(0), layer(x)[0].chunk(2, dim=-1)[1])


@pytest.mark.parametrize("batch_first", [False, True])
def test_input_without_a_batch(batch_first):
    layer = _layer("lstm", num_layers=2, batch_first=batch_first)
    x = torch.randn(TIME, INPUT, dtype=torch.float64)
    output, (h, c) = layer(x)
    batched, (h_batched, c_batched) = layer(x.unsqueeze(0 if batch_first else 1))
    _assert_close([output, h, c], [batched.squeeze(0 if batch_first else 1), h_batched[:, 0], c_batched[:, 0]])
    again, _ = layer(x, (h, c))
    assert again.shape == output.shape


@pytest.mark.parametrize("backend", BACKENDS)
def test_weight_dropout_is_one_mask_for_all_steps(backend):
    layer = _layer("rnn", backend, weight_dropout=0.5)
    with torch.no_grad():
        for parameter in (layer.weight_ih_l0, layer.bias_ih_l0, layer.bias_hh_l0):
            parameter.zero_()
        layer.weight_hh_l0.copy_(torch.eye(HIDDEN) * 0.5)
    x = torch.zeros(TIME, 1, INPUT, dtype=torch.float64)
    start = torch.full((1, 1, HIDDEN), 0.1, dtype=torch.float64)
    torch.manual_seed(3)
    output, _ = layer(x, start)
    # With a diagonal matrix each feature runs alone: a dropped one is zero from the first step on, for good.
    alive = output[:, 0] != 0
    assert (alive == alive[0]).all()
    assert 0 < int(alive[0].sum()) < HIDDEN
    expected = start[0, 0]
    for t in range(TIME):
        expected = torch.tanh(expected * torch.where(alive[0], 1.0, 0.0))
        torch.testing.assert_close(output[t, 0], expected)


def test_weight_dropout_is_off_in_evaluation_and_reaches_the_raw_weight():
    layer = _layer("lstm", weight_dropout=0.5)
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    first, second = layer(x)[0], layer(x)[0]
    assert not torch.equal(first, second)
    first.sum().backward()
    gradient = layer.weight_hh_l0.grad
    assert 0.2 < float((gradient == 0).double().mean()) < 0.8
    assert "weight_hh_l0" in dict(layer.named_parameters())
    layer.eval()
    plain = _layer("lstm")
    plain.load_state_dict(layer.state_dict())
    assert torch.equal(layer(x)[0], plain(x)[0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_dropout_stands_between_the_layers_and_only_in_training(backend):
    layer = _layer("gru", backend, num_layers=2, dropout=0.5)
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    assert not torch.equal(layer(x)[0], layer(x)[0])
    layer.eval()
    oracle = nn.GRU(INPUT, HIDDEN, 2, dtype=torch.float64)
    oracle.load_state_dict(layer.state_dict())
    _assert_close([layer(x)[0]], [oracle(x)[0]])


@pytest.mark.parametrize("name", CELLS)
def test_copies_moves_and_double_use(name):
    layer = _layer(name, num_layers=2)
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    twin = copy.deepcopy(layer)
    _assert_close([twin(x)[0]], [layer(x)[0]])
    with torch.no_grad():
        twin.weight_ih_l0[0].add_(1)
    assert not torch.allclose(twin(x)[0], layer(x)[0])
    loaded = _layer(name, seed=1, num_layers=2)
    loaded.load_state_dict(layer.state_dict(), assign=True)
    _assert_close([loaded(x)[0]], [layer(x)[0]])
    twice, parts = copy.deepcopy(layer), copy.deepcopy(layer)
    (twice(x)[0].sum() + twice(2 * x)[0].sum()).backward()
    parts(x)[0].sum().backward()
    parts(2 * x)[0].sum().backward()
    _assert_close([p.grad for p in twice.parameters()], [p.grad for p in parts.parameters()])
    assert all(parameter.grad.abs().sum() > 0 for parameter in twice.parameters())
    exact = layer(x)[0]
    moved = layer.float()(x.float())[0]
    assert moved.dtype == torch.float32
    torch.testing.assert_close(moved.double(), exact, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", CELLS)
def test_bf16_is_near_fp64(name):
    layer = _layer(name)
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    exact = layer(x)[0].detach()
    layer.float()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = layer(x.float())[0].detach()
    # bf16 keeps 8 bits: products are off by up to 2^-8 of their size, at each of seven steps.
    assert float((mixed.double() - exact).abs().max()) < 0.08 * max(1.0, float(exact.abs().max()))


def test_a_weight_that_is_computed_from_others_is_used():
    layer, plain = _layer("peephole"), _layer("peephole")
    parametrize.register_parametrization(layer, "weight_hh_l0", _Doubled())
    with torch.no_grad():
        plain.weight_hh_l0.mul_(2)
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    _assert_close([layer(x)[0]], [plain(x)[0]])


class _Doubled(nn.Module):
    def forward(self, weight):
        return 2 * weight


@pytest.mark.parametrize("name", ["slstm", "qrnn"])
def test_a_compiled_layer_gives_the_same(name):
    layer = _layer(name, backend="loop")
    x = torch.randn(3, BATCH, INPUT, dtype=torch.float64)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    _assert_close([compiled(x)[0]], [layer(x)[0]])


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler")
def test_a_layer_that_is_compiled_to_machine_code_gives_the_same():
    layer = _layer("peephole", backend="loop")
    x = torch.randn(2, BATCH, INPUT, dtype=torch.float64)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's own, about itself
        _assert_close([torch.compile(layer)(x)[0]], [layer(x)[0]])


def test_parameters_start_within_the_bound_of_torch():
    layer = recurrent_layer("lstm", 10, 64)
    bound = 1 / 8
    for parameter in layer.parameters():
        assert float(parameter.detach().abs().max()) <= bound
        assert float(parameter.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.15)
    assert "10, 64, num_layers=1" in repr(layer)
    assert "bidirectional" in repr(recurrent_layer("lstm", 2, 2, bidirectional=True))


@pytest.mark.parametrize(
    ("x", "options", "words"),
    [
        (torch.zeros(TIME, BATCH, 100), {}, "100 features; this layer was built with input_size=3"),
        (torch.zeros(TIME, BATCH, INPUT, 1), {}, "4 dimensions"),
        (torch.zeros(0, BATCH, INPUT), {}, "empty"),
        (torch.zeros(TIME, BATCH, INPUT), {"lengths": torch.tensor([1, 2, 3])}, r"one a sequence, \(4,\)"),
        (torch.zeros(TIME, BATCH, INPUT), {"lengths": torch.tensor([0, 2, 3, 1])}, "between 1 and the 7 steps"),
        (torch.zeros(TIME, BATCH, INPUT), {"lengths": torch.tensor([-1, 2, 3, 1])}, "run from -1 to 3"),
        (torch.zeros(TIME, BATCH, INPUT), {"lengths": torch.tensor([9, 2, 3, 1])}, "run from 1 to 9"),
        (torch.zeros(TIME, BATCH, INPUT), {"lengths": torch.tensor([1.0, 2, 3, 1])}, "give whole numbers"),
        (
            torch.zeros(TIME, BATCH, INPUT),
            {"state": torch.zeros(1, BATCH, HIDDEN)},
            "has 1 tensors; the cell 'lstm' takes h, c",
        ),
        (torch.zeros(TIME, BATCH, INPUT), {"state": (torch.zeros(1, 2, HIDDEN),) * 2}, r"needs \(1, 4, 5\)"),
    ],
)
def test_what_does_not_fit_is_said_in_the_users_terms(x, options, words):
    with pytest.raises(ShapeError, match=words):
        recurrent_layer("lstm", INPUT, HIDDEN)(x, **options)


def test_a_packed_sequence_brings_its_own_lengths():
    packed = pack_padded_sequence(torch.zeros(TIME, BATCH, INPUT), torch.tensor([7, 5, 3, 1]))
    with pytest.raises(UsageError, match="its own lengths"):
        recurrent_layer("lstm", INPUT, HIDDEN)(packed, lengths=torch.tensor([7, 5, 3, 1]))


def test_unknown_cells_and_sizes_are_refused():
    with pytest.raises(UsageError, match="Did you mean 'lstm'"):
        recurrent_layer("lstn", INPUT, HIDDEN)
    with pytest.raises(UsageError, match=r"hidden_size=0 .* num_layers=-1"):
        recurrent_layer("lstm", INPUT, 0, num_layers=-1)
    with pytest.raises(UsageError, match=r"dropout=1\.5 .* zoneout=-1"):
        recurrent_layer("lstm", INPUT, HIDDEN, dropout=1.5, zoneout=-1)
    with pytest.raises(UsageError, match="options of the cell are given by name"):
        CELLS["rnn"](INPUT, HIDDEN, 1, "relu")
    for name, value in (("backend", "fussed"), ("merge", "summ"), ("connection", "residuals")):
        with pytest.raises(UsageError, match=f"no {name} named '{value}'. Did you mean"):
            recurrent_layer("lstm", INPUT, HIDDEN, **{name: value})


def test_a_cell_without_a_kernel_of_torch():
    with pytest.raises(UsageError, match="torch has no kernel for the cell 'peephole'"):
        recurrent_layer("peephole", INPUT, HIDDEN, backend="torch")


def test_a_cell_of_ones_own_is_one_class():
    class LeakyCell(Cell):
        name, paper, number_of_gates, state_names = "leaky", "2026", 1, ("h",)

        def step(self, projected, state, weights):
            return (0.9 * state[0] + 0.1 * projected,)

    class Leaky(RecurrentLayer):
        cell = LeakyCell()

    layer = Leaky(INPUT, HIDDEN)
    x = torch.randn(TIME, BATCH, INPUT)
    expected = torch.zeros(BATCH, HIDDEN)
    for one in x:
        expected = 0.9 * expected + 0.1 * (one @ layer.weight_ih_l0.t() + layer.bias_ih_l0)
    torch.testing.assert_close(layer(x)[1][0], expected)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("size", [8, 300])
def test_a_single_step_without_a_gradient_equals_the_kernel(name, size):
    torch.manual_seed(0)
    layer = recurrent_layer(name, size, size, num_layers=2)  # at 300 the products are large enough for oneDNN
    x = torch.randn(1, BATCH, size)
    first, start = layer(x)
    expected, end = layer(x, start)
    with torch.inference_mode():
        torch.testing.assert_close(layer(x)[0], first.detach())
        for training in (True, False):  # in evaluation there is a path of its own
            output, state = layer.train(training)(x, start)
            torch.testing.assert_close(output, expected.detach())
            torch.testing.assert_close(_tensors(state), tuple(tensor.detach() for tensor in _tensors(end)))
