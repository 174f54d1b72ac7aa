"""Calls that a layer refuses, in the user's terms: options, inputs, states and lengths that do not fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.rnn import pack_padded_sequence

from nlp_lstm.cells import CELLS, GRU, LSTM, ConvLSTM1d, ConvLSTM2d, _lengths, recurrent_layer
from nlp_lstm.errors import ShapeError, UsageError

INPUT, HIDDEN, TIME, BATCH = 3, 5, 4, 2
FP32, FP64, BF16 = torch.float32, torch.float64, torch.bfloat16
X = torch.ones(TIME, BATCH, INPUT)
ONE = torch.ones(1, BATCH, HIDDEN)
MAPS = torch.ones(TIME, BATCH, INPUT, 4, 4)
MAP_STATE = torch.zeros(1, BATCH, HIDDEN, 4, 4)
CONTEXTS = {
    "sequence": (TIME, True),
    "sequence without a gradient": (TIME, False),
    "single step": (1, True),
    "single step of generation": (1, False),
}


def _state(layer, dtype):
    """A state that fits but for its type; all ones, so that an sLSTM's normaliser may be divided by."""
    rows = layer.num_layers * layer.directions
    sizes = layer.cell.state_sizes(HIDDEN).values()
    tensors = tuple(torch.ones(rows, BATCH, size, dtype=dtype) for size in sizes)
    return tensors if len(tensors) > 1 else tensors[0]


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("dtype", [FP64, BF16, torch.int64])
def test_a_state_of_another_type(name, context, dtype):
    time, gradient = CONTEXTS[context]
    layer = recurrent_layer(name, INPUT, HIDDEN).eval()
    words = rf"The state's h is of the type {dtype}, the input of torch.float32. Give state.to\(torch.float32\)"
    with torch.set_grad_enabled(gradient), pytest.raises(ShapeError, match=words):
        layer(X[:time], _state(layer, dtype))
    state = _state(layer, FP32)
    if isinstance(state, tuple):  # the last of several alone
        with (
            torch.set_grad_enabled(gradient),
            pytest.raises(ShapeError, match=rf"state's {layer.cell.state_names[-1]} "),
        ):
            layer(X[:time], (*state[:-1], state[-1].to(dtype)))


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("name", ["lstm", "gru", "slstm", "mingru"])
@pytest.mark.parametrize(
    ("state", "words"),
    [
        (5, "The state is a int; the cell {cell} takes h"),
        ({"h": ONE, "c": ONE}, "The state is a dict; the cell {cell} takes h"),
        ((), "The state has 0 tensors; the cell {cell} takes h"),
        ((ONE,) * 3, "The state has 3 tensors; the cell {cell} takes h"),
        ((ONE.tolist(), ONE), "The state('s h is a list| has 2 tensors); the cell {cell} takes h"),
    ],
)
def test_what_is_no_state(name, context, state, words):
    time, gradient = CONTEXTS[context]
    layer = recurrent_layer(name, INPUT, HIDDEN).eval()
    with torch.set_grad_enabled(gradient), pytest.raises(ShapeError, match=words.format(cell=repr(name))):
        layer(X[:time], state)


def test_the_message_lists_the_tensors():
    with pytest.raises(ShapeError, match="the cell 'lstm' takes h, c, a tuple of tensors"):
        LSTM(INPUT, HIDDEN)(X, 5)
    with pytest.raises(ShapeError, match="the cell 'gru' takes h, one tensor"):
        GRU(INPUT, HIDDEN)(X, 5)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("dtype", [FP64, BF16, torch.int64, torch.bool])
def test_an_input_of_another_type(name, dtype):
    layer = recurrent_layer(name, INPUT, HIDDEN)
    words = rf"The input is of the type {dtype}, the layer's weights are of torch.float32. Give input.to\(torch.float32"
    with pytest.raises(ShapeError, match=words):
        layer(X.to(dtype))
    with pytest.raises(ShapeError, match=words):
        layer(pack_padded_sequence(X.to(dtype), torch.tensor([4, 2])))
    with torch.no_grad(), pytest.raises(ShapeError, match=words):
        layer.eval()(X[:1].to(dtype), _state(layer, dtype))


