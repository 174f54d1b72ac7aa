"""ConvLSTM against a NumPy reading, one place of the map at a time, and against the LSTM that it is on one place."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch

from nlp_lstm.cells import LSTM, ConvLSTM1d, ConvLSTM2d
from nlp_lstm.errors import ShapeError, UsageError

LAYERS = {1: ConvLSTM1d, 2: ConvLSTM2d}
MAPS = {1: (5,), 2: (4, 3)}


def _layer(dimensions, **options):
    torch.manual_seed(0)
    return LAYERS[dimensions](2, 3, dtype=torch.float64, **options)


def _input(dimensions, time=4, batch=3):
    return torch.randn(time, batch, 2, *MAPS[dimensions], dtype=torch.float64)


def _convolved(x, kernel):
    """Sum over the kernel's places of its matrix there times the neighbour there, zero outside the map."""
    batch, _, *size = x.shape
    half = kernel.shape[-1] // 2
    out = np.zeros((batch, kernel.shape[0], *size))
    for place in itertools.product(*map(range, size)):
        for offset in itertools.product(range(kernel.shape[-1]), repeat=len(size)):
            neighbour = tuple(p + o - half for p, o in zip(place, offset, strict=True))
            if all(0 <= n < s for n, s in zip(neighbour, size, strict=True)):
                out[(slice(None), slice(None), *place)] += (
                    x[(slice(None), slice(None), *neighbour)] @ kernel[(slice(None), slice(None), *offset)].T
                )
    return out


def _expected(layer, x):
    weights = {name.removesuffix("_l0"): value.detach().numpy() for name, value in layer.named_parameters()}
    size = layer.hidden_size
    h = c = np.zeros((x.shape[1], size, *x.shape[3:]))
    outputs = []
    for one in x.numpy():
        rows = _convolved(one, weights["weight_ih"]) + _convolved(h, weights["weight_hh"])
        if layer.bias:
            rows = rows + weights["bias_ih"].reshape(1, -1, *[1] * (x.dim() - 3))
        i, f, g, o = np.split(rows, 4, axis=1)
        if layer.map_size:
            i, f = i + weights["weight_ci"] * c, f + weights["weight_cf"] * c
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        if layer.map_size:
            o = o + weights["weight_co"] * c
        h = np.tanh(c) / (1 + np.exp(-o))
        outputs.append(h)
    return np.stack(outputs), h, c


@pytest.mark.parametrize("dimensions", LAYERS)
@pytest.mark.parametrize(("kernel_size", "bias", "peepholes"), [(3, True, False), (3, True, True), (1, False, True)])
def test_equals_the_numpy_reading(dimensions, kernel_size, bias, peepholes):
    layer = _layer(dimensions, kernel_size=kernel_size, bias=bias, map_size=MAPS[dimensions] if peepholes else None)
    x = _input(dimensions)
    output, (h, c) = layer(x)
    for found, expected in zip((output, h[0], c[0]), _expected(layer, x), strict=True):
        np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("dimensions", LAYERS)
def test_on_one_place_it_is_an_lstm(dimensions):
    layer, lstm = _layer(dimensions, kernel_size=1, num_layers=2), LSTM(2, 3, 2, dtype=torch.float64)
    weights = {
        name: value.flatten(2).squeeze(-1) if value.dim() > 2 else value for name, value in layer.state_dict().items()
    }
    lstm.load_state_dict({f"bias_hh_l{n}": torch.zeros(12, dtype=torch.float64) for n in (0, 1)} | weights)
    x = torch.randn(6, 3, 2, dtype=torch.float64)
    output, (h, c) = layer(x[(..., *[None] * dimensions)])
    expected, (h_expected, c_expected) = lstm(x)
    for found, one in ((output, expected), (h, h_expected), (c, c_expected)):
        torch.testing.assert_close(found.flatten(2), one)


@pytest.mark.parametrize("dimensions", LAYERS)
def test_gradient_equals_finite_differences(dimensions):
    layer = _layer(dimensions, map_size=MAPS[dimensions])
    x = _input(dimensions, time=2, batch=1).requires_grad_()
    names = [name for name, _ in layer.named_parameters()]

    def run(x, *values):
        output, (_, c) = torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))
        return output, c

    assert torch.autograd.gradcheck(run, [x, *layer.parameters()], fast_mode=True)


