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
from nlp_lstm.tasks import LONGEST_IN_TRAINING, Classification, Reading, TrainingTexts, most_tokens
from nlp_lstm.tokenization import train_tokenizer
from nlp_lstm.training import ClassificationObjective, Run, describe_error, fit
from nlp_lstm.training._classification import LOSS_SHARE

OWN = ("class_weights", "unfreeze_epochs", "word_dropout", "crop", "label_smoothing", "adversarial")

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
        own = {name: options.pop(name) for name in OWN if name in options}
        reading = Reading(max_words=options.pop("max_words", None), boundaries=options.pop("boundaries", False))
        labels = labels or [("odd" if "one" in text else "even") for text in texts]
        sizes = {"embedding_size": 4, "hidden_size": 3}
        task = Classification.build(
            train_tokenizer("word", [" ".join(WORDS)]),
            names,
            ClassifierOptions(**{**sizes, **options}),
            reading=reading,
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


def test_words_are_lost_to_the_unknown_one_anew_in_each_batch(new_run: NewRun, build: Build) -> None:
    plain, noised = build(new_run(batch_size=8)), build(new_run(batch_size=8), word_dropout=0.3)
    unknown, per_epoch = noised.task.tokenizer.unk_id, noised.batches_per_epoch
    batches = list(islice(noised.batches(0), 40 * per_epoch))
    lost = words = 0
    for before, after in zip(plain.batches(0), batches, strict=False):
        assert torch.equal(before.lengths, after.lengths)
        changed = before.ids != after.ids
        assert (after.ids[changed] == unknown).all()
        assert not changed[before.ids == 0].any(), "padding stays"
        lost, words = lost + int(changed.sum()), words + int(before.lengths.sum())
    assert lost / words == pytest.approx(0.3, abs=0.02)
    again = next(noised.batches(per_epoch + 2))
    assert torch.equal(again.ids, batches[per_epoch + 2].ids), "a batch follows from its number"
    seeded = next(build(new_run(batch_size=8, seed=1), word_dropout=0.3).batches(0))
    assert seeded.ids.shape != batches[0].ids.shape or not torch.equal(seeded.ids, batches[0].ids)
    assert all((ids != unknown).all() for ids in noised.valid_texts)


@pytest.mark.parametrize("options", [{}, {"max_words": 4}, {"max_words": 4, "crop": True}])
def test_the_ends_of_a_text_are_never_lost(options: dict[str, Any], new_run: NewRun, build: Build) -> None:
    objective = build(new_run(batch_size=8), word_dropout=0.5, boundaries=True, **options)
    end, lost, longest = objective.task.tokenizer.eos_id, 0, []
    for batch in islice(objective.batches(0), 10 * objective.batches_per_epoch):
        longest.append(batch.lengths.tolist())
        for ids, length in zip(batch.ids.tolist(), batch.lengths.tolist(), strict=True):
            assert [place for place, one in enumerate(ids) if one == end] == [0, length - 1]
            assert length <= options.get("max_words", 19) + 2
            lost += ids.count(objective.task.tokenizer.unk_id)
    assert lost > 100
    assert objective.texts.lengths.max() == max(map(max, longest))


def test_a_long_text_is_a_stretch_at_a_random_place_in_training_alone(
    new_run: NewRun, build: Build, texts: list[str]
) -> None:
    objective = build(new_run(batch_size=8), crop=True, max_words=4)
    tokenizer, found = objective.task.tokenizer, set()
    for batch in islice(objective.batches(0), 30 * objective.batches_per_epoch):
        for ids, length in zip(batch.ids, batch.lengths, strict=True):
            found.add(tokenizer.decode(ids[:length].tolist()))
    expected = set()
    for words in map(str.split, texts):
        expected |= {" ".join(words[start : start + 4]) for start in range(max(1, len(words) - 3))}
    assert found <= expected
    assert len(found) > 0.8 * len(expected), "every place is drawn at times"
    for ids, words in zip(objective.valid_texts, map(str.split, texts), strict=False):
        assert tokenizer.decode(ids) == " ".join(words if len(words) <= 4 else words[:2] + words[-2:])


def test_smoothing_spreads_a_share_of_the_probability_to_learn(new_run: NewRun, build: Build) -> None:
    objective = build(new_run(batch_size=8), label_smoothing=0.2)
    batch = next(objective.batches(0))
    nats = -F.log_softmax(objective.model(batch.ids, batch.lengths), dim=1)
    expected = (0.8 * nats.gather(1, batch.targets[:, None]).sum() + 0.2 * nats.mean(dim=1).sum()).item()
    assert objective.loss(batch, None, 1.0)[0].item() == pytest.approx(expected, rel=1e-5)
    plain = build(new_run(batch_size=8))
    plain.model.load_state_dict(objective.model.state_dict())
    assert objective.validate() == plain.validate()


def test_the_worst_change_is_in_training_alone(new_run: NewRun, build: Build) -> None:
    objective, plain = build(new_run(batch_size=8), adversarial=0.3), build(new_run(batch_size=8))
    plain.model.load_state_dict(objective.model.state_dict())
    batch = next(objective.batches(0))
    expected = objective.model.loss(batch.ids, batch.lengths, batch.targets, adversarial=0.3).item()
    found = objective.loss(batch, None, 1.0)[0].item()
    assert found == pytest.approx(expected, rel=1e-5)
    assert found > plain.loss(batch, None, 1.0)[0].item()
    assert objective.validate() == plain.validate()


def test_a_huge_text_is_a_batch_of_its_own_and_bounded(capsys: pytest.CaptureFixture[str], new_run: NewRun) -> None:
    tokenizer = train_tokenizer("word", [" ".join(WORDS)])
    task = Classification.build(tokenizer, ("a", "b"), ClassifierOptions(embedding_size=2, hidden_size=2))
    texts = ["one two three"] * 70 + [" ".join(WORDS * 12_500)]
    train = split("train", texts, ["a", "b"] * 35 + ["a"])
    objective = ClassificationObjective(task, train, train, new_run(batch_size=64))
    shapes = [tuple(batch.ids.shape) for batch in islice(objective.batches(0), objective.batches_per_epoch)]
    assert sorted(shapes) == [(1, LONGEST_IN_TRAINING), (6, 3), (64, 3)]
    assert "Training texts of more than 8,192 tokens, which are read at both ends: 1." in capsys.readouterr().err


def test_usual_batches_are_whole_and_those_of_long_texts_smaller(new_run: NewRun, seed: int) -> None:
    lengths = np.random.default_rng(seed).integers(100, 400, 300)
    assert most_tokens(64, lengths, None) == 64 * 512
    assert most_tokens(64, lengths, 1000) == 64 * 1000
    assert most_tokens(64, lengths * 10, None) == 64 * 2 * int(np.median(lengths * 10))
    reading, tokenizer = Reading(max_words=20_000), train_tokenizer("word", [" ".join(WORDS)])
    assert TrainingTexts([" ".join(WORDS * 2000)], reading, tokenizer).lengths.tolist() == [16_000], "as was asked for"


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


@pytest.mark.parametrize(
    ("budget", "epochs", "frozen"),
    [
        ({"max_epochs": 3.0}, 1.0, 1),
        ({"max_epochs": 4.0}, 1.0, 0),
        ({"max_steps": 1}, 1.0, 3),
        ({"max_epochs": 9.0, "max_steps": 14}, 1.0, 2),
        ({"max_epochs": 0.5}, 0.0, 0),
        ({"max_time": "1s"}, 1.0, None),
    ],
)
def test_layers_that_the_budget_leaves_frozen_are_said(
    budget: dict[str, Any], epochs: float, frozen: int | None, new_run: NewRun, build: Build, capsys: Any
) -> None:
    run = new_run(batch_size=8, **budget)
    objective = build(run, num_layers=2, unfreeze_epochs=epochs)
    steps = min(budget.get("max_steps", 10**6), int(budget.get("max_epochs", 0.2) * objective.batches_per_epoch))
    for batch in islice(objective.batches(0), steps):
        objective.loss(batch, None, 1.0)
    thawed = {name for name, parameter in objective.model.named_parameters() if parameter.requires_grad}
    still = sum(not thawed & set(names) for names in objective.layers)
    note, said = objective.frozen_note(steps), capsys.readouterr().err
    if frozen is None:  # how long a second lasts shows at the end
        assert "stay as they were" not in said
        assert still == 3
    else:
        assert still == frozen
        assert (note or "stay as they were") in said if still else "stay as they were" not in said
    assert (note is None) == (still == 0)
    if note is not None:
        assert note.startswith(
            f"Of the 4 layers the lowest {still} stay as they were: with --unfreeze-epochs 1 all are"
        )


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
        ({"word_dropout": 1.0}, UsageError, "--word-dropout 1.0 must be at least 0 and below 1"),
        ({"word_dropout": -0.1}, UsageError, "--word-dropout -0.1"),
        ({"adversarial": math.nan}, UsageError, "--adversarial nan must be 0"),
        ({"adversarial": math.inf}, UsageError, "--adversarial inf must be 0"),
        ({"adversarial": -0.1}, UsageError, "--adversarial -0.1 must be 0"),
        ({"label_smoothing": 1.0}, UsageError, "--label-smoothing 1.0 must be at least 0 and below 1"),
        ({"label_smoothing": 0.1, "output": "ordinal"}, UsageError, "is for --output softmax, and it is ordinal"),
        ({"crop": True}, UsageError, "--crop needs --max-words"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    arguments: dict[str, Any], error: type[Exception], message: str, new_run: NewRun, build: Build
) -> None:
    with pytest.raises(error, match=message):
        build(new_run(), **arguments)