def test_what_is_no_input():
    with pytest.raises(ShapeError, match="The input is a ndarray; a layer takes a tensor or a PackedSequence"):
        LSTM(INPUT, HIDDEN)(np.ones((TIME, BATCH, INPUT)))
    with pytest.raises(ShapeError, match=r"The input is on meta, the layer on cpu\. Move one with"):
        LSTM(INPUT, HIDDEN)(X.to("meta"))


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("dtype", [FP32, FP64, BF16])
def test_a_layers_own_state_fits(name, dtype):
    layer = recurrent_layer(name, INPUT, HIDDEN, dtype=dtype)
    x = X.to(dtype)
    with torch.no_grad():
        output, state = layer(x)
        again, state = layer(x, state)
        layer.eval()(x[:1], state)
    assert output.dtype == again.dtype == dtype


@pytest.mark.parametrize(
    ("name", "backend"), [*((name, "loop") for name in CELLS), ("lstm", "auto"), ("peephole", "auto")]
)
def test_under_autocast_types_may_differ_that_it_turns_into_one_another(name, backend):
    layer = recurrent_layer(name, INPUT, HIDDEN, backend=backend)
    with torch.autocast("cpu", BF16):
        for x in (X, X.bfloat16()):
            for dtype in (FP32, BF16):
                output, state = layer(x, _state(layer, dtype))
                assert output.isfinite().all()
                layer(x, state)
        with pytest.raises(ShapeError, match=r"type torch\.float64"):
            layer(X.double())
        with pytest.raises(ShapeError, match=r"The state's h is of the type torch\.float64"):
            layer(X, _state(layer, FP64))
        with pytest.raises(ShapeError, match=r"type torch\.int64"):
            layer(X.long())


def test_a_weight_that_is_computed_tells_its_type():
    class Same(nn.Module):
        def forward(self, weight):
            return weight

    layer = LSTM(INPUT, HIDDEN)
    parametrize.register_parametrization(layer, "weight_ih_l0", Same())
    layer(X)
    with pytest.raises(ShapeError, match=r"the layer's weights are of torch\.float32"):
        layer(X.double())


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        (torch.ones(BATCH, dtype=torch.int64, device="meta"), "The lengths are on meta, the input on cpu. Give them"),
        ("ab", "The lengths are a str; give a tensor of whole numbers"),
        ({1: 2}, "The lengths are a dict"),
        ([1, None], "The lengths are a list"),
        ([1, 2, 3], r"one a sequence, \(2,\)"),
        (torch.ones(BATCH, dtype=torch.complex64), "give whole numbers"),
    ],
)
def test_lengths_that_are_none(lengths, words):
    for layer, x in ((LSTM(INPUT, HIDDEN), X), (ConvLSTM2d(INPUT, HIDDEN), MAPS)):
        with pytest.raises(ShapeError, match=words):
            layer(x, lengths=lengths)


