"""Products by another route than torch's own, against torch in float64, with their gradients."""

from __future__ import annotations

import shutil

import pytest
import torch

from nlp_lstm.cells.engine import _products, linear, outer
from nlp_lstm.cells.engine._native import multiplies_half

SHAPES = [((6, 5, 17), 33), ((300, 40), 70), ((1, 129), 64), ((257, 3), 1), ((130, 700), 20)]


@pytest.fixture(autouse=True)
def _always(monkeypatch):
    monkeypatch.setattr(_products, "_WORTH_IT", 0)


def draw(shape, columns, dtype=torch.float32):
    return [(torch.randn(size) / 4).to(dtype).requires_grad_() for size in (shape, (columns, shape[-1]), (columns,))]


def run(x, weight, bias, exact=False):
    leaves = [x, weight, *([] if bias is None else [bias])]
    if exact:
        leaves = [one.detach().double().requires_grad_() for one in leaves]
        product = torch.nn.functional.linear(*leaves)
    else:
        product = linear(x, weight, bias)
    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(product.shape, generator=generator)
    return [product, *torch.autograd.grad(product, leaves, gradient.to(product.dtype))]


@pytest.mark.parametrize(("shape", "columns"), SHAPES)
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("native", [False, True])
def test_fp32(shape, columns, biased, native, monkeypatch):
    if not native:
        monkeypatch.setattr(_products, "time_loop", lambda: None)
    elif shutil.which("g++") is None:
        pytest.skip("no C++ compiler here")
    x, weight, bias = draw(shape, columns)
    found = run(x, weight, bias if biased else None)
    assert type(found[0].grad_fn).__name__ == "_LinearBackward"
    for one, other in zip(found, run(x, weight, bias if biased else None, exact=True), strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-5 * float(other.detach().abs().max()))
    with torch.no_grad():
        torch.testing.assert_close(linear(x, weight, bias), torch.nn.functional.linear(x, weight, bias))


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler here")
@pytest.mark.parametrize(("shape", "columns"), SHAPES)
@pytest.mark.parametrize("half_input", [False, True])
def test_bf16_under_autocast_is_no_worse_than_torchs(shape, columns, half_input):
    if not multiplies_half():
        pytest.skip("no bfloat16 products here")
    x, weight, bias = draw(shape, columns)
    x = x.detach().bfloat16().requires_grad_() if half_input else x
    exact = run(x, weight, bias, exact=True)
    with torch.autocast("cpu", torch.bfloat16):
        found = run(x, weight, bias)
        product = torch.nn.functional.linear(x, weight, bias)
    assert type(found[0].grad_fn).__name__ == "_LinearBackward"
    assert found[0].dtype == product.dtype == torch.bfloat16
    assert [one.dtype for one in found[1:]] == [x.dtype, torch.float32, torch.float32]
    assert (found[0] - exact[0]).norm() <= 1.02 * (product - exact[0]).norm()
    for one, other in zip(found, exact, strict=True):
        assert (one - other).norm() <= 0.01 * other.norm()


def test_rows_that_are_not_side_by_side():
    x, weight, bias = draw((6, 5, 16), 8)
    turned = x.detach().transpose(0, 1).contiguous().transpose(0, 1).requires_grad_()
    for one, other in zip(run(turned, weight, bias), run(x, weight, bias), strict=True):
        torch.testing.assert_close(one, other)


def test_rows_with_gaps_between_them():
    x, weight, bias = draw((6, 16), 8)
    other = torch.randn(6, 3)
    product = torch.cat([linear(x, weight, bias), other], dim=-1)  # its gradient comes back as a part of wider rows
    found = torch.autograd.grad(product.sin().sum(), [x, weight, bias])
    expected = torch.autograd.grad(torch.nn.functional.linear(x, weight, bias).sin().sum(), [x, weight, bias])
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two)
    wide = torch.randn(6, 20)
    torch.testing.assert_close(outer(wide[:, :9], wide[:, 4:]), wide[:, :9].t() @ wide[:, 4:])
    with torch.no_grad():
        torch.testing.assert_close(linear(wide[:, :16], weight, bias), wide[:, :16] @ weight.t() + bias)


def test_second_derivatives_are_torchs():
    leaves = draw((4, 6), 5, torch.float64)
    single = [one.detach().float().requires_grad_() for one in leaves]
    found = []
    for function, (x, weight, bias) in ((torch.nn.functional.linear, leaves), (linear, single)):
        product = function(x, weight, bias)
        gradient = torch.autograd.grad(product.pow(3).sum(), [x, weight], create_graph=True)
        found.append(torch.autograd.grad(sum(one.square().sum() for one in gradient), [x, weight, bias]))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one.float(), other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_outer(dtype):
    x, y = torch.randn(20, 7).to(dtype), torch.randn(20, 9).to(dtype)
    torch.testing.assert_close(outer(x, y), x.t() @ y)


def test_what_has_no_other_route_goes_torchs():
    x, weight, bias = draw((4, 6), 5, torch.float64)
    assert torch.equal(linear(x, weight, bias), torch.nn.functional.linear(x, weight, bias))
    assert type(linear(x, weight, bias).grad_fn).__name__ == "AddmmBackward0"


@pytest.mark.parametrize("work", [1 << 17, 1 << 19, 1 << 23])
@pytest.mark.parametrize("wanted", ["x", "weight", "bias"])
def test_each_gradient_alone_is_right_at_every_size(work, wanted, monkeypatch):
    monkeypatch.setattr(_products, "_WORTH_IT", 1 << 18)
    tensors = {"x": torch.randn(work >> 12, 64), "weight": torch.randn(64, 64), "bias": torch.randn(64)}
    tensors[wanted].requires_grad_()
    upstream = torch.randn(work >> 12, 64)
    (gradient,) = torch.autograd.grad(linear(**tensors), tensors[wanted], upstream)
    x, weight = tensors["x"].detach().double(), tensors["weight"].detach().double()
    right = {"x": upstream.double() @ weight, "weight": upstream.double().t() @ x, "bias": upstream.double().sum(0)}
    assert torch.allclose(gradient.double(), right[wanted], rtol=1e-4, atol=1e-5 * float(right[wanted].abs().max()))


@pytest.mark.parametrize(("width", "bias"), [(600, 512), (400, 512), (512, 3)])
def test_sizes_that_do_not_fit_are_torchs_error(width, bias, monkeypatch):
    monkeypatch.setattr(_products, "_WORTH_IT", 1 << 18)
    weight = torch.zeros(512, 512, requires_grad=True)
    with pytest.raises(RuntimeError):
        linear(torch.zeros(64, width), weight, torch.zeros(bias))


def test_a_bias_of_one_number_is_spread_as_torch_does(monkeypatch):
    monkeypatch.setattr(_products, "_WORTH_IT", 1 << 18)
    x, weight, bias = torch.randn(64, 512), torch.randn(512, 512, requires_grad=True), torch.randn(1)
    assert torch.allclose(linear(x, weight, bias), torch.nn.functional.linear(x, weight, bias), atol=1e-3)
