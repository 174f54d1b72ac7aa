"""The gradient's way back through the states, against Jacobians written out by hand and against autograd over texts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nlp_lstm.cells import CELLS
from nlp_lstm.errors import ShapeError, UsageError
from nlp_lstm.models import (
    CachedLanguageModel,
    CacheSettings,
    LanguageModel,
    LanguageModelOptions,
    gradient_flow,
)

VOCAB, ROWS, TIME, STEPS = 11, 3, 9, 5


def _model(seed, **options):
    torch.manual_seed(seed)
    model = LanguageModel(VOCAB, LanguageModelOptions(**{"embedding_size": 6, "hidden_size": 7} | options)).double()
    with torch.no_grad():
        for parameter in model.layers.parameters():
            parameter.mul_(3)  # gates away from one half, and gradients that grow for some texts
    return model.eval()


def _ids():
    return torch.randint(VOCAB, (ROWS, TIME))


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _rnn_step(x, state, w):
    """Give the state after a step, and its Jacobian with respect to the state before: diag(1 - h^2) W_hh."""
    (h,) = state
    h = np.tanh(w["weight_ih"] @ x + w["bias_ih"] + w["weight_hh"] @ h + w["bias_hh"])
    return (h,), (1 - h**2)[:, None] * w["weight_hh"]


def _lstm_step(x, state, w):
    """The same for (h, c): the four blocks of the Jacobian by the product rule on the equations."""
    h, c_before = state
    pre = w["weight_ih"] @ x + w["bias_ih"] + w["weight_hh"] @ h + w["bias_hh"]
    i, f, g, o = np.split(pre, 4)
    i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
    w_i, w_f, w_g, w_o = np.split(w["weight_hh"], 4)
    c = f * c_before + i * g
    c_by_h = (
        (c_before * f * (1 - f))[:, None] * w_f + (g * i * (1 - i))[:, None] * w_i + (i * (1 - g**2))[:, None] * w_g
    )
    c_by_c = np.diag(f)
    through = (o * (1 - np.tanh(c) ** 2))[:, None]
    h_by_h = (np.tanh(c) * o * (1 - o))[:, None] * w_o + through * c_by_h
    return (o * np.tanh(c), c), np.block([[h_by_h, through * c_by_c], [c_by_h, c_by_c]])


def _expected(model, ids, steps, step, tensors):
    """Norms by products of Jacobians, from the last step backwards, for one text after the other."""
    w = {name.removesuffix("_l0"): value.detach().numpy() for name, value in model.layers[0].named_parameters()}
    embedding, output = model.embedding.detach().numpy(), model.output.weight.detach().numpy()
    size, rows = output.shape[1], []
    for text in ids.numpy():
        state, jacobians, found = (np.zeros(size),) * tensors, [], []
        for t in range(len(text) - 1):
            state, jacobian = step(embedding[text[t]], state, w)
            jacobians.append(jacobian)
            if t < steps:
                continue
            logits = output @ state[0] + model.output.bias.detach().numpy()
            error = np.exp(logits - logits.max())
            error = error / error.sum() - np.eye(VOCAB)[text[t + 1]]
            gradient = np.concatenate([error @ output, np.zeros((tensors - 1) * size)])
            norms = [np.linalg.norm(gradient)]
            for k in range(steps):
                gradient = gradient @ jacobians[t - k]
                norms.append(np.linalg.norm(gradient))
            found.append(norms)
        rows.append(np.mean(found, axis=0))
    return np.array(rows)


@pytest.mark.parametrize(("cell", "step", "tensors"), [("rnn", _rnn_step, 1), ("lstm", _lstm_step, 2)])
def test_norms_are_those_of_products_of_jacobians(cell, step, tensors, seed):
    model, ids = _model(seed, cell=cell), _ids()
    found = gradient_flow(model, ids, STEPS)
    assert found.shape == (ROWS, STEPS + 1)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), _expected(model, ids, STEPS, step, tensors), rtol=1e-9)


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "tied": True}])
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_equals_autograd_from_a_given_state(cell, options, seed):
    """Row by row and loss by loss: the model reads up to t - k, and its state there is what is differentiated by."""
    if options and cell == "lstmp":
        options = {"num_layers": 2}  # puts out half its size, which no tied output fits
    model, ids, steps = _model(seed, cell=cell, **options), _ids()[:1], 3
    losses = range(steps, TIME - 1)
    expected = torch.zeros(steps + 1, dtype=torch.float64)
    for t in losses:
        features, _ = model.hidden(ids[:, : t + 1])
        h = features[:, -1].detach().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(model.output.logits(h), ids[:, t + 1]), h)
        expected[0] += gradient.norm()
        for k in range(1, steps + 1):
            _, state = model(ids[:, : t - k + 1])
            tensors = [[one] if torch.is_tensor(one) else list(one) for one in state]
            leaves = [[tensor.detach().requires_grad_() for tensor in one] for one in tensors]
            state = tuple(one[0] if len(one) == 1 else tuple(one) for one in leaves)
            logits, _ = model(ids[:, t - k + 1 : t + 1], state)
            flat = [tensor for one in leaves for tensor in one]
            loss = F.cross_entropy(logits[:, -1], ids[:, t + 1])
            gradients = torch.autograd.grad(loss, flat, materialize_grads=True)
            expected[k] += torch.cat([gradient.flatten() for gradient in gradients]).norm()
    torch.testing.assert_close(gradient_flow(model, ids, steps)[0], expected / len(losses), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("factor", [0.5, 1.25])
def test_a_multiple_of_the_identity_vanishes_or_explodes_by_its_factor(factor):
    model = _model(0, cell="rnn_relu")
    layer = model.layers[0]
    with torch.no_grad():
        layer.weight_hh_l0.copy_(factor * torch.eye(7))
        layer.weight_ih_l0.abs_()
        model.embedding.abs_()
        for bias in (layer.bias_ih_l0, layer.bias_hh_l0):
            bias.fill_(0.1)  # every unit stays above zero, where the rectifier is the identity
    found = gradient_flow(model, _ids(), STEPS)
    expected = found[:, :1] * factor ** torch.arange(STEPS + 1, dtype=torch.float64)
    torch.testing.assert_close(found, expected)


def test_a_text_gives_what_it_gives_alone():
    model, ids = _model(0, cell="gru"), _ids()
    alone = torch.cat([gradient_flow(model, row.unsqueeze(0), STEPS) for row in ids])
    torch.testing.assert_close(gradient_flow(model, ids, STEPS), alone)


def test_the_model_is_left_as_it_was():
    model, ids = _model(0, cell="lstm", input_dropout=0.5, output_dropout=0.5), _ids()
    expected = gradient_flow(model, ids, STEPS)
    model.train()
    with torch.no_grad():
        found = gradient_flow(model, ids, STEPS)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert model.training
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


def test_a_model_in_fp32_is_measured_in_its_own_type():
    model, ids = _model(0, output="adaptive").float(), _ids()
    found = gradient_flow(model, ids, STEPS)
    assert found.dtype == torch.float64
    assert bool((found > 0).all())


def test_what_cannot_be_measured_is_refused():
    model, ids = _model(0), _ids()
    with pytest.raises(UsageError, match="steps=0 must be at least 1"):
        gradient_flow(model, ids, 0)
    with pytest.raises(ShapeError, match=r"\(3, 9\).* at least 10, which is steps \+ 2"):
        gradient_flow(model, ids, 8)
    with pytest.raises(ShapeError, match=r"\(9,\)"):
        gradient_flow(model, ids[0], 1)
    assert gradient_flow(model, ids, 7).shape == (ROWS, 8)
    transformer = _model(0, cell="transformer", embedding_size=8, hidden_size=8)
    for other in (transformer, CachedLanguageModel(model, CacheSettings(4, 0.1, 0.1))):
        with pytest.raises(UsageError, match="of a recurrent cell, without a cache"):
            gradient_flow(other, ids, 2)