def test_lengths_come_on_the_cpu_as_in_torch():
    meta = torch.device("meta")
    assert _lengths.check_lengths(torch.tensor([1, 2]), TIME, BATCH, meta).device == meta
    layer = LSTM(INPUT, HIDDEN)
    expected = layer(X, lengths=torch.tensor([4, 2]))[0]
    for lengths in ([4, 2], np.array([4, 2]), torch.tensor([4, 2], dtype=torch.int32)):
        torch.testing.assert_close(layer(X, lengths=lengths)[0], expected)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hidden_size": 5.5}, r"hidden_size=5\.5 must be a whole number of at least 1"),
        ({"hidden_size": "5"}, "hidden_size='5' must be a whole number of at least 1"),
        ({"hidden_size": True}, "hidden_size=True must be a whole number"),
        ({"input_size": None}, "input_size=None must be a whole number"),
        ({"num_layers": 1.0, "input_size": 0}, r"input_size=0 must .* num_layers=1\.0 must be a whole number"),
        ({"batch_first": 0.5}, r"batch_first=0\.5 must be True or False"),
        ({"bias": None}, "bias=None must be True or False"),
    ],
)
@pytest.mark.parametrize("layer", [LSTM, ConvLSTM1d])
def test_sizes_and_flags(layer, options, words):
    with pytest.raises(UsageError, match=words):
        layer(**{"input_size": INPUT, "hidden_size": HIDDEN, **options})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bidirectional": "no"}, "bidirectional='no' must be True or False"),
        ({"dropout": "0.5"}, r"dropout='0\.5' must be a number of at least 0 and below 1"),
        ({"zoneout": None}, "zoneout=None must be a number"),
        ({"weight_dropout": float("nan")}, "weight_dropout=nan must be a number"),
        ({"backend": None}, "no backend named 'None'"),
    ],
)
def test_options_of_another_type(options, words):
    with pytest.raises(UsageError, match=words):
        LSTM(INPUT, HIDDEN, **options)


@pytest.mark.parametrize("cell", [None, 5, ["lstm"]])
def test_a_cell_is_a_name(cell):
    with pytest.raises(UsageError, match="There is no cell named"):
        recurrent_layer(cell, INPUT, HIDDEN)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kernel_size": (3, 3)}, r"kernel_size=\(3, 3\) must be odd.* one whole number for all dimensions"),
        ({"kernel_size": 3.0}, r"kernel_size=3\.0 must be odd"),
        ({"map_size": 4}, "map_size=4 must be 2 whole numbers"),
        ({"map_size": (4, 4.0)}, r"map_size=\(4, 4\.0\) must be 2 whole numbers"),
        ({"map_size": (4, 0), "kernel_size": 2}, r"kernel_size=2 must .* map_size=\(4, 0\) must be 2 whole numbers"),
    ],
)
def test_places_of_a_conv_lstm(options, words):
    with pytest.raises(UsageError, match=words):
        ConvLSTM2d(INPUT, HIDDEN, **options)


def test_the_size_of_maps_may_be_a_list():
    torch.manual_seed(0)
    layer = ConvLSTM2d(INPUT, HIDDEN, map_size=[4, 4])
    torch.manual_seed(0)
    other = ConvLSTM2d(INPUT, HIDDEN, map_size=(4, 4))
    assert layer.map_size == (4, 4)
    torch.testing.assert_close(layer(MAPS)[0], other(MAPS)[0])


@pytest.mark.parametrize(
    ("x", "state", "words"),
    [
        (MAPS, (MAP_STATE,), "The state has 1 tensors; the cell 'convlstm2d' takes h, c"),
        (MAPS, (MAP_STATE,) * 3, "The state has 3 tensors"),
        (MAPS, MAP_STATE, "The state has 1 tensors"),
        (MAPS, 7, "The state is a int"),
        (MAPS, (MAP_STATE, MAP_STATE.to("meta")), "The state's c is on meta, the input on cpu"),
        (
            MAPS,
            (MAP_STATE.double(), MAP_STATE),
            "The state's h is of the type torch.float64, the input of torch.float32",
        ),
        (MAPS.double(), None, "The input is of the type torch.float64, the layer's weights are of torch.float32"),
        (MAPS.long(), None, "The input is of the type torch.int64"),
        (MAPS.to("meta"), None, "The input is on meta, the layer on cpu"),
        (MAPS.tolist(), None, "The input is a list"),
    ],
)
def test_what_does_not_fit_a_conv_lstm(x, state, words):
    with pytest.raises(ShapeError, match=words):
        ConvLSTM2d(INPUT, HIDDEN)(x, state)
