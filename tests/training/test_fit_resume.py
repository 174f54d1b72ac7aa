"""Stopping and going on: the resumed run equals the one that was never stopped, to the bit."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch

from nlp_lstm.errors import TrainingError
from nlp_lstm.training import FitResult, LanguageModelObjective, Run, fit
from nlp_lstm.training._checkpoint import newest_checkpoint, save_checkpoint

NewRun = Callable[..., Run]
Train = Callable[..., tuple[LanguageModelObjective, FitResult]]
Metrics = Callable[[Run], list[dict[str, Any]]]

# All that has a state: dropout, the average, a schedule that looks back, accumulated batches, more than one epoch.
OPTIONS = {
    **{"max_steps": 12, "validations": 12, "accumulate": 2, "batch_size": 4, "learning_rate": 0.05, "average": 0.8},
    **{"schedule": "plateau", "plateau_factor": 0.5, "warmup": 0.3, "checkpoint_every": "0.000001s"},
}
DROPOUTS = dict.fromkeys(("input_dropout", "output_dropout", "embedding_dropout", "weight_dropout"), 0.3)
TIMES = {"seconds", "items_per_second", "at"}


class Crash(Exception):
    """What no one expects."""


def stop_at(objective: LanguageModelObjective, step: int, stop: Callable[[], None]) -> None:
    """Call `stop` in the second loss of optimiser step number `step` of this process."""
    loss, calls = objective.loss, [0]

    def wrapped(*arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] == 2 * step:
            stop()
        return loss(*arguments)

    objective.loss = wrapped  # type: ignore[method-assign]


@pytest.fixture
def train(language_model: Callable[..., LanguageModelObjective], saved_weights: Any) -> Train:
    def train(run: Run, stop: tuple[int, Callable[[], None]] | None = None) -> tuple[LanguageModelObjective, FitResult]:
        objective = language_model(run, num_layers=2, hidden_dropout=0.3, **DROPOUTS)
        if stop is not None:
            stop_at(objective, *stop)
        return objective, fit(objective, saved_weights(objective.model, run), run)

    return train


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def crash() -> None:
    raise Crash


def deterministic(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def assert_equal_runs(
    whole: tuple[LanguageModelObjective, FitResult], other: tuple[LanguageModelObjective, FitResult]
) -> None:
    pairs = zip(whole[0].model.named_parameters(), other[0].model.parameters(), strict=True)
    assert [name for (name, one), two in pairs if not torch.equal(one, two)] == []
    assert (whole[1].steps, whole[1].items, whole[1].best) == (other[1].steps, other[1].items, other[1].best)


@pytest.mark.parametrize(
    ("optimizer", "step", "stop", "error"),
    [
        ("adamw", 1, interrupt, KeyboardInterrupt),
        ("adamw", 5, interrupt, KeyboardInterrupt),
        ("sgd", 2, crash, Crash),
        ("muon", 10, crash, Crash),
    ],
)
def test_a_resumed_run_equals_the_uninterrupted_one_to_the_bit(
    new_run: NewRun,
    train: Train,
    metrics: Metrics,
    tmp_path: Path,
    optimizer: str,
    step: int,
    stop: Callable[[], None],
    error: type[BaseException],
) -> None:
    options = OPTIONS | {"optimizer": optimizer}
    whole_run = new_run(run=str(tmp_path / "whole"), **options)
    whole = train(whole_run)
    with pytest.raises(error):
        train(new_run(**options), (step, stop))
    # The crash comes within a step, which the newest checkpoint, that of the step before, has not seen.
    resumed_run = new_run(resume=True, **options)
    resumed = train(resumed_run)
    assert_equal_runs(whole, resumed)
    assert deterministic(metrics(resumed_run)) == deterministic(metrics(whole_run))
    assert len(metrics(whole_run)) == 12
    assert len({line["learning_rate"] for line in metrics(whole_run)}) > 2  # warm-up and plateau were both at work
    saved = [(run.folder / "model.safetensors").read_bytes() for run in (whole_run, resumed_run)]
    assert saved[0] == saved[1]


def test_every_validation_is_followed_by_a_checkpoint(
    new_run: NewRun, train: Train, metrics: Metrics, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = OPTIONS | {"checkpoint_every": "1h", "validations": 4}
    whole_run = new_run(run=str(tmp_path / "whole"), **options)
    whole = train(whole_run)
    with pytest.raises(Crash):
        train(new_run(**options), (8, crash))
    resumed_run = new_run(resume=True, **options)
    resumed = train(resumed_run)
    assert "Going on from step 6 of" in capsys.readouterr().err
    assert_equal_runs(whole, resumed)
    assert deterministic(metrics(resumed_run)) == deterministic(metrics(whole_run))


def test_a_damaged_newest_checkpoint_is_skipped_and_what_came_after_it_is_done_again(
    new_run: NewRun, train: Train, metrics: Metrics, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole_run = new_run(run=str(tmp_path / "whole"), **OPTIONS)
    whole = train(whole_run)
    with pytest.raises(KeyboardInterrupt):
        train(new_run(**OPTIONS), (7, interrupt))
    newest = tmp_path / "run" / "checkpoints" / "step-000000007.pt"
    newest.write_bytes(newest.read_bytes()[:-1000])
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "tr')  # what a crash may leave
    capsys.readouterr()
    resumed_run = new_run(resume=True, **OPTIONS)
    resumed = train(resumed_run)
    error = capsys.readouterr().err
    assert f"{newest} does not load (" in error
    assert "trying the one before it" in error
    assert "Going on from step 6 of" in error
    assert_equal_runs(whole, resumed)
    assert deterministic(metrics(resumed_run)) == deterministic(metrics(whole_run))


def test_a_run_that_dies_before_its_first_step_is_over_begins_again_from_its_start(
    new_run: NewRun, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = train(new_run(run=str(tmp_path / "whole"), **OPTIONS))
    with pytest.raises(Crash):
        train(new_run(**OPTIONS), (1, crash))
    torch.manual_seed(99)
    resumed = train(new_run(resume=True, **OPTIONS | {"seed": 0}))
    assert "Going on from step 0 of" in capsys.readouterr().err
    assert_equal_runs(whole, resumed)


def test_what_a_killed_run_was_writing_is_removed(new_run: NewRun, train: Train, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(new_run(**OPTIONS), (3, interrupt))
    left = [tmp_path / "run" / name for name in (".model.safetensors.77", "checkpoints/.step-000000004.pt.77")]
    own = tmp_path / "run" / ".hidden.txt"
    for path in (*left, own):
        path.write_bytes(b"half")
    train(new_run(resume=True, **OPTIONS))
    assert [path.exists() for path in (*left, own)] == [False, False, True]


def test_without_a_checkpoint_that_loads_there_is_nothing_to_resume(
    new_run: NewRun, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Crash):
        train(new_run(**OPTIONS | {"checkpoint_every": "1h", "validations": 1}), (3, crash))
    (tmp_path / "run" / "checkpoints" / "step-000000000.pt").unlink()
    run = new_run(resume=True, **OPTIONS)
    with pytest.raises(TrainingError, match=r"no checkpoint that loads.*Train anew"):
        train(run)
    (tmp_path / "run" / "checkpoints" / "step-000000002.pt").write_bytes(b"")
    with pytest.raises(TrainingError, match="no checkpoint that loads"):
        train(run)
    assert "step-000000002.pt does not load" in capsys.readouterr().err


class Hostile:
    """What makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.folder,)


