"""Which way a layer's call takes, and that a single step and a state that begins anew are the same by every way."""

from __future__ import annotations

import shutil

import pytest
import torch

from nlp_lstm.cells import CELLS, _layer, _route, recurrent_layer
from nlp_lstm.cells.engine import fused_available, run_fused

SIZE, HIDDEN = 3, 6
BF16, FP16, FP32, FP64 = torch.bfloat16, torch.float16, torch.float32, torch.float64
HALF_PRODUCTS = "by the engine where it multiplies bfloat16, else by the kernel"
compiled_only = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler here")


@compiled_only
@pytest.mark.parametrize(
    ("name", "dtype", "autocast", "steps", "gradient", "way"),
    [
        ("lstm", FP32, None, 40, True, "run_kernel"),
        ("lstm", FP32, None, 2, True, "run_kernel"),
        ("lstm", FP32, BF16, 40, True, HALF_PRODUCTS),
        ("lstm", FP32, FP16, 40, True, "run_fused"),
        ("lstm", FP64, None, 40, True, "run_kernel"),
        ("gru", FP32, None, 40, True, "run_fused"),
        ("gru", FP32, None, 40, False, "run_fused"),
        ("gru", FP32, None, 4, False, "run_kernel"),
        ("gru", FP32, None, 1, False, "run_cell"),
        ("gru", FP64, None, 40, True, "run_kernel"),
        ("gru", BF16, None, 40, True, "run_kernel"),
        ("peephole", FP32, None, 40, True, "run_fused"),
        ("peephole", FP64, None, 40, True, "run_fused"),
        ("peephole", FP32, None, 4, False, "run_cell"),
    ],
)
def test_auto_takes_the_quickest_way(name, dtype, autocast, steps, gradient, way, monkeypatch):
    taken = []

    def watch(module, function):
        original = getattr(module, function)
        monkeypatch.setattr(
            module, function, lambda *arguments: taken.append(original.__name__) or original(*arguments)
        )

    watch(_layer, "run_kernel")
    watch(_route, "run_fused")
    watch(_route, "run_cell")
    layer, x = recurrent_layer(name, SIZE, HIDDEN, dtype=dtype), torch.randn(steps, 2, SIZE, dtype=dtype)
    with torch.set_grad_enabled(gradient), torch.autocast("cpu", autocast, enabled=autocast is not None):
        if way == HALF_PRODUCTS:
            way = "run_fused" if fused_available(layer.cell, x) else "run_kernel"
        layer(x)
    assert taken == [way]


@compiled_only
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("strided", [False, True])
def test_a_step_of_a_layer_equals_its_equations(name, strided, monkeypatch):
    torch.manual_seed(0)
    layer = recurrent_layer(name, SIZE, HIDDEN, num_layers=2, batch_first=True).eval()
    slow = recurrent_layer(name, SIZE, HIDDEN, num_layers=2, batch_first=True, backend="loop").eval()
    slow.load_state_dict(layer.state_dict())
    x = torch.randn(2, SIZE, 5).transpose(1, 2) if strided else torch.randn(2, 5, SIZE)
    assert x.is_contiguous() != strided
    with torch.no_grad():
        _, state = slow(x[:, :3])
        expected, end = slow(x[:, 3:4], state)
        weights = layer._weights(0)
        start = tuple(torch.zeros(2, width) for width in layer.cell.state_sizes(HIDDEN).values())
        run_fused(layer.cell, x.transpose(0, 1).contiguous(), start, None, weights, False)  # compiles it
        found, found_end = layer(x[:, 3:4], state)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    for one, other in zip(found_end, end, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@compiled_only
def test_a_step_of_a_layer_runs_what_is_compiled(monkeypatch):
    layer, state = recurrent_layer("peephole", SIZE, HIDDEN).eval(), (torch.zeros(1, 1, HIDDEN),) * 2
    layer(torch.randn(40, 2, SIZE))
    monkeypatch.setattr(type(layer.cell), "step", None)
    with torch.no_grad():
        layer(torch.randn(1, 1, SIZE), state)


@pytest.mark.parametrize("name", ["gru", "lstm", "slstm", "qrnn"])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}, {"learned_state": True}])
def test_rows_of_a_state_begin_anew(name, options):
    torch.manual_seed(0)
    layer = recurrent_layer(name, SIZE, HIDDEN, dtype=FP64, **options)
    with torch.no_grad():
        for key, parameter in layer.named_parameters():
            if "state" in key:
                parameter.copy_(torch.rand_like(parameter) + 0.5)
    x, rows = torch.randn(4, 3, SIZE, dtype=FP64), torch.tensor([True, False, True])
    _, state = layer(x)
    found, _ = layer(x, layer.restart(state, rows))
    anew, carried = layer(x)[0], layer(x, state)[0]
    torch.testing.assert_close(found, torch.where(rows[:, None], anew, carried))
    assert not torch.allclose(anew, carried)
