"""The classifier: against torch's layers with copied weights, padding, sentences, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nlp_lstm.errors import ShapeError, UsageError
from nlp_lstm.models import Classifier, ClassifierOptions
from nlp_lstm.models._classifier import turn_round
from nlp_lstm.models._classifier_hierarchy import LONGEST_SENTENCE, sentence_lengths

VOCABULARY = 20
DROPOUTS = ("embedding_dropout", "input_dropout", "hidden_dropout", "weight_dropout", "output_dropout")


def build(labels: int = 3, sentence_ends: tuple[int, ...] = (), **options: Any) -> Classifier:
    sizes = {"embedding_size": 5, "hidden_size": 4}
    return Classifier(VOCABULARY, labels, ClassifierOptions(**{**sizes, **options}), sentence_ends).eval()


def texts(seed: int, *lengths: int) -> tuple[Tensor, Tensor]:
    """A batch of random texts, padded with 0."""
    ids = torch.randint(4, VOCABULARY, (len(lengths), max(lengths)), generator=torch.Generator().manual_seed(seed))
    sizes = torch.tensor(lengths)
    return ids.masked_fill(torch.arange(ids.shape[1]) >= sizes.unsqueeze(1), 0), sizes


def test_two_layers_in_both_directions_are_those_of_torch(seed: int) -> None:
    model = build(num_layers=2, last_hidden_size=3, pooling="last")
    ids, lengths = texts(seed, 7, 2, 5)
    for row, length, found in zip(ids, lengths, model(ids, lengths), strict=True):
        x = model.embedding[row[:length]]
        for index, size in enumerate((4, 3)):
            layer = nn.LSTM(x.shape[1], size, bidirectional=True)
            ahead, back = model.encoder.layers[index].state_dict(), model.encoder.backward_layers[index].state_dict()
            layer.load_state_dict(ahead | {f"{name}_reverse": value for name, value in back.items()})
            x, (h, _) = layer(x)
        assert torch.allclose(found, model.output(torch.cat([h[0], h[1]])), atol=1e-5)


def test_separate_directions_are_two_stacks_over_half_of_the_features_each(seed: int) -> None:
    model = build(num_layers=2, embedding_size=6, pooling="last", separate_directions=True)
    ids, lengths = texts(seed, 7, 2, 5)
    for row, length, found in zip(ids, lengths, model(ids, lengths), strict=True):
        x = model.embedding[row[:length]]
        ends = []
        for part, layers in ((x[:, :3], model.encoder.layers), (x[:, 3:].flip(0), model.encoder.backward_layers)):
            stack = nn.LSTM(3, 4, num_layers=2)
            own = {
                f"{name[:-1]}{index}": value for index in (0, 1) for name, value in layers[index].state_dict().items()
            }
            stack.load_state_dict(own)
            ends.append(stack(part)[0][-1])
        assert torch.allclose(found, model.output(torch.cat(ends)), atol=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "mingru"])
@pytest.mark.parametrize(
    "options",
    [
        {"pooling": "last+maximum+mean+attention"},
        {"bidirectional": False, "num_layers": 2, "pooling": "last+mean"},
        {"hierarchical": True, "pooling": "attention+maximum", "sentence_ends": (4, 5)},
        {"output": "ordinal"},
    ],
)
def test_a_batch_gives_what_each_text_gives_alone_whatever_is_behind(
    cell: str, options: dict[str, Any], seed: int
) -> None:
    model = build(cell=cell, **options)
    ids, lengths = texts(seed, 9, 1, 4, 6)
    together = model(ids, lengths)
    for number, length in enumerate(lengths):
        alone = model(ids[number : number + 1, :length], lengths[number : number + 1])
        assert torch.allclose(together[number], alone[0], atol=1e-5)
    behind = torch.arange(ids.shape[1]) >= lengths.unsqueeze(1)
    assert torch.allclose(model(ids.masked_fill(behind, 7), lengths), together, atol=1e-6)


def test_the_backward_half_reads_what_comes_later(seed: int) -> None:
    ids, lengths = texts(seed, 6, 4)
    changed = ids.clone()
    changed[:, 3] = torch.where(ids[:, 3] == 9, 10, 9)
    model = build(pooling="last")
    outputs = []
    for one in (ids, changed):
        backward, _ = model.encoder.backward_layers[0](turn_round(model.embedding[one], lengths))
        outputs.append(turn_round(backward, lengths))
    assert not torch.allclose(outputs[0][:, 0], outputs[1][:, 0])
    assert torch.equal(outputs[0][0, 4:], outputs[1][0, 4:])


def test_sequences_are_turned_round_within_their_length() -> None:
    x = torch.arange(12.0).view(2, 6, 1)
    turned = turn_round(x, torch.tensor([6, 3]))
    assert turned[0, :, 0].tolist() == [5, 4, 3, 2, 1, 0]
    assert turned[1, :3, 0].tolist() == [8, 7, 6]
    assert torch.equal(turn_round(turned, torch.tensor([6, 3])), x)


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("name", DROPOUTS)
def test_each_dropout_works_in_training_alone(name: str, separate: bool, seed: int) -> None:
    options = {"num_layers": 2, "embedding_size": 6, "separate_directions": separate, name: 0.5}
    model, (ids, lengths) = build(**options), texts(seed, 6, 4)
    assert torch.equal(model(ids, lengths), model(ids, lengths))
    model.train()
    assert not torch.equal(model(ids, lengths), model(ids, lengths))


def test_dropout_between_layers_is_at_work_in_either_separate_direction(seed: int) -> None:
    model = build(num_layers=2, embedding_size=6, pooling="last", separate_directions=True, hidden_dropout=0.5).train()
    ids, lengths = texts(seed, 6, 4)
    once, again = (model.encoder(model.embedding[ids], lengths).chunk(2, dim=1) for _ in range(2))
    for direction, other in zip(once, again, strict=True):
        assert not torch.equal(direction, other)


def test_the_loss_is_the_sum_over_texts_times_the_scale(seed: int) -> None:
    model, (ids, lengths) = build(), texts(seed, 6, 4)
    targets, weights = torch.tensor([2, 0]), torch.tensor([1.0, 2.0, 3.0])
    nats = -model(ids, lengths).log_softmax(dim=1)
    assert model.loss(ids, lengths, targets, 0.5).item() == pytest.approx(0.5 * (nats[0, 2] + nats[1, 0]).item())
    weighted = 3 * nats[0, 2] + nats[1, 0]
    assert model.loss(ids, lengths, targets, 1.0, weights).item() == pytest.approx(weighted.item())


def test_gradients_agree_with_differences(seed: int) -> None:
    model = build(hierarchical=True, pooling="attention+mean", sentence_ends=(4, 5, 6)).double()
    ids, lengths = texts(seed, 6, 4)

    def read(x: Tensor) -> Tensor:
        return model.read(x, ids, lengths)

    x = model.embedding.detach()[ids].requires_grad_()
    assert torch.autograd.gradcheck(read, (x,))


def test_sentences_end_where_they_end_and_are_not_too_long() -> None:
    ends = torch.tensor([4, 5])
    assert sentence_lengths(torch.tensor([7, 7, 4, 8, 8, 8, 5, 9]), 8, ends).tolist() == [3, 4, 1]
    assert sentence_lengths(torch.tensor([7, 4, 4, 5, 8, 0, 0]), 5, ends).tolist() == [4, 1]  # "..." is one end
    assert sentence_lengths(torch.tensor([4]), 1, ends).tolist() == [1]
    assert sentence_lengths(torch.tensor([5, 7, 4, 8, 5]), 5, ends).tolist() == [3, 2]  # between the ends of two texts
    assert sentence_lengths(torch.tensor([4, 4, 7, 7]), 4, ends).tolist() == [4]
    assert sentence_lengths(torch.tensor([5, 5]), 2, ends).tolist() == [2]
    long = torch.full((2 * LONGEST_SENTENCE + 3,), 7)
    assert sentence_lengths(long, len(long), ends).tolist() == [LONGEST_SENTENCE, LONGEST_SENTENCE, 3]


def test_hierarchical_reading_is_two_encoders_by_hand(seed: int) -> None:
    model = build(hierarchical=True, sentence_ends=(4,), pooling="mean")
    ids, length = torch.tensor([[9, 8, 4, 7, 6, 5, 4, 11]]), torch.tensor([8])
    vectors = [
        model.encoder(model.embedding[ids[:, start:stop]], torch.tensor([stop - start]))
        for start, stop in ((0, 3), (3, 7), (7, 8))
    ]
    document = model.document_encoder(torch.stack(vectors, dim=1), torch.tensor([3]))
    assert torch.allclose(model(ids, length), model.output(document), atol=1e-6)


def test_two_ratings_are_two_labels() -> None:
    assert isinstance(build(labels=2, output="ordinal").output, nn.Linear)
    assert isinstance(build(labels=1, output="sigmoid").output, nn.Linear)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": 1}, "There is 1 label"),
        ({"hierarchical": True}, "--hierarchical needs tokens that end a sentence"),
        ({"pooling": "max"}, "There is no --pooling named 'max'"),
        ({"pooling": "last+last"}, "names one pooling twice"),
        ({"output": "sigmoids"}, "There is no --output named 'sigmoids'. Did you mean 'sigmoid'"),
        ({"hidden_size": 0, "last_hidden_size": 0}, "--hidden-size 0 must be at least 1. --last-hidden-size 0"),
        ({"embedding_size": 0}, "--embedding-size 0"),
        ({"num_layers": 0}, "--num-layers 0"),
        (
            {"separate_directions": True},
            "--separate-directions needs --bidirectional true and an even --embedding-size",
        ),
        ({"separate_directions": True, "embedding_size": 4, "bidirectional": False}, "--separate-directions needs"),
        *[({name: 1.0}, f"--{name.replace('_', '-')} 1.0 must be at least 0 and below 1") for name in DROPOUTS],
    ],
)
def test_what_cannot_be_built_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("+", r"\+")):
        build(**options)


@pytest.mark.parametrize(("ids", "lengths"), [((3,), (3,)), ((2, 3), (3,)), ((2, 3), (2, 1))])
def test_shapes_that_do_not_fit_are_refused(ids: tuple[int, ...], lengths: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="give"):
        build()(torch.ones(ids, dtype=torch.int64), torch.ones(lengths, dtype=torch.int64))
    targets = torch.zeros(ids[0], dtype=torch.int64)
    with pytest.raises(ShapeError, match="give"):
        build().loss(torch.ones(ids, dtype=torch.int64), torch.ones(lengths, dtype=torch.int64), targets)
