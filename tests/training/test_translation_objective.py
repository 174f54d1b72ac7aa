"""The translator's objective: batches that repeat and go on anywhere, a loss per token, validation without noise."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import nlp_lstm as nl
from nlp_lstm.data import PairData, PairSplit
from nlp_lstm.errors import DataError, UsageError
from nlp_lstm.models import EncoderDecoder, EncoderDecoderOptions, PairBatch
from nlp_lstm.tasks import Translation, train_tokenizers
from nlp_lstm.training import Run, TranslationObjective, fit

NewRun = Callable[..., Run]
WORDS = ["low", "lower", "lowest", "new", "newer", "newest", "wide", "wider", "widest"]


def split(name: str, count: int, seed: int) -> PairSplit:
    chance = random.Random(seed)
    sources = [" ".join(chance.choices(WORDS, k=chance.randint(1, 9))) for _ in range(count)]
    return PairSplit(name, sources, [" ".join(reversed(source.split())) for source in sources])


DATA = PairData({"train": split("train", 50, 1), "valid": split("valid", 20, 2)}, "made up", [])


def build(
    run: Run, tokenizer: str = "bpe", shared: bool = True, data: PairData = DATA, **options: Any
) -> TranslationObjective:
    objective_options = {name: options.pop(name) for name in ("batch_tokens", "subword_sampling") if name in options}
    source, target = train_tokenizers(tokenizer, DATA.split("train"), 300 if tokenizer == "bpe" else None, shared)
    sizes = {"embedding_size": 8, "encoder_size": 6, "decoder_size": 12, "shared": shared}
    model = EncoderDecoder(source.vocab_size, target.vocab_size, EncoderDecoderOptions(**{**sizes, **options}))
    return TranslationObjective(Translation(model, source, target), data, run, **objective_options)


def texts(objective: TranslationObjective, batch: PairBatch) -> list[tuple[str, str]]:
    """The pairs of a batch, read back; each must begin and end as it should."""
    read = []
    for source, length, target, target_length in zip(*(tensor.tolist() for tensor in batch), strict=True):
        assert (source[length - 1], target[0], target[target_length - 1]) == (3, 2, 3)
        read.append(
            (objective.train.source.decode(source[:length]), objective.train.target.decode(target[:target_length]))
        )
    return read


@pytest.mark.parametrize("shared", [True, False])
def test_each_epoch_reads_every_pair_once(new_run: NewRun, shared: bool) -> None:
    objective = build(new_run(batch_size=8), shared=shared)
    epochs = islice(objective.batches(0), 2 * objective.batches_per_epoch)
    read = Counter(pair for batch in epochs for pair in texts(objective, batch))
    train = DATA.split("train")
    assert read == Counter(2 * list(zip(train.sources, train.targets, strict=True)))


@pytest.mark.parametrize("sampling", [0.0, 0.3])
def test_a_batch_is_a_function_of_seed_and_number(new_run: NewRun, sampling: float) -> None:
    objective, again = (build(new_run(batch_size=8, seed=4), subword_sampling=sampling) for _ in range(2))
    first = list(islice(objective.batches(0), 20))
    later = list(islice(again.batches(9), 11))  # a resumed run, which has not seen what came before
    for one, other in zip(first[9:], later, strict=True):
        assert all(torch.equal(*tensors) for tensors in zip(one, other, strict=True))
    other_seed = build(new_run(batch_size=8, seed=5), subword_sampling=sampling).batch(0)
    assert texts(objective, other_seed) != texts(objective, first[0])


def test_batches_can_be_measured_in_tokens(new_run: NewRun) -> None:
    objective = build(new_run(batch_size=1000), batch_tokens=150)
    assert objective.batches_per_epoch > 3
    for batch in islice(objective.batches(0), objective.batches_per_epoch):
        assert batch.source.numel() + batch.target.numel() <= 150
    in_pairs = build(new_run(batch_size=7))
    assert max(len(batch.source) for batch in islice(in_pairs.batches(0), in_pairs.batches_per_epoch)) == 7


@pytest.mark.parametrize("shared", [True, False])
def test_subword_sampling_cuts_training_words_anew_and_validation_not(new_run: NewRun, shared: bool) -> None:
    objective = build(new_run(batch_size=8), shared=shared, subword_sampling=0.4)
    plain = build(new_run(batch_size=8), shared=shared)
    cuts: dict[str, set[tuple[int, ...]]] = {}
    for batch in islice(objective.batches(0), 3 * objective.batches_per_epoch):
        for source, length in zip(batch.source.tolist(), batch.source_lengths.tolist(), strict=True):
            cuts.setdefault(objective.train.source.decode(source[:length]), set()).add(tuple(source[:length]))
    assert cuts.keys() == set(DATA.split("train").sources)
    assert sum(len(variants) > 1 for variants in cuts.values()) > 25
    for one, other in zip(objective.valid, plain.valid, strict=True):
        assert all(torch.equal(*tensors) for tensors in zip(one, other, strict=True))


def test_the_loss_is_smoothed_nats_and_the_count_is_of_targets(new_run: NewRun) -> None:
    objective = build(new_run(batch_size=8), dropout=0.0, label_smoothing=0.3)
    batch = objective.batch(0)
    assert objective.count(batch) == sum(
        len(objective.train.target.encode(target)) + 1 for _, target in texts(objective, batch)
    )
    decoded, _, targets = objective.model.decode(batch)
    logits = objective.model.output.logits(decoded.features)
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum", label_smoothing=0.3)
    value, carry = objective.loss(batch, None, 0.01)
    torch.testing.assert_close(value, 0.01 * expected)
    assert carry is None


def test_validation_is_the_mean_of_plain_nats_without_dropout(new_run: NewRun) -> None:
    objective = build(new_run(), dropout=0.5, word_dropout=0.2)
    generator = torch.get_rng_state()
    value = objective.validate()
    assert torch.equal(torch.get_rng_state(), generator)
    assert objective.model.training
    objective.model.eval()
    total, count = 0.0, 0
    valid = DATA.split("valid")
    for source, target in zip(valid.sources, valid.targets, strict=True):
        ids = torch.tensor([[*objective.train.source.encode(source), 3]])
        written = [*objective.train.target.encode(target), 3]
        state = objective.model.start(objective.model.encode(ids, torch.tensor([ids.shape[1]])))
        for read, following in zip([2, *written[:-1]], written, strict=True):
            logits, state = objective.model.step(torch.tensor([read]), state)
            total -= logits.log_softmax(dim=-1)[0, following].item()
            count += 1
    assert value == pytest.approx(total / count, rel=1e-4)


def test_bf16_gives_about_the_loss_of_fp32(new_run: NewRun) -> None:
    losses = []
    for precision in ("fp32", "bf16"):
        torch.manual_seed(1)
        objective = build(new_run(precision=precision, batch_size=8), dropout=0.0)
        losses.append(objective.loss(objective.batch(0), None, 0.01)[0].item())
    assert losses[1] == pytest.approx(losses[0], rel=2e-2)
    assert losses[1] != losses[0]


def test_the_task_learns_how_long_sources_are(new_run: NewRun) -> None:
    long = PairSplit("train", ["low " * 200, "new"], ["new", "low " * 15])
    data = PairData({"train": long, "valid": DATA.split("valid")}, "made up", [])
    source, target = train_tokenizers("word", DATA.split("train"))
    model = EncoderDecoder(
        source.vocab_size, target.vocab_size, EncoderDecoderOptions(embedding_size=4, encoder_size=2, decoder_size=4)
    )
    task = Translation(model, source, target)
    TranslationObjective(task, data, new_run())
    assert task.limits.longest_source == 201
    assert task.limits.target_ratio == 2.5  # fifteen tokens, ten of them granted anyway, for one and the end


def test_it_is_known_by_its_data(new_run: NewRun) -> None:
    other = PairData({"train": split("train", 50, 9), "valid": DATA.split("valid")}, "made up", [])
    assert build(new_run()).data_sha == build(new_run()).data_sha != build(new_run(), data=other).data_sha


def test_an_empty_split_is_refused(new_run: NewRun) -> None:
    data = PairData({"train": DATA.split("train"), "valid": PairSplit("valid", [], [])}, "made up", [])
    with pytest.raises(DataError, match=r"no pairs in the valid split. Check --data"):
        build(new_run(), data=data)


def test_sampling_a_tokenizer_that_cannot_is_refused(new_run: NewRun) -> None:
    with pytest.raises(UsageError, match="not known to the tokenizer character"):
        build(new_run(), tokenizer="character", subword_sampling=0.1)


def test_a_run_goes_on_as_if_it_had_not_stopped(new_run: NewRun, tmp_path: Any) -> None:
    def train(folder: str, steps: int, resume: bool = False) -> list[torch.Tensor]:
        torch.manual_seed(0)
        run = new_run(run=str(tmp_path / folder), max_steps=steps, batch_size=8, resume=resume, validations=steps)
        objective = build(run, dropout=0.3, subword_sampling=0.2)
        task = Translation(objective.model, objective.train.source, objective.train.target, run.config)
        fit(objective, task, run, item=task.item)
        return [parameter.detach().clone() for parameter in objective.model.parameters()]

    whole = train("whole", 8)
    train("cut", 4)
    for one, other in zip(whole, train("cut", 8, resume=True), strict=True):
        assert torch.equal(one, other)
    assert nl.load(tmp_path / "cut").kind == "translation"
