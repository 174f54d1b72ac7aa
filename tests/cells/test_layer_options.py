"""What a layer offers beside torch's own options, against the same thing done by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nlp_lstm.cells import CELLS, GRU, LSTM, RNN, recurrent_layer
from nlp_lstm.errors import ShapeError, UsageError

SIZE, TIME, BATCH = 4, 6, 3
LENGTHS = torch.tensor([6, 2, 4])
ROUTES = [("lstm", "torch"), ("lstm", "loop"), ("lstm", "fused"), ("mingru", "auto"), ("peephole", "auto")]


def _layer(name, **options):
    torch.manual_seed(0)
    return recurrent_layer(name, SIZE, SIZE, dtype=torch.float64, **options)


def _input():
    return torch.randn(TIME, BATCH, SIZE, dtype=torch.float64)


def _single(layer, index, **options):
    """One layer of a stack by itself, with its weights."""
    alone = recurrent_layer(layer.cell.name, SIZE, SIZE, dtype=torch.float64, bidirectional=layer.bidirectional)
    suffix = f"_l{index}"
    names = alone.state_dict()
    alone.load_state_dict({name: layer.state_dict()[name.replace("_l0", suffix)] for name in names})
    return alone


@pytest.mark.parametrize(("name", "backend"), ROUTES)
def test_both_directions_added_up(name, backend):
    layer = _layer(name, num_layers=2, bidirectional=True, merge="sum", backend=backend)
    x = _input()
    output, state = layer(x, lengths=LENGTHS)
    assert layer.output_size == SIZE
    first, second = _single(layer, 0), _single(layer, 1)
    middle = first(x, lengths=LENGTHS)[0].unflatten(-1, (2, SIZE)).sum(2)
    last, ends = second(middle, lengths=LENGTHS)
    torch.testing.assert_close(output, last.unflatten(-1, (2, SIZE)).sum(2))
    whole, part = (one if isinstance(one, torch.Tensor) else one[0] for one in (state, ends))
    torch.testing.assert_close(whole[2:], part)


@pytest.mark.parametrize(("name", "backend"), ROUTES)
@pytest.mark.parametrize("connection", ["residual", "highway"])
def test_connections_past_the_layers(name, backend, connection):
    layer = _layer(name, num_layers=2, connection=connection, backend=backend)
    x = expected = _input()
    for index in range(2):
        output, _ = _single(layer, index)(expected)
        if connection == "residual":
            expected = expected + output
        else:
            weight, bias = getattr(layer, f"weight_highway_l{index}"), getattr(layer, f"bias_highway_l{index}")
            assert (bias == -1).all()
            gate = torch.sigmoid(expected @ weight.t() + bias)
            expected = gate * output + (1 - gate) * expected
    torch.testing.assert_close(layer(x)[0], expected)
    padded = x.clone()
    padded[2:, 1] = float("nan")
    output, _ = layer(padded, lengths=LENGTHS)
    assert (output[2:, 1] == 0).all()
    torch.testing.assert_close(output[:2, 1], expected[:2, 1])
    torch.testing.assert_close(output[:, 0], expected[:, 0])


def test_a_connection_needs_equal_sizes():
    layer = recurrent_layer("lstm", 3, SIZE, num_layers=2, connection="highway")
    assert not hasattr(layer, "weight_highway_l0")
    assert layer.weight_highway_l1.shape == (SIZE, SIZE)
    torch.manual_seed(0)
    plain = recurrent_layer("lstm", 3, SIZE)
    residual = recurrent_layer("lstm", 3, SIZE, connection="residual")
    residual.load_state_dict(plain.state_dict())
    x = torch.randn(TIME, BATCH, 3)
    torch.testing.assert_close(residual(x)[0], plain(x)[0])


@pytest.mark.parametrize("variational", [False, True])
def test_dropout_between_layers_is_one_mask_where_variational(variational):
    # The second layer passes on what reaches it: a rectifier, the identity and no recurrence.
    layer = RNN(SIZE, SIZE, 2, nonlinearity="relu", dropout=0.5, variational=variational, backend="loop")
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            parameter.copy_(torch.eye(SIZE) if name.startswith("weight_ih") else torch.zeros_like(parameter))
    output, _ = layer(torch.ones(40, 30, SIZE))
    torch.testing.assert_close(output.unique(), torch.tensor([0.0, 2.0]))
    assert (output == output[:1]).all() == variational
    values = output[0] if variational else output
    assert float((values == 0).double().mean()) == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / values.numel()))
    assert (layer.eval()(torch.ones(40, 30, SIZE))[0] == 1).all()


@pytest.mark.parametrize("backend", ["loop", "fused"])
def test_zoneout_keeps_units_of_the_old_state(backend):
    layer = _layer("lstm", zoneout=0.3, zoneout_cell=0.6, backend=backend)
    x = torch.randn(1, 4000, SIZE, dtype=torch.float64)
    h, c = (torch.randn(1, 4000, SIZE, dtype=torch.float64) for _ in range(2))
    free = LSTM(SIZE, SIZE, dtype=torch.float64)
    free.load_state_dict(layer.state_dict())
    _, (free_h, free_c) = free(x, (h, c))
    output, (new_h, new_c) = layer(x, (h, c))
    for new, old, moved, share in ((new_h, h, free_h, 0.3), (new_c, c, free_c, 0.6)):
        kept = new == old
        torch.testing.assert_close(new[~kept], moved[~kept])
        assert float(kept.double().mean()) == pytest.approx(share, abs=4 * math.sqrt(0.25 / kept.numel()))
    torch.testing.assert_close(output[0], new_h[0])
    output, (new_h, new_c) = layer.eval()(x, (h, c))
    torch.testing.assert_close(new_h, 0.3 * h + 0.7 * free_h)
    torch.testing.assert_close(new_c, 0.6 * c + 0.4 * free_c)


@pytest.mark.parametrize("name", CELLS)
def test_zoneout_of_any_cell_draws_anew_and_is_its_expectation_in_evaluation(name):
    layer = _layer(name, num_layers=2, zoneout=0.5, bidirectional=True)
    x = _input().requires_grad_()
    assert not torch.equal(layer(x, lengths=LENGTHS)[0], layer(x, lengths=LENGTHS)[0])
    layer(x, lengths=LENGTHS)[0].sum().backward()
    assert x.grad.isfinite().all()
    layer.eval()
    torch.testing.assert_close(layer(x, lengths=LENGTHS)[0], layer(x, lengths=LENGTHS)[0])
    one = _layer(name, zoneout=0.5).eval()
    plain = _layer(name).eval()
    whole, _ = one(x)
    state, outputs = None, []
    for t in range(TIME):
        _, after = plain(x[t : t + 1], state)
        after = [after] if isinstance(after, torch.Tensor) else list(after)
        before = 0.0 if state is None else state[0] if isinstance(state, tuple) else state
        after[0] = 0.5 * before + 0.5 * after[0]
        state = tuple(after) if len(after) > 1 else after[0]
        outputs.append(after[0])
    torch.testing.assert_close(whole, torch.cat(outputs))


@pytest.mark.parametrize("name", CELLS)
def test_a_learned_start_is_used_where_no_state_is_given(name):
    layer = _layer(name, num_layers=2, bidirectional=True, learned_state=True)
    plain = _layer(name, num_layers=2, bidirectional=True)
    starts = {key: value for key, value in layer.state_dict().items() if key.startswith("initial_")}
    assert len(starts) == 4 * len(layer.cell.state_names)
    plain.load_state_dict({key: value for key, value in layer.state_dict().items() if key not in starts})
    x = _input()
    torch.testing.assert_close(layer(x)[0], plain(x)[0])
    with torch.no_grad():
        for key, value in layer.named_parameters():
            if key.startswith("initial_"):
                value.uniform_(0.5, 1.5)
    suffixes = ("_l0", "_l0_reverse", "_l1", "_l1_reverse")
    state = tuple(
        torch.stack([getattr(layer, f"initial_{key}{suffix}") for suffix in suffixes])[:, None].repeat(1, BATCH, 1)
        for key in layer.cell.state_names
    )
    given = state if len(state) > 1 else state[0]
    torch.testing.assert_close(layer(x, lengths=LENGTHS)[0], plain(x, given, lengths=LENGTHS)[0])
    assert not torch.allclose(layer(x)[0], plain(x)[0])
    layer(x)[0].square().sum().backward()
    last = getattr(layer, f"initial_{layer.cell.state_names[-1]}_l0")  # qrnn reads its old c and pending alone
    assert last.grad.abs().sum() > 0


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layer_class", [lambda *a, **k: LSTM(*a, proj_size=2, **k), CELLS["lstmp"]])
def test_a_projected_lstm_is_that_of_torch(bidirectional, layer_class):
    options = {"num_layers": 2, "bidirectional": bidirectional, "dtype": torch.float64}
    layer, oracle = layer_class(SIZE, 4, **options), nn.LSTM(SIZE, 4, proj_size=2, **options)
    oracle.load_state_dict(layer.state_dict())
    assert layer.output_size == 2 * layer.directions
    x = _input()
    rows = layer.num_layers * layer.directions
    state = tuple(torch.randn(rows, BATCH, size, dtype=torch.float64) for size in (2, 4))
    for given in (None, state):
        results = []
        for module in (layer, oracle):
            module.zero_grad()
            output, (h, c) = module(x, given)
            (output.square().sum() + c.sum()).backward()
            results.append([output, h, c, *(parameter.grad for parameter in module.parameters())])
        torch.testing.assert_close(*results)
    layer.load_state_dict(oracle.state_dict())


def test_the_reset_gate_is_chosen_by_name_or_option():
    assert GRU(2, 3, reset_after=False).cell.name == CELLS["gru_reset_before"].cell.name == "gru_reset_before"
    assert GRU(2, 3).cell.name == "gru"
    assert RNN(2, 3, nonlinearity="relu").cell.name == CELLS["rnn_relu"].cell.name
    assert RNN(2, 3, nonlinearity="tanh").cell.name == "rnn"
    assert "rounds=3" in repr(recurrent_layer("mogrifier", 2, 3, rounds=3))


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("mingru", {"weight_dropout": 0.1}, "'mingru' has no recurrent weights to drop; leave weight_dropout at 0"),
        ("gru", {"zoneout_cell": 0.1}, "'gru' has no state c to hold back; leave zoneout_cell at 0"),
        ("slstm", {"zoneout_cell": 0.1}, "'slstm' has no state c"),
        ("lstm", {"zoneout": 0.1, "backend": "torch"}, "torch's kernels have no zoneout"),
    ],
)
def test_what_a_cell_has_not_cannot_be_dropped(name, options, words):
    with pytest.raises(UsageError, match=words):
        recurrent_layer(name, SIZE, SIZE, **options)


def test_weight_dropout_reaches_every_recurrent_matrix():
    layer = _layer("multiplicative", weight_dropout=0.5)
    layer(_input())[0].sum().backward()
    for name in ("weight_hh_l0", "weight_mh_l0"):
        assert 0.1 < float((getattr(layer, name).grad == 0).double().mean()) < 0.9
    assert (layer.weight_ih_l0.grad != 0).all()


def test_a_state_on_another_device_is_named():
    state = (torch.zeros(1, BATCH, SIZE, device="meta"),) * 2
    with pytest.raises(ShapeError, match="The state's h is on meta, the input on cpu"):
        LSTM(SIZE, SIZE)(torch.zeros(TIME, BATCH, SIZE), state)


def test_a_single_step_checks_what_it_is_given():
    layer = LSTM(SIZE, SIZE).eval()
    state = (torch.zeros(1, BATCH, SIZE),) * 2
    with torch.no_grad():
        with pytest.raises(ShapeError, match="3 features; this layer was built with input_size=4"):
            layer(torch.zeros(1, BATCH, 3), state)
        with pytest.raises(ShapeError, match=r"needs \(1, 3, 4\)"):
            layer(torch.zeros(1, BATCH, SIZE), (state[0][:, :2], state[1]))
        with pytest.raises(ShapeError, match="has 1 tensors"):
            layer(torch.zeros(1, BATCH, SIZE), state[0])


@pytest.mark.parametrize("batch_first", [False, True])
def test_a_single_step_stands_where_time_stands(batch_first):
    layer = LSTM(SIZE, SIZE, 2, batch_first=batch_first).eval()
    x = torch.randn(BATCH, 2, SIZE) if batch_first else torch.randn(2, BATCH, SIZE)
    first, last = x.split(1, dim=1 if batch_first else 0)
    with torch.no_grad():
        whole, end = layer(x)
        _, state = layer(first)
        output, state = layer(last, state)
    torch.testing.assert_close(output, whole[:, 1:] if batch_first else whole[1:])
    torch.testing.assert_close(state, end)
    assert F.mse_loss(state[0][-1], output.flatten(0, 1)) == 0
