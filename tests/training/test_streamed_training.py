"""Training on text past memory: the same batches from any start, in any process, and after any stop."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import nlp_lstm as nl
from nlp_lstm.cli._recipe_files import load_recipe
from nlp_lstm.data import (
    BufferedStream,
    StreamedSource,
    StreamedText,
    TextData,
    TextSource,
    TokenizedText,
    TokenStream,
    tokenize_splits,
)
from nlp_lstm.errors import DataError, TrainingError, UsageError
from nlp_lstm.tokenization import train_tokenizer
from nlp_lstm.training import FitResult, LanguageModelObjective, Run, fit
from nlp_lstm.training._distributed import Processes
from nlp_lstm.training._restored import MisfitError

CHAR_LM = Path(__file__).resolve().parents[2] / "recipes" / "char_lm.py"
NewRun = Callable[..., Run]
Build = Callable[..., LanguageModelObjective]


def shards_of(seed: int, documents: int = 20) -> list[list[str]]:
    chance = random.Random(seed)
    return [["".join(chance.choices("abcdef ", k=chance.randint(0, 60))) for _ in range(documents)] for _ in range(6)]


def texts_of(
    seed: int, identity: str = "as listed", characters: int | None = 6000, shards: list[list[str]] | None = None
) -> dict[str, TokenizedText]:
    """Six shards in buffers of about two hundred characters: seven batches of 3 rows of 8 tokens, or so, in each."""
    shards = shards or shards_of(seed)
    parts = [TextSource(f"shard {number}", True, lambda one=one: iter(one)) for number, one in enumerate(shards)]
    sample: Callable[[], Any] = lambda: itertools.chain.from_iterable(parts)  # noqa: E731
    source = StreamedSource("made up", True, sample, parts, [0] * len(parts), 200, characters, identity)
    valid = TextSource("valid", True, lambda: iter(["a bed", "bad"] * 20))
    tokenizer = train_tokenizer("character", ["abcdef "], byte_fallback=False)
    return tokenize_splits(TextData(source, valid, None, "made up", []), tokenizer)


@pytest.fixture
def streamed(language_model: Build, seed: int) -> Build:
    """An objective over the texts above: `streamed(run, ...)`."""

    def build(run: Run, **options: Any) -> LanguageModelObjective:
        texts = texts_of(seed)
        return language_model(run, texts["train"], texts["valid"], **options)

    return build


def same(one: Any, other: Any) -> bool:
    return torch.equal(one[0], other[0]) and all(map(torch.equal, one[1], other[1]))


def test_batches_are_those_of_the_stream_and_rows_begin_with_each_buffer(
    new_run: NewRun, streamed: Build, seed: int
) -> None:
    objective = streamed(new_run(batch_size=3, seed=5))
    train = texts_of(seed)["train"]
    assert isinstance(train, StreamedText)
    expected = list(islice(BufferedStream(train, 3, 8, 5).around(), 200))
    for number, (begins, batch) in enumerate(islice(objective.batches(0), 200)):
        position, tokens = expected[number]
        assert all(map(torch.equal, batch, tokens))
        assert begins.tolist() == [position == 0 or row == number % 32 for row in range(len(batch.inputs))]
    assert sum(position == 0 for position, _ in expected) > 20
    assert objective.batches_per_epoch == len(BufferedStream(train, 3, 8, 5))


def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that gets an entry whenever a buffer is tokenized."""
    from nlp_lstm.data import _buffered

    before, calls = _buffered.encode_pieces, []

    def wrapped(*arguments: Any) -> Any:
        calls.append(1)
        return before(*arguments)

    monkeypatch.setattr(_buffered, "encode_pieces", wrapped)
    return calls


