"""The quick steps of generation against `LanguageModel.step`."""

from __future__ import annotations

import pytest
import torch

from nlp_lstm.models import CachedLanguageModel, CacheSettings, LanguageModel, LanguageModelOptions, Stepper, _stepper

VOCAB, ROWS = 13, 3


def _model(**options):
    torch.manual_seed(0)
    return LanguageModel(VOCAB, LanguageModelOptions(**{"embedding_size": 5, "hidden_size": 7} | options)).eval()


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize(
    "cell", ["rnn", "lstm", "gru", "layer_norm_lstm", "mogrifier", "multiplicative", "mingru", "qrnn", "slstm"]
)
@pytest.mark.parametrize(
    "options", [{}, {"num_layers": 2, "tied": True}, {"output": "adaptive", "embedding_dropout": 0.5}]
)
def test_steps_equal_the_models(cell, options, table, monkeypatch):
    monkeypatch.setattr(_stepper, "_MOST_TABLE_WORK", 10**9 if table else 0)
    model = _model(cell=cell, **options)
    assert Stepper.fits(model)
    with torch.inference_mode():
        stepper = Stepper(model)
        state, quick_state = None, None
        for ids in torch.randint(VOCAB, (4, ROWS)):
            expected, state = model.step(ids, state)
            logits, quick_state = stepper(ids, quick_state)
            torch.testing.assert_close(logits, expected)
    for one, other in zip(stepper.leave(quick_state), state, strict=True):
        torch.testing.assert_close(one, other)
    for one, other in zip(stepper.leave(stepper.enter(state)), state, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_models_with_more_around_them_do_not_fit():
    assert not Stepper.fits(CachedLanguageModel(_model(), CacheSettings(4, 0.1, 0.1)))
    assert not Stepper.fits(_model(cell="transformer", embedding_size=8, hidden_size=8))
    model = _model()
    model.layers[0].backend = "torch"
    assert not Stepper.fits(model)
