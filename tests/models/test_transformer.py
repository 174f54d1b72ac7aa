"""The Transformer decoder against a reading of its equations one position at a time, and in its place in a model."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nlp_lstm.errors import ShapeError, UsageError
from nlp_lstm.models import LanguageModel, LanguageModelOptions, detach
from nlp_lstm.models._transformer import TransformerDecoder, rotary_angles, transformer_of

VOCAB = 11


def _decoder(context=256, width=64, **options):
    torch.manual_seed(0)
    decoder = TransformerDecoder(5, 7, width=width, inner_size=20, num_blocks=2, context=context, **options).double()
    for parameter in decoder.parameters():
        nn.init.normal_(parameter, std=0.3)  # biases and gains too
    return decoder


def _turn(pair, angle):
    """Multiply x + iy by exp(i * angle)."""
    turned = complex(*pair) * complex(math.cos(angle), math.sin(angle))
    return turned.real, turned.imag


def _rotated(vector, position):
    half = len(vector) // 2
    out = vector.clone()
    for k in range(half):
        out[k], out[k + half] = _turn((vector[k], vector[k + half]), position * 10_000 ** (-k / half))
    return out


def _read_by_hand(decoder, x):
    """One sequence (time, features), position by position, head by head."""
    stream = x @ decoder.enter.weight.t() + decoder.enter.bias
    for block in decoder.blocks:
        size = stream.shape[1] // block.heads
        normal = block.attention_norm(stream)
        query, key, value = (normal @ block.look.weight.t() + block.look.bias).chunk(3, dim=1)
        seen = torch.zeros_like(stream)
        for head in range(block.heads):
            columns = slice(head * size, (head + 1) * size)
            for t in range(len(x)):
                past = range(max(0, t - decoder.context + 1), t + 1)
                turned = _rotated(query[t, columns], t)
                scores = torch.stack([turned @ _rotated(key[s, columns], s) for s in past]) / math.sqrt(size)
                seen[t, columns] = scores.softmax(0) @ value[past.start : past.stop, columns]
        stream = stream + seen @ block.mix.weight.t() + block.mix.bias
        grown = F.gelu(block.network_norm(stream) @ block.grow.weight.t() + block.grow.bias)
        stream = stream + grown @ block.shrink.weight.t() + block.shrink.bias
    return decoder.norm(stream) @ decoder.leave.weight.t() + decoder.leave.bias


@pytest.mark.parametrize("context", [1, 3, 256])
@torch.no_grad()
def test_equals_the_reading_position_by_position(context):
    decoder = _decoder(context)
    x = torch.randn(2, 9, 5, dtype=torch.float64)
    output, _ = decoder(x)
    for row, expected in zip(output, x, strict=True):
        torch.testing.assert_close(row, _read_by_hand(decoder, expected))


@pytest.mark.parametrize("context", [1, 2, 5, 256])
@pytest.mark.parametrize("pieces", [[1] * 12, [7, 5], [3, 1, 8]])
def test_pieces_of_any_length_make_the_whole_within_a_bounded_state(context, pieces):
    decoder = _decoder(context)
    x = torch.randn(3, 12, 5, dtype=torch.float64)
    whole, end = decoder(x)
    state, outputs = None, []
    for piece in x.split(pieces, dim=1):
        output, state = decoder(piece, state)
        outputs.append(output)
        assert state[0].shape[2] <= context - 1
    torch.testing.assert_close(torch.cat(outputs, dim=1), whole)
    torch.testing.assert_close(state, end)


def test_the_batch_is_the_last_dimension_of_a_state_but_one():
    decoder = _decoder()
    x = torch.randn(3, 9, 5, dtype=torch.float64)
    _, state = decoder(x[:, :4])
    rows = tuple(tensor[..., 1:, :] for tensor in state)
    torch.testing.assert_close(decoder(x[1:, 4:], rows)[0], decoder(x)[0][1:, 4:])


def test_no_position_sees_what_follows():
    decoder = _decoder()
    x = torch.randn(1, 9, 5, dtype=torch.float64)
    changed = x.clone()
    changed[:, 6:] += 1
    before, after = decoder(x)[0], decoder(changed)[0]
    torch.testing.assert_close(before[:, :6], after[:, :6])
    assert not torch.isclose(before[:, 6:], after[:, 6:]).any()


def test_dropout_is_on_in_training_alone():
    decoder = _decoder(dropout=0.5)
    x = torch.randn(1, 4, 5, dtype=torch.float64)
    assert not torch.equal(decoder(x)[0], decoder(x)[0])
    decoder.eval()
    assert torch.equal(decoder(x)[0], decoder(x)[0])


def test_angles_have_the_papers_rates():
    cosine, sine = rotary_angles(3, 4, torch.zeros(1, dtype=torch.float64))
    expected = torch.tensor([[0, 0], [1, 0.01], [2, 0.02]], dtype=torch.float64)
    torch.testing.assert_close(torch.atan2(sine, cosine), expected)
    assert rotary_angles(3, 4, torch.zeros(1, dtype=torch.bfloat16))[0].dtype == torch.float32


@pytest.mark.parametrize("parameters", [3_000, 100_000, 1_000_000, 7_000_000])
def test_the_number_of_parameters_is_met(parameters):
    decoder = transformer_of(parameters, 64, 128, 4, 0.0)
    found = sum(parameter.numel() for parameter in decoder.parameters())
    assert found == pytest.approx(parameters, rel=0.01)


@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"num_layers": 3, "tied": True}])
def test_a_language_model_has_as_many_parameters_as_that_of_the_lstm(options):
    sizes = {"embedding_size": 48, "hidden_size": 96, **options}
    counts = [
        sum(p.numel() for p in LanguageModel(VOCAB, LanguageModelOptions(cell=cell, **sizes)).parameters())
        for cell in ("lstm", "transformer")
    ]
    assert counts[1] == pytest.approx(counts[0], rel=0.01)


def test_in_a_language_model():
    torch.manual_seed(0)
    model = LanguageModel(VOCAB, LanguageModelOptions(cell="transformer", embedding_size=16, hidden_size=32))
    ids = torch.randint(VOCAB, (3, 6))
    loss, state = model.loss(ids, ids, scale=1 / 18)
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert not any(tensor.requires_grad for one in detach(state) for tensor in one)
    model.eval()
    whole, end = model(ids)
    state = None
    for t in range(6):
        logits, state = model.step(ids[:, t], state)
        torch.testing.assert_close(logits, whole[:, t])
    torch.testing.assert_close(state, end)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(model(ids)[0].float(), whole, atol=0.1, rtol=0.1)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match=r"give \(batch, time, features=5\)"):
        _decoder()(torch.zeros(2, 3, 4, dtype=torch.float64))
    with pytest.raises(UsageError, match="'transformer' has no recurrent weights; leave out --weight-dropout"):
        LanguageModel(VOCAB, LanguageModelOptions(cell="transformer", weight_dropout=0.1))
    with pytest.raises(UsageError, match="Did you mean 'transformer'"):
        LanguageModel(VOCAB, LanguageModelOptions(cell="transfomer"))
    with pytest.raises(UsageError, match="--embedding-size 16 features, and the cell 'lstmp' puts out 8"):
        LanguageModel(VOCAB, LanguageModelOptions(cell="lstmp", embedding_size=16, tied=True))
    assert "5, 7, context=256" in repr(_decoder())