def test_batches_are_the_same_from_any_start_and_a_position_spares_what_is_before_it(
    new_run: NewRun, streamed: Build, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(batch_size=3)
    first = streamed(run)
    whole, positions = [], [first.position(0)]
    for number, batch in enumerate(islice(first.batches(0), 1300)):
        whole.append(batch)
        positions.append(first.position(number + 1))
    borders = [number for number in range(1300) if positions[number + 1][0] == number]  # where buffers begin
    assert len(borders) > 110
    assert positions[0] == [0, 0, 0, 0, 0, 0]
    assert all(whole[number][0].all() for number in borders)
    assert all(type(number) is int for position in positions for number in position)
    calls = encoded(monkeypatch)
    chance = random.Random(seed)
    for start in [0, 1, *chance.sample(borders, 4), *chance.sample(range(1290), 4)]:
        objective = streamed(run)
        calls.clear()  # of the sample
        objective.go_on_from(start, positions[start])
        assert objective.position(start)[:5] == positions[start][:5]
        found = objective.batches(start)
        assert len(calls) <= 2  # before anything is asked for; a buffer that is over, and the next
        assert all(map(same, islice(found, 10), whole[start:]))
        assert objective.position(start + 10) == positions[start + 10]
    calls.clear()
    assert same(next(streamed(run).batches(500)), whole[500])  # without a position: from the beginning
    assert len(calls) > 20


def test_a_position_belongs_to_its_batch_where_more_have_been_read(new_run: NewRun, streamed: Build) -> None:
    run = new_run(batch_size=3)
    one, ahead = streamed(run), streamed(run)
    batches = one.batches(0)
    for _ in range(20):
        next(batches)
    for _ in islice(ahead.batches(0), 100):
        pass
    assert ahead.position(20) == [*one.position(20)[:5], 0]
    assert one.position(20)[5] > 0
    ahead.go_on_from(20, ahead.position(20))
    assert same(next(ahead.batches(20)), next(batches))


@pytest.mark.parametrize(
    "position",
    [
        *([], None, "place", [0, 0, 0, 0, 0], [0] * 7, [0, 0, 0, -1, 0, 0], [0, True, 0, 0, 0, 0]),
        *([1.0, 0, 0, 0, 0, 0], [0, 10**30, 0, 0, 0, 0], [8, 0, 0, 0, 0, 0], [0, 0, 0, 6, 0, 0]),
    ],
)
def test_a_position_that_is_none_does_not_fit(new_run: NewRun, streamed: Build, position: Any) -> None:
    objective = streamed(new_run(batch_size=3))
    with pytest.raises(MisfitError, match=r"^position .* is none before batch 7 in 6 shards$"):
        objective.go_on_from(7, position)
    objective.go_on_from(7, [7, 0, 0, 5, 0, 0])


def test_a_checkpoint_with_a_position_that_is_none_is_skipped(
    new_run: NewRun, streamed: Build, train: Callable[..., FitResult], capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"batch_size": 3, "validations": 1, "checkpoint_steps": 1}
    run = new_run(max_steps=9, **options)
    train(streamed(run), run)
    path = run.folder / "checkpoints" / "step-000000009.pt"
    state = torch.load(path, weights_only=True)
    state["position"][3] = 6
    torch.save(state, path)
    run = new_run(max_steps=11, resume=True, **options)
    assert train(streamed(run), run).steps == 11
    told = capsys.readouterr().err
    assert f"{path} does not fit the model (position [" in told
    assert "is none before batch 9 in 6 shards); trying the one before it." in told
    assert "Going on from step 8" in told


@pytest.mark.parametrize("what", ["text", "document"])
def test_another_text_at_the_position_is_named(
    new_run: NewRun, language_model: Build, train: Callable[..., FitResult], seed: int, what: str
) -> None:
    shards = shards_of(seed)
    texts = texts_of(seed, shards=shards)
    run = new_run(max_steps=30, batch_size=3, validations=1)
    train(language_model(run, texts["train"], texts["valid"]), run)
    path = run.folder / "checkpoints" / "step-000000030.pt"
    state = torch.load(path, weights_only=True)
    _, epoch, _, shard, document, _ = state["position"]
    if what == "text":
        for one in shards:  # of the same names and sizes, which is all that is known of shards
            one[:] = ["".join(reversed(text)) for text in one]
    else:
        document = state["position"][4] = document + 1
        torch.save(state, path)
    run = new_run(max_steps=40, batch_size=3, validations=1, resume=True)
    named = rf"in epoch {epoch}, in the buffer from document {document} of shard {shard} .* another text is there now"
    with pytest.raises(TrainingError, match=named):
        train(language_model(run, texts["train"], texts["valid"]), run)


def test_reading_up_to_the_position_is_no_training_time(
    new_run: NewRun, streamed: Build, train: Callable[..., FitResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    from nlp_lstm.data import _buffered

    encode, clock = _buffered.encode_pieces, [0.0]

    def slow(*arguments: Any) -> Any:
        clock[0] += 1000
        return encode(*arguments)

    def tick() -> float:
        clock[0] += 0.001
        return clock[0]

    monkeypatch.setattr(_buffered, "encode_pieces", slow)
    monkeypatch.setattr("nlp_lstm.training._trainer.time", SimpleNamespace(perf_counter=tick))
    options = {"batch_size": 3, "validations": 1, "checkpoint_every": "100000s"}
    run = new_run(max_steps=2, **options)
    assert train(streamed(run), run).seconds < 10
    run = new_run(max_steps=4, resume=True, **options)
    assert train(streamed(run), run).seconds < 10
    run = new_run(max_steps=40, resume=True, **options)
    assert 3000 < train(streamed(run), run).seconds < 9000  # the buffers that are read while it trains count
    read = clock[0]
    run = new_run(max_steps=40, resume=True, **options)
    train(streamed(run), run)  # a run that is over
    assert clock[0] < read + 10


@pytest.mark.parametrize("count", [2, 3])
def test_the_parts_of_several_processes_are_the_whole(new_run: NewRun, streamed: Build, count: int) -> None:
    first = streamed(new_run(batch_size=3))
    batches = first.batches(0)
    whole = list(islice(batches, 60))
    position = first.position(60)
    assert position[0] > 0
    whole += islice(batches, 40)
    parts = []
    for rank in range(count):
        objective = streamed(new_run(batch_size=3))
        objective.processes = Processes(rank, count)
        objective.go_on_from(60, position)
        parts.append([objective.processes.part(batch) for batch in islice(objective.batches(60), 40)])
    for number, batch in enumerate(whole[60:]):
        own = [part for part, there in (one[number] for one in parts) if there]
        assert torch.equal(torch.cat([begins for begins, _ in own]), batch[0])
        for name in ("inputs", "targets"):
            joined = torch.cat([getattr(tokens, name) for _, tokens in own])
            assert torch.equal(joined, getattr(batch[1], name))


class Crash(Exception):
    """What no one expects."""


OPTIONS: dict[str, Any] = {
    **{"max_steps": 40, "validations": 4, "batch_size": 3, "learning_rate": 0.02, "average": 0.8},
    **{"checkpoint_every": "0.000001s"},
}


def batch_at(texts: dict[str, TokenizedText], where: str) -> int:
    """Number of a batch before the last that is in the middle of a buffer, or the first of a buffer or of an epoch."""
    train, buffers, numbers = texts["train"], [], []
    assert isinstance(train, StreamedText)
    stream = BufferedStream(train, 3, 8, 0).around(opened=lambda first, place: buffers.append((first, place.epoch)))
    numbers = [number for number, _ in islice(stream, 38)]
    epochs = {first for (_, before), (first, epoch) in itertools.pairwise(buffers) if epoch > before}
    found = {
        "middle": [n for n in range(12, 38) if numbers[n] == 2],
        "buffer": [n for n in range(12, 38) if numbers[n] == 0 and n not in epochs],
        "epoch": [n for n in range(12, 38) if n in epochs],
    }
    return found[where][0]


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("where", ["middle", "buffer", "epoch"])
@pytest.mark.parametrize("signalled", [False, True])
def test_a_resumed_run_equals_the_uninterrupted_one_to_the_bit(
    new_run: NewRun,
    language_model: Build,
    saved_weights: Any,
    tmp_path: Path,
    metrics: Any,
    where: str,
    accumulate: int,
    signalled: bool,
) -> None:
    texts = texts_of(0, shards=shards_of(0, documents=4))
    options = OPTIONS | {"seed": 0, "accumulate": accumulate, "max_steps": 40 // accumulate}
    stop = batch_at(texts, where)  # the last one that is trained on, or that comes to a loss which is lost

    def trained(run: Run, stop_at: int | None = None) -> tuple[LanguageModelObjective, FitResult]:
        objective = language_model(run, texts["train"], texts["valid"], output_dropout=0.3)
        loss, calls = objective.loss, [0]

        def wrapped(*arguments: Any) -> Any:
            calls[0] += 1
            if calls[0] == stop_at:
                if not signalled:
                    raise Crash
                os.kill(os.getpid(), signal.SIGTERM)
            return loss(*arguments)

        objective.loss = wrapped  # type: ignore[method-assign]
        return objective, fit(objective, saved_weights(objective.model, run), run)

    whole_run = new_run(run=str(tmp_path / "whole"), **options)
    whole, whole_result = trained(whole_run)
    with pytest.raises((Crash, KeyboardInterrupt)):
        # The batch numbered `stop` is the first that the resumed run trains on; where a step has two, it is among them.
        trained(new_run(**options), stop if signalled else stop + 1)
    resumed_run = new_run(resume=True, **options)
    resumed, result = trained(resumed_run)
    pairs = zip(whole.model.parameters(), resumed.model.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert (whole_result.steps, whole_result.items, whole_result.best) == (result.steps, result.items, result.best)
    numbers = ("step", "epoch", "train_loss", "valid_loss", "learning_rate")
    lines = [[[line[name] for name in numbers] for line in metrics(run)] for run in (whole_run, resumed_run)]
    assert lines[0] == lines[1]
    assert len(lines[0]) == 4


def test_a_run_does_not_go_on_with_other_shards(
    new_run: NewRun, language_model: Build, train: Callable[..., FitResult], seed: int
) -> None:
    texts = texts_of(seed)
    run = new_run(max_steps=2)
    train(language_model(run, texts["train"], texts["valid"]), run)
    other = texts_of(seed, identity="one more")
    run = new_run(max_steps=4, resume=True)
    with pytest.raises(TrainingError, match="The data is not what"):
        train(language_model(run, other["train"], other["valid"]), run)


def test_a_budget_in_epochs_of_unknown_length_is_refused(new_run: NewRun, language_model: Build, seed: int) -> None:
    texts = texts_of(seed, characters=None)
    with pytest.raises(UsageError, match=r"length .* Give --max-steps or --max-time"):
        language_model(new_run(max_epochs=1), texts["train"], texts["valid"])
    assert language_model(new_run(), texts["train"], texts["valid"]).batches_per_epoch > 10**15


def test_a_text_in_memory_is_still_one_stream(new_run: NewRun, language_model: Build) -> None:
    assert isinstance(language_model(new_run()).stream, TokenStream)


def write_shards(folder: Path, count: int) -> None:
    chance = random.Random(count)
    for shard in range(count):
        texts = [" ".join(chance.choices(["tide", "gull", "boat", "sand"], k=20)) for _ in range(30)]
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        (folder / f"{shard}.jsonl").write_text(lines)


def test_a_recipe_streams_is_evaluated_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = load_recipe(CHAR_LM)
    write_shards(tmp_path, 3)
    training = nl.TrainingOptions(
        run=str(tmp_path / "run"), max_steps=3, validations=1, batch_size=4, device="cpu", threads=1
    )
    config = recipe.Config(
        data=nl.DataOptions(str(tmp_path / "*.jsonl"), stream=True, shuffle_buffer=2000, held_out_limit=500),
        model=nl.LanguageModelOptions(embedding_size=4, hidden_size=8),
        training=training,
    )
    folder = recipe.main(config)
    found = capsys.readouterr()
    assert "are valid, the next" in found.err
    assert "Streamed in buffers of 2,000 characters" in found.err
    task = nl.load(folder)
    assert task.evaluate().text() in found.out
    assert task.evaluate(split="train").text()  # of the sample
    recipe.main(replace(config, training=replace(training, resume=True, max_steps=5)))
    assert json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])["step"] == 5
    (tmp_path / "1.jsonl").unlink()
    with pytest.raises((DataError, TrainingError), match="The data is not what"):
        recipe.main(replace(config, training=replace(training, resume=True, max_steps=7)))
