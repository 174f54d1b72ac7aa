"""The gradient of a tied table, made in one place, against the one that torch adds up."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from nlp_lstm.models import LanguageModel, LanguageModelOptions

VOCAB = 11


@pytest.mark.parametrize("output", ["full", "sampled"])
@pytest.mark.parametrize("embedding_dropout", [0.0, 0.5])
def test_a_tied_models_gradients_equal_those_of_all_logits(output, embedding_dropout):
    options = LanguageModelOptions(
        embedding_size=6,
        hidden_size=6,
        tied=True,
        output=output,
        output_samples=VOCAB,
        embedding_dropout=embedding_dropout,
    )
    torch.manual_seed(0)
    model = LanguageModel(VOCAB, options)
    ids, targets = torch.randint(VOCAB, (3, 7)), torch.randint(VOCAB, (3, 7))
    parameters = dict(model.named_parameters())

    torch.manual_seed(1)  # of the dropped words
    logits, _ = model(ids)
    expected = torch.autograd.grad(F.cross_entropy(logits.flatten(0, 1), targets.flatten()), parameters.values())
    torch.manual_seed(1)
    loss, _ = model.loss(ids, targets, scale=1 / targets.numel())
    given = torch.autograd.grad(loss, parameters.values())
    for one, other in zip(given, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_gradients_of_several_losses_add_up():
    torch.manual_seed(0)
    model = LanguageModel(VOCAB, LanguageModelOptions(embedding_size=6, hidden_size=6, tied=True))
    batches = [(torch.randint(VOCAB, (2, 5)), torch.randint(VOCAB, (2, 5))) for _ in range(2)]
    alone = []
    for ids, targets in batches:
        model.loss(ids, targets)[0].backward()
        alone.append(model.embedding.grad)
        model.embedding.grad = None
    sum(model.loss(ids, targets)[0] for ids, targets in batches).backward()
    torch.testing.assert_close(model.embedding.grad, alone[0] + alone[1])


def test_an_embedding_that_is_not_trained_needs_no_gradient():
    model = LanguageModel(VOCAB, LanguageModelOptions(embedding_size=6, hidden_size=6, tied=True))
    model.embedding.requires_grad_(False)
    model.loss(torch.zeros(2, 5, dtype=torch.int64), torch.ones(2, 5, dtype=torch.int64))[0].backward()
    assert model.embedding.grad is None
    assert model.output.bias.grad is not None
