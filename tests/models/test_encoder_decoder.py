"""The encoder-decoder: whole sequences against single steps, batches against single pairs, losses against torch's."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from nlp_lstm.cells import CELLS
from nlp_lstm.errors import ShapeError, UsageError
from nlp_lstm.models import EncoderDecoder, EncoderDecoderOptions, PairBatch, autocast

VOCAB = 13
ATTENTIONS = ("dot", "general", "concat", "additive", "multi-head")
SHAPES: list[dict[str, Any]] = [
    *({"attention": name} for name in ATTENTIONS),
    *({"attention": name, "input_feeding": True} for name in ATTENTIONS),
    {"decoder_layers": 1, "encoder_layers": 1, "tied": False},
    {"decoder_layers": 3, "encoder_layers": 3, "layer_norm": True, "residual": True, "cell": "gru"},
    {"shared": False, "attention": "general", "decoder_size": 6},
    {"copy": True},
    {"copy": True, "input_feeding": True},
    {"coverage": 0.5, "attention": "additive"},
    {"coverage": 0.5, "attention": "concat", "copy": True, "input_feeding": True, "decoder_layers": 3},
]


def build(**options: Any) -> EncoderDecoder:
    sizes = {
        "embedding_size": 5,
        "encoder_size": 4,
        "decoder_size": 8,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "dropout": 0.0,
        "label_smoothing": 0.0,
    }
    return EncoderDecoder(VOCAB, VOCAB, EncoderDecoderOptions(**{**sizes, **options}))


def pairs(count: int = 4, positions: int = 6, time: int = 7) -> PairBatch:
    """Random pairs, the first as long as there is room, the last as short as can be."""
    source_lengths = torch.randint(1, positions + 1, (count,))
    target_lengths = torch.randint(2, time + 1, (count,))
    source_lengths[0], target_lengths[0] = positions, time
    source_lengths[-1], target_lengths[-1] = 1, 2
    return PairBatch(
        torch.randint(4, VOCAB, (count, positions)),
        source_lengths,
        torch.randint(2, VOCAB, (count, time)),
        target_lengths,
    )


def single(batch: PairBatch, row: int) -> PairBatch:
    source, target = int(batch.source_lengths[row]), int(batch.target_lengths[row])
    here = slice(row, row + 1)
    return PairBatch(
        batch.source[here, :source], batch.source_lengths[here], batch.target[here, :target], batch.target_lengths[here]
    )


def steps(model: EncoderDecoder, batch: PairBatch) -> tuple[Tensor, Tensor]:
    """Logits (batch, time, vocab) and attention (batch, time, positions), token by token."""
    state = model.start(model.encode(batch.source, batch.source_lengths))
    assert model.attention(state) is None
    logits, weights = [], []
    for ids in batch.target[:, :-1].unbind(1):
        one, state = model.step(ids, state)
        logits.append(one)
        weights.append(model.attention(state))
    return torch.stack(logits, dim=1), torch.stack(weights, dim=1)


@pytest.mark.parametrize("options", SHAPES, ids=str)
def test_whole_targets_score_what_single_steps_do(options: dict[str, Any]) -> None:
    model, batch = build(**options).eval(), pairs()
    logits, _ = steps(model, batch)
    losses = model.token_losses(batch)
    expected = F.cross_entropy(logits.flatten(0, 1), batch.target[:, 1:].flatten(), reduction="none").view(losses.shape)
    inside = torch.arange(losses.shape[1]) < batch.target_lengths[:, None] - 1
    torch.testing.assert_close(losses, torch.where(inside, expected, 0.0).detach(), atol=1e-5, rtol=1e-5)
    if not options.get("coverage"):
        loss = model.loss(batch, 0.25)
        torch.testing.assert_close(loss, 0.25 * losses.sum())
        loss.backward()
        assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("cell", CELLS)
def test_any_cell_serves(cell: str) -> None:
    model, batch = build(cell=cell, attention="general").eval(), pairs()
    logits, _ = steps(model, batch)
    expected = logits.log_softmax(-1).gather(-1, batch.target[:, 1:, None]).squeeze(-1)
    losses = model.token_losses(batch)
    inside = torch.arange(losses.shape[1]) < batch.target_lengths[:, None] - 1
    torch.testing.assert_close(losses[inside], -expected[inside].detach(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("options", SHAPES, ids=str)
def test_a_pair_is_scored_as_if_it_were_alone_whatever_stands_in_the_padding(options: dict[str, Any]) -> None:
    model, batch = build(**options).eval(), pairs()
    source_padding = torch.arange(batch.source.shape[1]) >= batch.source_lengths[:, None]
    target_padding = torch.arange(batch.target.shape[1]) >= batch.target_lengths[:, None]
    garbage = batch._replace(
        source=batch.source.masked_fill(source_padding, 10**12), target=batch.target.masked_fill(target_padding, -7)
    )
    losses = model.token_losses(batch)
    assert torch.equal(losses, model.token_losses(garbage))
    assert torch.equal(model.loss(batch).detach(), model.loss(garbage).detach())
    for row in range(len(losses)):
        alone = model.token_losses(single(batch, row))
        torch.testing.assert_close(losses[row, : alone.shape[1]], alone[0], atol=1e-5, rtol=1e-5)
        assert (losses[row, alone.shape[1] :] == 0).all()


def test_attention_of_a_step_is_a_distribution_over_the_source() -> None:
    batch = pairs()
    _, weights = steps(build().eval(), batch)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:2]))
    padding = torch.arange(batch.source.shape[1]) >= batch.source_lengths[:, None]
    assert (weights.transpose(1, 2)[padding] == 0).all()


@pytest.mark.parametrize(
    "options", [{}, {"coverage": 0.5, "attention": "additive", "input_feeding": True}, {"cell": "gru"}]
)
def test_rows_of_a_state_go_their_own_way(options: dict[str, Any]) -> None:
    model, batch = build(**options).eval(), pairs()
    state = model.start(model.encode(batch.source, batch.source_lengths))
    _, state = model.step(batch.target[:, 0], state)
    rows = torch.tensor([2, 2, 0, 3])
    after, chosen = model.step(torch.tensor([4, 5, 6, 7]), model.select(state, rows))
    for place, row in enumerate(rows.tolist()):
        ids = batch.target[:, 0].clone()
        ids[row] = 4 + place
        alone, alone_state = model.step(ids, state)
        torch.testing.assert_close(after[place], alone[row])
        torch.testing.assert_close(model.attention(chosen)[place], model.attention(alone_state)[row])


def test_with_coverage_the_memory_is_copied_only_where_sentences_change() -> None:
    model, batch = build(coverage=0.5, attention="additive").eval(), pairs(2)
    state = model.start(model.encode(batch.source, batch.source_lengths))
    _, state = model.step(torch.tensor([2, 2]), state)
    beams = state.select(torch.tensor([0, 0, 1, 1]))
    assert len(beams.memory.keys) == len(beams.memory.ids) == 4
    assert beams.select(torch.tensor([1, 0, 2, 2])).memory is beams.memory
    assert len(beams.select(torch.tensor([0, 1, 2])).memory.keys) == 3


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_label_smoothing_is_that_of_torch(smoothing: float, tied: bool) -> None:
    model, batch = build(label_smoothing=smoothing, tied=tied), pairs()
    decoded, _, targets = model.decode(batch)
    logits = model.output.logits(decoded.features)
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum", label_smoothing=smoothing) / 9
    expected.backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    loss = model.loss(batch, 1 / 9)
    loss.backward()
    torch.testing.assert_close(loss, expected)
    for (name, parameter), gradient in zip(model.named_parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, msg=name, atol=1e-5, rtol=1e-4)


def test_the_copy_mechanism_is_the_mixture_of_equation_9() -> None:
    model, batch = build(copy=True).eval(), pairs()
    batch.source[0, 1] = batch.source[0, 3]  # a word that stands in two places gets both shares
    decoded, memory, targets = model.decode(batch)
    p_gen = model.copy_gate.gate(decoded.source).sigmoid()  # (batch, time, 1)
    vocabulary = model.output.logits(decoded.features).softmax(dim=-1)
    mixed = model.copy_gate.log_probabilities(decoded, model.output.logits(decoded.features), memory.ids).exp()
    torch.testing.assert_close(mixed.sum(dim=-1), torch.ones(mixed.shape[:2]))
    nats = iter(model.copy_gate.nats(decoded, model.output, memory.ids, targets)[0])
    for row, step, word in itertools.product(range(len(targets)), range(targets.shape[1]), range(VOCAB)):
        copied = sum(
            decoded.weights[row, step, i]
            for i in range(int(batch.source_lengths[row]))
            if int(batch.source[row, i]) == word
        )
        gate = p_gen[row, step, 0]
        expected = gate * vocabulary[row, step, word] + (1 - gate) * copied
        torch.testing.assert_close(mixed[row, step, word], torch.as_tensor(expected))
        if int(targets[row, step]) == word:
            torch.testing.assert_close(next(nats), -torch.as_tensor(expected).log())


def test_smoothing_beside_copying_spreads_over_what_is_written() -> None:
    model, batch = build(copy=True, label_smoothing=0.2), pairs()
    decoded, memory, targets = model.decode(batch)
    nats, _ = model.copy_gate.nats(decoded, model.output, memory.ids, targets)
    uniform = -model.output.logits(decoded.features).log_softmax(dim=-1).mean(dim=-1)[targets >= 0]
    torch.testing.assert_close(model.loss(batch), (0.8 * nats + 0.2 * uniform).sum())


def test_coverage_sums_attention_and_its_overlap_is_punished() -> None:
    batch = pairs()
    model = build(coverage=0.7, attention="additive").eval()
    _, weights = steps(model, batch)
    covered = weights.cumsum(dim=1) - weights  # equation 10
    overlap = torch.minimum(weights, covered).sum(dim=-1)  # equation 12
    inside = torch.arange(weights.shape[1]) < batch.target_lengths[:, None] - 1
    expected = model.token_losses(batch).sum() + 0.7 * overlap[inside].sum()  # equation 13
    torch.testing.assert_close(model.loss(batch), expected, atol=1e-4, rtol=1e-5)
    state = model.start(model.encode(batch.source, batch.source_lengths))
    _, state = model.step(batch.target[:, 0], state)
    _, state = model.step(batch.target[:, 1], state)
    torch.testing.assert_close(state.coverage, weights[:, :2].sum(dim=1))


def test_shared_and_tied_tables_are_one_tensor_also_after_a_move() -> None:
    model = build()
    for moved in (model, build().to_empty(device="cpu")):
        moved.tie()
        assert moved.source_embedding is moved.target_embedding is moved.output.weight
    apart = build(shared=False, tied=False)
    apart.tie()
    assert len({id(t) for t in (apart.source_embedding, apart.target_embedding, apart.output.weight)}) == 3
    names = dict(model.named_parameters())
    assert "source_embedding" not in names
    assert "output.weight" not in names
    difference = {name for name, _ in apart.named_parameters()} - set(names)
    assert difference == {"source_embedding", "output.weight"}


DROPS = ({"dropout": 0.5}, {"word_dropout": 0.5}, {"weight_dropout": 0.5})


@pytest.mark.parametrize("feeding", [False, True])
@pytest.mark.parametrize("options", DROPS, ids=str)
def test_every_dropout_is_on_in_training_alone(options: dict[str, Any], feeding: bool) -> None:
    model, batch = build(**options, input_feeding=feeding), pairs()
    assert model.loss(batch).item() != model.loss(batch).item()
    model.eval()
    assert model.loss(batch).item() == model.loss(batch).item()
    assert model.loss(batch).item() == pytest.approx(model.token_losses(batch).sum().item(), rel=1e-4)


@pytest.mark.parametrize("feeding", [False, True])
def test_features_are_dropped_for_all_steps_alike(feeding: bool) -> None:
    model, batch = build(dropout=0.5, embedding_size=64, input_feeding=feeding), pairs()
    decoded, _, _ = model.decode(batch)
    dropped = decoded.features == 0
    assert (dropped == dropped[:, :1]).all()
    assert 0.3 < dropped[:, 0].float().mean() < 0.7


def test_word_dropout_drops_whole_positions() -> None:
    model = build(word_dropout=0.4, embedding_size=32)
    x = model._embed(torch.randint(4, VOCAB, (40, 50)), model.target_embedding)
    gone = (x == 0).all(dim=-1)
    assert torch.equal(gone, (x == 0).any(dim=-1))
    assert float(gone.float().mean()) == pytest.approx(0.4, abs=4 * (0.24 / 2000) ** 0.5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"embedding_size": 0, "decoder_layers": -1}, "--embedding-size 0 must .* --decoder-layers -1 must"),
        ({"dropout": 1.0}, "--dropout 1.0 must be at least 0 and below 1"),
        ({"coverage": float("nan"), "attention": "additive"}, "--coverage nan must be a finite number"),
        ({"decoder_size": 10}, "--attention dot needs --decoder-size to be twice"),
        ({"attention": "multi-head", "attention_heads": 3}, "--decoder-size 512 cannot be divided among"),
        ({"copy": True, "shared": False}, "--copy needs one vocabulary"),
        ({"coverage": 1.0}, "--coverage is not known to --attention dot. Give --attention additive"),
        ({"attention": "luong"}, "no --attention named 'luong'"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        EncoderDecoderOptions(**options)


@pytest.mark.parametrize("name", ATTENTIONS)
def test_products_in_bf16_score_about_the_same(name: str) -> None:
    model, batch = build(attention=name).eval(), pairs()
    exact = model.token_losses(batch)
    with autocast("bf16", torch.device("cpu")), torch.no_grad():
        memory = model.encode(batch.source, batch.source_lengths)
        assert {memory.keys.dtype, memory.values.dtype} == {torch.bfloat16}
        logits, _ = steps(model, batch)
        rough = model.token_losses(batch)
    inside = torch.arange(exact.shape[1]) < batch.target_lengths[:, None] - 1
    stepped = -logits.float().log_softmax(-1).gather(-1, batch.target[:, 1:, None]).squeeze(-1)
    assert not torch.equal(exact, rough)
    torch.testing.assert_close(rough, exact, atol=0.02, rtol=0.02)
    torch.testing.assert_close(stepped[inside], exact[inside], atol=0.03, rtol=0.03)


def test_two_vocabularies_cannot_be_one() -> None:
    with pytest.raises(UsageError, match=r"source has 9 ids and the target 8. .* --shared false"):
        EncoderDecoder(9, 8, EncoderDecoderOptions())


def test_sources_must_be_a_batch() -> None:
    with pytest.raises(ShapeError, match=r"give \(batch, positions\)"):
        build().encode(torch.zeros(3, dtype=torch.int64), torch.ones(3))


def test_it_learns_to_turn_sequences_round() -> None:
    torch.manual_seed(3)
    model = build(embedding_size=16, encoder_size=16, decoder_size=32, decoder_layers=1, encoder_layers=1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-2)
    symbols = torch.randint(4, VOCAB, (64, 6))
    end, begin = torch.full((64, 1), 3), torch.full((64, 1), 2)
    batch = PairBatch(
        torch.cat([symbols, end], 1),
        torch.full((64,), 7),
        torch.cat([begin, symbols.flip(1), end], 1),
        torch.full((64,), 8),
    )
    for _ in range(120):
        optimizer.zero_grad()
        model.loss(batch, 1 / 448).backward()
        optimizer.step()
    model.eval()
    state, ids, written = model.start(model.encode(batch.source, batch.source_lengths)), begin[:, 0], []
    for _ in range(7):
        logits, state = model.step(ids, state)
        ids = logits.argmax(dim=-1)
        written.append(ids)
    assert torch.equal(torch.stack(written, dim=1), batch.target[:, 1:])