@pytest.mark.parametrize("dimensions", LAYERS)
def test_padding_changes_nothing_and_steps_make_the_whole(dimensions):
    layer = _layer(dimensions, num_layers=2, map_size=MAPS[dimensions])
    x = _input(dimensions)
    lengths = torch.tensor([2, 4, 1])
    padded = x.clone()
    for index, length in enumerate(lengths):
        padded[length:, index] = float("nan")
    output, state = layer(padded, lengths=lengths)
    whole, whole_state = layer(x)
    for index, length in enumerate(lengths):
        alone, end = layer(x[:length, index : index + 1])
        torch.testing.assert_close(output[:length, index], alone[:, 0])
        assert (output[length:, index] == 0).all()
        torch.testing.assert_close([one[:, index] for one in state], [one[:, 0] for one in end])
    first, middle = layer(x[:1])
    rest, end = layer(x[1:], middle)
    torch.testing.assert_close(torch.cat([first, rest]), whole)
    torch.testing.assert_close(end, whole_state)


def test_batch_first_copies_and_types():
    layer, turned = _layer(2), _layer(2, batch_first=True)
    x = _input(2)
    torch.testing.assert_close(turned(x.transpose(0, 1))[0].transpose(0, 1), layer(x)[0])
    torch.testing.assert_close(copy.deepcopy(layer)(x)[0], layer(x)[0])
    assert layer.float()(x.float())[0].dtype == torch.float32
    bound = (3 * 9) ** -0.5
    assert all(float(parameter.detach().abs().max()) <= bound for parameter in layer.parameters())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kernel_size": 2}, "kernel_size=2 must be odd"),
        ({"num_layers": 0}, "num_layers=0 must be a whole number of at least 1"),
        ({"map_size": (4,)}, r"map_size=\(4,\) must be 2 whole numbers"),
    ],
)
def test_options_out_of_range(options, words):
    with pytest.raises(UsageError, match=words):
        _layer(2, **options)


@pytest.mark.parametrize(
    ("x", "state", "words"),
    [
        (torch.zeros(4, 3, 2, 5), None, r"4 dimensions; this layer takes \(time, batch, channels, height, width\)"),
        (torch.zeros(4, 3, 7, 4, 3), None, "7 channels; this layer was built with 2"),
        (torch.zeros(0, 3, 2, 4, 3), None, "empty"),
        (torch.zeros(4, 3, 2, 4, 4), None, r"\(4, 4\); this layer was built with map_size=\(4, 3\)"),
        (
            torch.zeros(4, 3, 2, 4, 3),
            (torch.zeros(1, 3, 3, 4, 4),) * 2,
            r"The state's h has the shape \(1, 3, 3, 4, 4\)",
        ),
    ],
)
def test_what_does_not_fit(x, state, words):
    with pytest.raises(ShapeError, match=words):
        _layer(2, map_size=(4, 3)).float()(x, state)
    with pytest.raises(ShapeError, match=r"takes \(time, batch, channels, length\)"):
        _layer(1).float()(torch.zeros(4, 2, 5))


@pytest.mark.parametrize("dimensions", LAYERS)
def test_autocast_multiplies_in_bf16_and_keeps_states_in_fp32(dimensions):
    layer = _layer(dimensions, map_size=MAPS[dimensions])
    x = _input(dimensions)
    exact = [one.detach() for one in (layer(x)[0], *layer(x)[1])]
    layer.float()
    with torch.autocast("cpu", torch.bfloat16):
        output, state = layer(x.float())
        layer(x.float(), state)
    for found, one in zip((output, *state), exact, strict=True):
        assert found.dtype == torch.float32
        assert not torch.allclose(found.double(), one, atol=1e-6)  # its products are in bf16
        # bf16 keeps 8 bits: products are off by up to 2^-8 of their size, at each of four steps.
        assert float((found.detach().double() - one).abs().max()) < 0.05 * max(1.0, float(one.abs().max()))
    (output.sum() + state[1].sum()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())


@pytest.mark.parametrize("dimensions", LAYERS)
def test_a_layer_in_bf16_is_near_one_in_fp64(dimensions):
    layer = _layer(dimensions)
    x = _input(dimensions)
    exact = layer(x)[0].detach()
    half, state = layer.bfloat16()(x.bfloat16())
    assert half.dtype == state[1].dtype == torch.bfloat16
    assert float((half.detach().double() - exact).abs().max()) < 0.08 * max(1.0, float(exact.abs().max()))


def test_a_replica_that_has_no_parameters_of_its_own_runs():
    layer = ConvLSTM1d(2, 3, 3)
    x = torch.randn(4, 1, 2, 5)
    replica = layer._replicate_for_data_parallel()  # what DataParallel makes, and then sets tensors on
    for name, parameter in layer.named_parameters():
        setattr(replica, name, parameter.detach())
    assert list(replica.parameters()) == []
    torch.testing.assert_close(replica(x)[0], layer(x)[0])
