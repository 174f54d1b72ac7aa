"""The language model against a plain `torch.nn` one, and its dropout against what it promises."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nlp_lstm.cells import CELLS
from nlp_lstm.errors import ShapeError, UsageError
from nlp_lstm.models import IGNORED, LanguageModel, LanguageModelOptions, LockedDropout, detach, embed

VOCAB = 11


def _model(**options):
    torch.manual_seed(0)
    sizes = {"embedding_size": 6, "hidden_size": 8} | options
    return LanguageModel(VOCAB, LanguageModelOptions(**sizes))


def _ids(batch=3, time=5, seed=1):
    return torch.randint(VOCAB, (batch, time), generator=torch.Generator().manual_seed(seed))


def test_equals_a_plain_model_of_torch():
    model = _model(num_layers=2, tied=True)
    first, second = nn.LSTM(6, 8, batch_first=True), nn.LSTM(8, 6, batch_first=True)
    first.load_state_dict(model.layers[0].state_dict())
    second.load_state_dict(model.layers[1].state_dict())
    ids = _ids()
    x, first_state = first(F.embedding(ids, model.embedding))
    x, second_state = second(x)
    logits, state = model(ids)
    torch.testing.assert_close(logits, F.linear(x, model.embedding, model.output.bias))
    for one, other in zip(state, (first_state, second_state), strict=True):
        torch.testing.assert_close(one, other)
    assert model.output.weight is model.embedding
    assert sum(p.numel() for p in model.parameters()) == VOCAB * 6 + VOCAB + sum(
        p.numel() for layer in (first, second) for p in layer.parameters()
    )


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("output", ["full", "adaptive"])
def test_loss_token_losses_and_logits_agree(cell, output):
    model = _model(cell=cell, output=output).eval()
    ids, targets = _ids(), _ids(seed=2)
    targets[0, 1] = IGNORED
    logits, _ = model(ids)
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none", ignore_index=IGNORED)
    losses, _ = model.token_losses(ids, targets)
    torch.testing.assert_close(losses.flatten(), expected.detach())
    loss, _ = model.loss(ids, targets, scale=0.5)
    torch.testing.assert_close(loss, expected.sum() / 2)
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("output", ["full", "adaptive"])
def test_nothing_scored_costs_nothing(output):
    model = _model(output=output)
    targets = torch.full((3, 5), IGNORED)
    assert float(model.loss(_ids(), targets)[0].detach()) == 0
    assert (model.token_losses(_ids(), targets)[0] == 0).all()


def test_adaptive_probabilities_sum_to_one():
    model = LanguageModel(12_000, LanguageModelOptions(embedding_size=4, hidden_size=16, output="adaptive"))
    logits, _ = model.step(torch.tensor([5, 6]))
    torch.testing.assert_close(logits.exp().sum(dim=1), torch.ones(2))


@pytest.mark.parametrize("cell", CELLS)
def test_step_by_step_equals_the_whole(cell):
    model = _model(cell=cell, num_layers=2).eval()
    ids, state = _ids(), None
    whole, end = model(ids)
    for t in range(ids.shape[1]):
        logits, state = model.step(ids[:, t], state)
        torch.testing.assert_close(logits, whole[:, t])
    halves, middle = model(ids[:, :2])
    rest, last = model(ids[:, 2:], middle)
    torch.testing.assert_close(torch.cat([halves, rest], dim=1), whole)
    torch.testing.assert_close(last, end)


def test_detached_state_ends_the_gradient():
    model = _model()
    _, state = model(_ids())
    ((h, c),) = detach(state)
    assert not h.requires_grad
    assert not c.requires_grad
    (state,) = detach(_model(cell="gru")(_ids())[1])
    assert not state.requires_grad


def test_every_dropout_is_on_in_training_and_off_in_evaluation():
    names = ("input_dropout", "hidden_dropout", "output_dropout", "embedding_dropout", "weight_dropout")
    for name in names:
        model = _model(num_layers=2, **{name: 0.5})
        ids = _ids()
        assert not torch.equal(model(ids)[0], model(ids)[0]), name
        model.eval()
        assert torch.equal(model(ids)[0], model(ids)[0]), name


def test_locked_dropout_is_one_mask_for_all_time_steps():
    torch.manual_seed(0)
    dropped = LockedDropout(0.4)(torch.ones(50, 7, 40))
    assert (dropped == dropped[:, :1]).all()
    torch.testing.assert_close(dropped.unique(), torch.tensor([0.0, 1 / 0.6]))
    # 2,000 draws: four standard deviations around the share that is dropped.
    assert float((dropped[:, 0] == 0).double().mean()) == pytest.approx(0.4, abs=4 * math.sqrt(0.24 / 2000))


def test_embedding_dropout_drops_whole_words():
    torch.manual_seed(0)
    weight = torch.rand(200, 5) + 1
    ids = torch.arange(200).repeat(2, 3)
    dropped = embed(ids, weight, 0.3, training=True)
    zero = (dropped == 0).all(dim=-1)
    assert torch.equal(zero, (dropped == 0).any(dim=-1))
    assert torch.equal(zero[0, :200], zero[1, 400:])
    torch.testing.assert_close(dropped[~zero], weight[ids][~zero] / 0.7)
    assert torch.equal(embed(ids, weight, 0.3, training=False), weight[ids])


def test_start_of_the_weights():
    model = _model(hidden_size=16, recurrent_initialization="orthogonal", forget_bias=1.5)
    layer = model.layers[0]
    for block in layer.weight_hh_l0.detach().split(16):
        torch.testing.assert_close(block @ block.t(), torch.eye(16), atol=1e-5, rtol=0)
    bias = (layer.bias_ih_l0 + layer.bias_hh_l0).detach()
    assert (bias[16:32] == 1.5).all()
    assert (bias[:16] == 0).all()
    assert (bias[32:] == 0).all()
    uniform = _model(hidden_size=16, recurrent_initialization="uniform", forget_bias=2.0).layers[0]
    assert float(uniform.weight_hh_l0.detach().abs().max()) <= 1 / 4
    assert ((uniform.bias_ih_l0 + uniform.bias_hh_l0).detach()[16:32] == 2.0).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hidden_size": 0, "num_layers": 0}, "--hidden-size 0 .* --num-layers 0"),
        ({"output_dropout": 1.0}, "--output-dropout 1.0"),
        ({"tied": True, "output": "adaptive"}, "--tied false"),
    ],
)
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(UsageError, match=words):
        LanguageModelOptions(**options)


def test_ids_must_be_a_batch():
    with pytest.raises(ShapeError, match=r"give \(batch, time\)"):
        _model()(torch.zeros(3, dtype=torch.int64))


def test_tables_that_became_two_have_a_gradient_each():
    torch.manual_seed(0)
    tied = _model(tied=True)
    two = _model(tied=True)
    two.load_state_dict({name: one.clone() for name, one in tied.state_dict().items()}, assign=True)
    assert two.output.weight is not two.embedding
    ids, targets = torch.randint(0, 5, (2, 4)), torch.randint(0, 5, (2, 4))
    for model in (tied, two):
        model.loss(ids, targets)[0].backward()
    assert torch.allclose(two.output.weight.grad + two.embedding.grad, tied.embedding.grad, atol=1e-6)
    assert float(two.output.weight.grad.abs().max()) > 0
