"""What a classifier is trained by: batches, loss, validation, and thawing from a language model."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nlp_lstm.data import LabelledSplit
from nlp_lstm.errors import DataError, UsageError
from nlp_lstm.models import ClassifierOptions
from nlp_lstm.tasks import Classification
from nlp_lstm.tokenization import train_tokenizer
from nlp_lstm.training import ClassificationObjective, Run, describe_error, fit
from nlp_lstm.training._classification import LOSS_SHARE

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight"]

NewRun = Callable[..., Run]


def split(name: str, texts: list[str], labels: list[Any]) -> LabelledSplit:
    tuples = [label if isinstance(label, tuple) else (label,) for label in labels]
    return LabelledSplit(name, texts, tuples, [f"{name}, line {number}" for number, _ in enumerate(texts)])


@pytest.fixture
def texts(seed: int) -> list[str]:
    chance = np.random.default_rng(seed)
    return [" ".join(chance.choice(WORDS, size)) for size in chance.integers(1, 20, 50)]


@pytest.fixture
def build(texts: list[str]) -> Callable[..., ClassificationObjective]:
    def make(
        run: Run, labels: list[Any] | None = None, names: tuple[str, ...] = ("even", "odd"), **options: Any
    ) -> ClassificationObjective:
        own = {name: options.pop(name) for name in ("class_weights", "unfreeze_epochs") if name in options}
        labels = labels or [("odd" if "one" in text else "even") for text in texts]
        sizes = {"embedding_size": 4, "hidden_size": 3}
        task = Classification.build(
            train_tokenizer("word", [" ".join(WORDS)]), names, ClassifierOptions(**{**sizes, **options})
        )
        train, valid = split("train", texts, labels), split("valid", texts[:20], labels[:20])
        return ClassificationObjective(task, train, valid, run, **own)

    return make


Build = Callable[..., ClassificationObjective]


def test_every_text_is_in_one_batch_an_epoch_with_its_label(new_run: NewRun, build: Build, texts: list[str]) -> None:
    objective = build(new_run(batch_size=8))
    per_epoch = objective.batches_per_epoch
    epochs = list(islice(objective.batches(0), 2 * per_epoch))
    for epoch in (epochs[:per_epoch], epochs[per_epoch:]):
        seen = []
        for batch in epoch:
            assert objective.count(batch) == len(batch.ids) <= 8
            for ids, length, target in zip(batch.ids, batch.lengths, batch.targets, strict=True):
                text = objective.task.tokenizer.decode(ids[:length].tolist())
                assert int(target) == int("one" in text)
                assert not ids[length:].any()
                seen.append(text)
        assert sorted(seen) == sorted(texts)
    later = next(objective.batches(per_epoch + 1))
    assert torch.equal(later.ids, epochs[per_epoch + 1].ids)
    assert later.number == per_epoch + 1


def test_the_loss_is_that_of_the_model(new_run: NewRun, build: Build) -> None:
    objective = build(new_run(batch_size=8))
    batch = next(objective.batches(0))
    loss, carry = objective.loss(batch, None, 0.5)
    expected = F.cross_entropy(objective.model(batch.ids, batch.lengths), batch.targets, reduction="sum")
    assert loss.item() == pytest.approx(0.5 * expected.item(), rel=1e-5)
    assert carry is None


def test_validation_is_the_error_rate_and_a_small_share_of_the_loss(new_run: NewRun, build: Build) -> None:
    objective = build(new_run(), output_dropout=0.5)
    objective.model.train()
    value = objective.validate()
    assert objective.model.training
    logits = torch.from_numpy(objective.task.logits_of_ids(objective.valid_texts))
    wrong = float((logits.argmax(1) != objective.valid_targets).float().mean())
    nats = float(F.cross_entropy(logits, objective.valid_targets))
    assert value == pytest.approx(wrong + LOSS_SHARE * nats, rel=1e-5)
    assert describe_error(0.12345) == "error 12.35%"


def test_fewer_errors_go_before_a_lower_loss(new_run: NewRun, build: Build) -> None:
    objective = build(new_run())
    size = len(objective.valid_targets)
    right = F.one_hot(objective.valid_targets, 2).float()
    sure = 6 * right  # small loss but for one text, which is wrong
    sure[0] = 1e-3 * (1 - right[0])
    unsure = 1e-3 * right  # all right, barely
    values = []
    for logits in (sure, unsure):
        objective.task.logits_of_ids = lambda texts, logits=logits: logits.numpy()
        values.append(objective.validate())
    assert values[1] < values[0]
    assert values[0] == pytest.approx(1 / size, abs=2e-3)


def test_class_weights_make_each_label_count_the_same(new_run: NewRun, build: Build, texts: list[str]) -> None:
    labels = ["odd"] * 5 + ["even"] * 45
    objective = build(new_run(batch_size=50), labels, class_weights=True)
    assert objective.weights.tolist() == pytest.approx([50 / 90, 5.0])
    constant = torch.tensor([[1.0, 0.0]]).expand(20, 2)
    objective.task.logits_of_ids = lambda texts: constant.numpy()
    assert objective.validate() == pytest.approx(5 * 5 / (5 * 5 + 15 * 50 / 90), abs=5e-3)
    batch = next(objective.batches(0))
    plain = F.cross_entropy(
        objective.model(batch.ids, batch.lengths), batch.targets, objective.weights, reduction="sum"
    )
    assert objective.loss(batch, None, 1.0)[0].item() == pytest.approx(plain.item(), rel=1e-5)


def test_several_labels_are_decided_one_by_one(new_run: NewRun, build: Build, texts: list[str]) -> None:
    labels = [tuple(word for word in ("one", "two") if word in text) for text in texts]
    objective = build(new_run(), labels, names=("one", "two"), output="sigmoid")
    assert objective.targets.shape == (50, 2)
    logits = torch.from_numpy(objective.task.logits_of_ids(objective.valid_texts))
    wrong = float(((logits > 0) != (objective.valid_targets == 1)).float().mean())
    nats = float(F.binary_cross_entropy_with_logits(logits, objective.valid_targets.float())) * 2
    assert objective.validate() == pytest.approx(wrong + LOSS_SHARE * nats, rel=1e-5)
    assert math.isfinite(objective.loss(next(objective.batches(0)), None, 1.0)[0].item())


def test_layers_thaw_from_the_top_one_an_epoch(new_run: NewRun, build: Build) -> None:
    objective = build(new_run(batch_size=8), num_layers=2, pooling="attention", unfreeze_epochs=0.5)
    groups = [set(names) for names in objective.layers]
    assert [any("embedding" in name for name in group) for group in groups] == [False, False, False, True]
    assert all(".1." in name for name in groups[1])
    assert all(".0." in name for name in groups[2])
    assert any("attention" in name for name in groups[0])
    assert any("backward_layers.1" in name for name in groups[1])
    everything = {name for name, _ in objective.model.named_parameters()}
    assert set.union(*groups) == everything
    half = objective.batches_per_epoch / 2
    for batch in islice(objective.batches(0), 2 * objective.batches_per_epoch + 1):
        objective.loss(batch, None, 1.0)
        thawed = {name for name, parameter in objective.model.named_parameters() if parameter.requires_grad}
        assert thawed == set.union(*groups[: 1 + int(batch.number / half)])
    assert thawed == everything


def test_rates_are_smaller_further_down(new_run: NewRun, build: Build) -> None:
    objective = build(new_run(), num_layers=2, unfreeze_epochs=0.0)
    scales = objective.rate_scales
    assert set(scales) == {name for name, _ in objective.model.named_parameters()}
    assert scales["output.bias"] == 1.0
    assert scales["encoder.layers.1.weight_hh_l0"] == pytest.approx(1 / 2.6)
    assert scales["encoder.layers.0.weight_hh_l0"] == pytest.approx(1 / 2.6**2)
    assert scales["embedding"] == pytest.approx(1 / 2.6**3)
    objective.loss(next(objective.batches(0)), None, 1.0)
    assert all(parameter.requires_grad for parameter in objective.model.parameters())
    assert build(new_run()).rate_scales == {}


def test_a_classifier_learns_and_keeps_its_best_weights(new_run: NewRun, build: Build) -> None:
    run = new_run(max_epochs=25, batch_size=10, learning_rate=0.05, validations=5)
    objective = build(run)
    before = objective.validate()
    result = fit(objective, objective.task, run, item="text", describe=describe_error)
    assert result.best == pytest.approx(objective.validate(), abs=1e-6)
    assert result.best < 0.1 < before
    assert result.items == 25 * 50


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"unfreeze_epochs": -1.0}, UsageError, "--unfreeze-epochs -1.0"),
        ({"labels": ["odd"] * 49 + ["prime"]}, DataError, "train, line 49 has the label 'prime'"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    arguments: dict[str, Any], error: type[Exception], message: str, new_run: NewRun, build: Build
) -> None:
    with pytest.raises(error, match=message):
        build(new_run(), **arguments)
