"""The chunked cross entropy against torch's own over all logits."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from nlp_lstm.cells.engine import _products
from nlp_lstm.models import IGNORED, _cross_entropy, cross_entropy, token_losses

TOKENS, SIZE, VOCAB = 37, 6, 23


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    """Make chunks of 8 tokens and products of 16, so that 37 tokens are several of each and a rest."""
    monkeypatch.setattr(_cross_entropy, "_chunk_rows", lambda vocab_size: 8)
    monkeypatch.setattr(_cross_entropy, "_product_rows", lambda vocab_size: 16)


def _draw(dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(TOKENS, SIZE, generator=generator, dtype=dtype, requires_grad=True)
    weight = torch.randn(VOCAB, SIZE, generator=generator, dtype=dtype, requires_grad=True)
    bias = torch.randn(VOCAB, generator=generator, dtype=dtype, requires_grad=True)
    targets = torch.randint(VOCAB, (TOKENS,), generator=generator)
    targets[::5] = IGNORED
    return hidden, weight, bias, targets


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("gradient", [1.0, 0.3])
def test_value_and_gradients_equal_torch(with_bias, gradient):
    hidden, weight, bias, targets = _draw()
    inputs = [hidden, weight, *([bias] if with_bias else [])]
    expected = F.cross_entropy(F.linear(*inputs), targets, reduction="sum") / 7
    value = cross_entropy(hidden, weight, bias if with_bias else None, targets, scale=1 / 7)
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-5)
    for one, other in zip(
        torch.autograd.grad(value * gradient, inputs), torch.autograd.grad(expected * gradient, inputs), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("onednn", [False, True])
def test_fp32_through_either_product(monkeypatch, onednn):
    if not onednn:
        monkeypatch.setattr(_products, "_onednn", lambda: False)
    monkeypatch.setattr(_products, "_WORTH_IT", 1)
    hidden, weight, bias, targets = _draw(torch.float32)
    inputs = [hidden, weight, bias]
    expected = F.cross_entropy(F.linear(*inputs), targets, reduction="sum")
    value = cross_entropy(*inputs, targets)
    torch.testing.assert_close(value, expected)
    for one, other in zip(torch.autograd.grad(value, inputs), torch.autograd.grad(expected, inputs), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_bf16_products_stay_within_one_percent():
    hidden, weight, bias, targets = _draw(torch.float32)
    inputs = [hidden, weight, bias]
    expected = cross_entropy(*inputs, targets)
    fast = cross_entropy(*inputs, targets, fast=True)
    assert abs(float(fast.detach() / expected.detach()) - 1) < 0.01
    for one, other in zip(torch.autograd.grad(fast, inputs), torch.autograd.grad(expected, inputs), strict=True):
        assert one.dtype == torch.float32
        assert float((one - other).norm() / other.norm()) < 0.01


@pytest.mark.parametrize("fast", [False, True])
def test_token_losses_are_the_parts_of_the_sum(fast):
    hidden, weight, bias, targets = _draw(torch.float32)
    losses = token_losses(hidden, weight, bias, targets, fast)
    expected = F.cross_entropy(F.linear(hidden, weight, bias), targets, reduction="none")
    tolerance = 0.05 if fast else 1e-5
    torch.testing.assert_close(losses, expected.detach(), rtol=tolerance, atol=tolerance)
    assert (losses[targets == IGNORED] == 0).all()


def test_a_probability_that_underflows_still_costs_its_nats():
    hidden = torch.tensor([[500.0]])
    weight = torch.tensor([[1.0], [-1.0]])
    value = cross_entropy(hidden, weight, None, torch.tensor([1]))
    assert float(value) == pytest.approx(1000.0)
    assert float(token_losses(hidden, weight, None, torch.tensor([1]))) == pytest.approx(1000.0)


def test_a_uniform_model_costs_log_of_the_vocabulary():
    value = cross_entropy(torch.ones(5, 2), torch.zeros(VOCAB, 2), None, torch.arange(5), scale=1 / 5)
    assert float(value) == pytest.approx(torch.tensor(VOCAB).log().item())


def test_memory_holds_a_chunk_of_logits_and_not_all():
    # 4,000 tokens times 2,000 words in fp32 are 32 MB; chunks of 8 tokens hold 64 kB.
    from torch.profiler import ProfilerActivity, profile

    hidden, weight = torch.randn(4000, 4, requires_grad=True), torch.randn(2000, 4, requires_grad=True)
    targets = torch.randint(2000, (4000,))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as trace:
        cross_entropy(hidden, weight, None, targets).backward()
    sizes = [event.self_cpu_memory_usage for event in trace.events()]
    assert max(sizes) < 2_000_000
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as trace:
        F.cross_entropy(hidden @ weight.t(), targets).backward()
    assert max(event.self_cpu_memory_usage for event in trace.events()) >= 32_000_000