def test_a_checkpoint_that_would_run_code_is_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "checkpoints").mkdir()
    torch.save({"numbers": Hostile(tmp_path / "hacked")}, tmp_path / "checkpoints" / "step-000000001.pt")
    with pytest.raises(TrainingError, match="no checkpoint that loads"):
        newest_checkpoint(tmp_path)
    assert "does not load" in capsys.readouterr().err
    assert not (tmp_path / "hacked").exists()


def test_a_checkpoint_of_another_model_is_refused(
    new_run: NewRun, train: Train, language_model: Any, saved_weights: Any
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(new_run(**OPTIONS), (3, interrupt))
    run = new_run(resume=True, **OPTIONS)
    for options in ({"hidden_size": 10, "num_layers": 2}, {"num_layers": 1}):
        objective = language_model(run, **options)
        with pytest.raises(TrainingError, match=r"does not fit the model .*Train anew"):
            fit(objective, saved_weights(objective.model, run), run)


def test_a_run_that_is_over_stays_as_it_is_and_goes_on_with_a_larger_budget(
    new_run: NewRun, train: Train, metrics: Metrics, capsys: pytest.CaptureFixture[str]
) -> None:
    steady = OPTIONS | {"schedule": "constant", "warmup": 0.0, "max_steps": 6, "validations": 6}
    first = train(new_run(**steady))
    capsys.readouterr()
    again = train(new_run(resume=True, **steady))
    assert_equal_runs(first, again)
    assert "It is over. To train for longer, raise --max-time" in capsys.readouterr().err
    run = new_run(resume=True, **steady | {"max_steps": 12, "validations": 12})
    longer = train(run)
    assert "It is over" not in capsys.readouterr().err
    whole = train(new_run(run=str(run.folder / "whole"), **steady | {"max_steps": 12, "validations": 12}))
    assert_equal_runs(whole, longer)
    assert [line["step"] for line in metrics(run)] == list(range(1, 13))


def test_the_validations_of_a_larger_budget_are_spread_over_it(new_run: NewRun, train: Train, metrics: Metrics) -> None:
    train(new_run(**OPTIONS | {"max_steps": 4, "validations": 2}))
    run = new_run(resume=True, **OPTIONS | {"max_steps": 12, "validations": 2})
    train(run)
    assert [line["step"] for line in metrics(run)] == [2, 4, 6, 12]


def test_a_run_without_patience_left_is_over(
    new_run: NewRun, scripted: Any, saved_weights: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = ((False, 1, 2, False), (True, 1, 2, True), (True, 2, 3, False))
    for resume, patience, steps, message in cases:
        run = new_run(max_steps=9, validations=9, patience=patience, resume=resume)
        objective = scripted([5.0] * 9 if resume else [3.0, 4.0])
        assert fit(objective, saved_weights(objective.model, run), run).steps == steps
        assert ("It is over." in capsys.readouterr().err) == message


def test_a_run_cut_short_before_its_first_validation_is_validated_at_the_end(
    new_run: NewRun, train: Train, metrics: Metrics
) -> None:
    few = OPTIONS | {"validations": 1}
    with pytest.raises(KeyboardInterrupt):
        train(new_run(**few), (5, interrupt))
    run = new_run(resume=True, **few | {"max_steps": 3})
    objective, result = train(run)
    assert result.steps == 5
    assert result.best == metrics(run)[0]["valid_loss"] == objective.validate()


def test_a_checkpoint_that_cannot_be_written_leaves_the_ones_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "checkpoints").mkdir()
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, step, {"step": step}, keep=2)

    def fail(state: Any, file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(tmp_path, 4, {}, keep=2)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "step-000000002.pt",
        "step-000000003.pt",
    ]
    assert newest_checkpoint(tmp_path) == {"step": 3}
