"""The sampled cross entropy: exact with all candidates, unbiased under the logarithm with some."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from nlp_lstm.models import IGNORED, LanguageModel, LanguageModelOptions, _sampled

VOCAB, TOKENS, SIZE = 60, 9, 4


@pytest.fixture(autouse=True)
def _few_are_certain(monkeypatch):
    monkeypatch.setattr(_sampled, "ALWAYS", 10)


def _draw(seed=0):
    print(f"seed {seed}")
    torch.manual_seed(seed)
    hidden = torch.randn(TOKENS, SIZE, requires_grad=True)
    weight, bias = torch.randn(VOCAB, SIZE, requires_grad=True), torch.randn(VOCAB, requires_grad=True)
    targets = torch.randint(VOCAB, (TOKENS,))
    targets[2] = IGNORED
    return hidden, weight, bias, targets


def test_with_every_word_a_candidate_it_is_exact():
    hidden, weight, bias, targets = _draw()
    value = _sampled.sampled_cross_entropy(hidden, weight, bias, targets, samples=VOCAB, scale=0.5)
    expected = F.cross_entropy(F.linear(hidden, weight, bias), targets, reduction="sum") * 0.5
    torch.testing.assert_close(value, expected)
    inputs = (hidden, weight, bias)
    for one, other in zip(torch.autograd.grad(value, inputs), torch.autograd.grad(expected, inputs), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_candidates_hold_the_frequent_the_targets_and_as_many_others_as_asked():
    targets = torch.tensor([3, 40, 41, 40, IGNORED])
    ids, weights = _sampled.choose_candidates(targets, VOCAB, samples=12)
    assert len(set(ids.tolist())) == len(ids) == 10 + 2 + 12
    assert set(range(10)) | {40, 41} <= set(ids.tolist())
    assert (weights[:12] == 0).all()
    torch.testing.assert_close(weights[12:], torch.full((12,), 48 / 12).log())
    assert not set(ids[:12].tolist()) & set(ids[12:].tolist())


def test_the_estimate_of_the_softmax_sum_is_unbiased():
    hidden, weight, bias, targets = _draw()
    logits = F.linear(hidden, weight, bias).detach().double()
    draws = 4000
    sums = torch.zeros(draws, TOKENS, dtype=torch.float64)
    for draw in range(draws):
        ids, weights = _sampled.choose_candidates(targets, VOCAB, samples=8)
        sums[draw] = (logits[:, ids] + weights).exp().sum(dim=1)
    errors = (sums.mean(dim=0) - logits.exp().sum(dim=1)) / (sums.std(dim=0) / draws**0.5)
    assert float(errors.abs().max()) < 4.5  # nine normal deviates; beyond 4.5 once in 15,000 runs


def test_a_sampled_model_trains_on_a_sample_and_scores_in_full():
    torch.manual_seed(0)
    options = LanguageModelOptions(embedding_size=4, hidden_size=6, tied=True, output="sampled", output_samples=5)
    model = LanguageModel(VOCAB, options)
    full = LanguageModel(VOCAB, LanguageModelOptions(embedding_size=4, hidden_size=6, tied=True))
    full.load_state_dict(model.state_dict())
    ids, targets = torch.randint(VOCAB, (2, 7)), torch.randint(VOCAB, (2, 7))
    first, second = model.loss(ids, targets)[0], model.loss(ids, targets)[0]
    assert not torch.equal(first, second)
    first.backward()
    assert model.embedding.grad is not None
    assert torch.equal(model.eval().loss(ids, targets)[0], full.eval().loss(ids, targets)[0])
    assert torch.equal(model.token_losses(ids, targets)[0], full.token_losses(ids, targets)[0])
