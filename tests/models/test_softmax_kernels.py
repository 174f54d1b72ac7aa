"""The compiled cross entropy against torch's, in double precision, on the same factors."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from nlp_lstm.models import IGNORED, _cross_entropy, _softmax, cross_entropy, token_losses

SHAPES = [(1, 5, 3), (37, 100, 6), (64, 64, 32), (65, 1000, 33), (301, 130, 20)]
"""Tokens, words and features: below, at and above whole tiles and vectors, odd and even."""


@pytest.fixture(autouse=True)
def _compiled(monkeypatch):
    monkeypatch.setattr(_softmax, "_WORTH_COMPILING", 0)
    if _softmax._operators() is None:
        pytest.skip("no C++ compiler here")


def _draw(tokens, words, size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(tokens, size, generator=generator).bfloat16().float().requires_grad_()
    weight = torch.randn(words, size, generator=generator).bfloat16().float().requires_grad_()
    bias = torch.randn(words, generator=generator, requires_grad=True)
    targets = torch.randint(words, (tokens,), generator=generator)
    targets[1::5] = IGNORED
    return hidden, weight, bias, targets


def _expected(inputs, targets):
    wide = [one.detach().double().requires_grad_() for one in inputs]
    losses = F.cross_entropy(F.linear(*wide), targets, reduction="none")
    return losses.detach(), torch.autograd.grad(losses.sum() * 0.5, wide)


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_fp32_equals_torch(shape, with_bias, monkeypatch):
    monkeypatch.setattr(_cross_entropy, "_chunk_rows", lambda words: 24)
    hidden, weight, bias, targets = _draw(*shape)
    inputs = [hidden, weight, *([bias] if with_bias else [])]
    losses, gradients = _expected(inputs, targets)
    value = cross_entropy(hidden, weight, bias if with_bias else None, targets, 0.5)
    assert float(value.detach()) == pytest.approx(0.5 * float(losses.sum()), rel=1e-6)
    for one, other in zip(torch.autograd.grad(value, inputs), gradients, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-5)
    found = token_losses(hidden, weight, bias if with_bias else None, targets)
    torch.testing.assert_close(found.double(), losses, rtol=1e-5, atol=1e-5)


def _half_kernel():
    kernel = _softmax._operators()
    if not kernel.multiplies_half():
        pytest.skip("this processor has no products of bf16")
    return kernel


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_half_equals_torch_but_for_the_rounding_of_errors(shape, with_bias):
    kernel = _half_kernel()
    hidden, weight, bias, targets = _draw(*shape)  # factors that bf16 holds exactly: the losses have fp32's digits
    inputs = [hidden, weight, *([bias] if with_bias else [])]
    losses, gradients = _expected(inputs, targets)
    found, *made = kernel.half_cross_entropy(*(one.detach() for one in inputs), *[None] * (not with_bias), targets, 0.5)
    torch.testing.assert_close(found.double(), losses, rtol=1e-5, atol=1e-5)
    for one, other in zip(made, gradients, strict=False):
        assert float((one - other).norm()) <= 0.004 * float(other.norm())  # bf16 has 8 bits
    assert (made[0][targets == IGNORED] == 0).all()


def test_half_takes_turns_when_there_are_many_tokens():
    kernel = _half_kernel()
    tokens, words = 3000, 20_000  # the errors of all would be 60 million, kMostErrors is 32
    hidden, weight, bias, targets = (one.detach() for one in _draw(tokens, words, 2))
    losses, *made = kernel.half_cross_entropy(hidden, weight, bias, targets, 1.0)
    parts = [
        kernel.half_cross_entropy(hidden[part], weight, bias, targets[part], 1.0)
        for part in (slice(0, 1000), slice(1000, 2000), slice(2000, 3000))
    ]
    torch.testing.assert_close(losses, torch.cat([part[0] for part in parts]))
    torch.testing.assert_close(made[0], torch.cat([part[1] for part in parts]), rtol=1e-2, atol=1e-4)
    for index in (1, 2):
        torch.testing.assert_close(made[index], sum(part[index + 1] for part in parts), rtol=1e-2, atol=1e-3)


def test_half_is_what_cross_entropy_takes_under_autocast():
    _half_kernel()
    hidden, weight, bias, targets = _draw(37, 100, 6)
    _, gradients = _expected([hidden, weight, bias], targets)
    value = cross_entropy(hidden.bfloat16(), weight, bias, targets, 0.5, fast=True)
    for one, other in zip(torch.autograd.grad(3 * value, [hidden, weight, bias]), gradients, strict=True):
        assert one.dtype == torch.float32
        assert float((one - 3 * other).norm()) <= 0.01 * 3 * float(other.norm())


@pytest.mark.parametrize("fast", [False, True])
def test_a_target_outside_the_vocabulary_is_refused(fast):
    hidden, weight, bias, targets = _draw(8, 10, 4)
    for wrong in (10, -1):
        targets[3] = wrong
        with pytest.raises(IndexError, match=f"Target {wrong} is out of bounds"):
            cross_entropy(hidden, weight, bias, targets, fast=fast)


@pytest.mark.parametrize("fast", [False, True])
def test_what_is_not_a_number_is_not_hidden(fast):
    hidden, weight, bias, targets = _draw(8, 100, 4)
    with torch.no_grad():
        weight[17] = torch.nan
    assert cross_entropy(hidden, weight, bias, targets, fast=fast).isnan()


@pytest.mark.parametrize("fast", [False, True])
def test_large_logits_neither_overflow_nor_underflow(fast):
    hidden = torch.full((2, 2), 512.0)
    weight = torch.zeros(200, 2)
    weight[:2] = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    value = cross_entropy(hidden, weight, None, torch.tensor([0, 1]), fast=fast)
    assert float(value) == pytest.approx(1024.0)


def test_the_gradient_is_given_once():
    hidden, weight, bias, targets = _draw(8, 10, 4)
    value = cross_entropy(hidden, weight, bias, targets)
    value.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="once"):
        value.backward()


def test_a_buffer_made_for_inference_serves_training(monkeypatch):
    monkeypatch.setattr(_cross_entropy, "_kept", _cross_entropy._Kept())
    hidden, weight, bias, targets = _draw(8, 10, 4)
    with torch.inference_mode():
        token_losses(hidden, weight, bias, targets, fast=True)
    monkeypatch.setattr(_cross_entropy, "half_kernel_for", lambda *arguments: None)
    cross_entropy(hidden, weight, bias, targets, fast=True).backward()
    assert hidden.grad is not None


def test_small_problems_and_other_kinds_are_torchs(monkeypatch):
    monkeypatch.setattr(_softmax, "_WORTH_COMPILING", 1000)
    assert _softmax.kernel_for(torch.zeros(10, 4), 99) is None
    assert _softmax.kernel_for(torch.zeros(10, 4), 100) is not None
    assert _softmax.kernel_for(torch.zeros(10, 4, dtype=torch.float64), 100) is None
    assert _softmax.half_kernel_for(torch.zeros(10, 4), torch.zeros(100, 4, dtype=torch.bfloat16)) is None
