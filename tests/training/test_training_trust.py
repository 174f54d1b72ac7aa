"""What keeps a training trustworthy: locks, changed data, numbers that are lost, checkpoints by step."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nlp_lstm.errors import RunFolderError, TrainingError
from nlp_lstm.training import Run, _trainer
from nlp_lstm.training._command import code_state

NewRun = Callable[..., Run]


def steps(run: Run) -> list[int]:
    return [int(path.stem.removeprefix("step-")) for path in sorted((run.folder / "checkpoints").iterdir())]


def test_two_trainings_do_not_write_to_one_folder(new_run: NewRun, scripted: Any, train: Any) -> None:
    run, other = new_run(validations=1), new_run(validations=1)
    seen: list[str] = []

    def meanwhile() -> None:
        with pytest.raises(RunFolderError) as caught:
            train(scripted([1.0]), other)
        seen.append(str(caught.value))

    train(scripted([1.0], on_validate=meanwhile), run)
    (message,) = seen
    assert str(run.folder) in message


def test_a_folder_that_another_process_trains_in_is_refused_and_free_when_it_has_died(
    new_run: NewRun, scripted: Any, train: Any, tmp_path: Path
) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    code = (
        "import sys, pathlib; from nlp_lstm.training._run_folder import lock_run\n"
        "lock_run(pathlib.Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RunFolderError, match=r"Another training is writing to .*run\. Wait for it"):
            train(scripted([1.0]), new_run(validations=1))
        holder.kill()
        holder.wait()
    train(scripted([1.0]), new_run(validations=1))


def test_data_that_has_changed_since_is_refused(new_run: NewRun, scripted: Any, train: Any) -> None:
    train(scripted([1.0]), new_run(validations=1, max_steps=2))
    with pytest.raises(TrainingError, match="its text has changed since"):
        train(scripted([1.0], data_sha="six batches"), new_run(validations=1, max_steps=4, resume=True))


def test_checkpoints_by_step_and_how_many_are_kept(new_run: NewRun, scripted: Any, train: Any) -> None:
    run = new_run(validations=1, max_steps=10, checkpoint_steps=2, keep=3)
    train(scripted([1.0]), run)
    assert steps(run) == [6, 8, 10]


def test_a_lost_loss_names_the_layer_and_leaves_what_shows_it_again(new_run: NewRun, scripted: Any, train: Any) -> None:
    run = new_run(max_steps=9, validations=1)
    objective = scripted(
        [1.0], on_loss=lambda batch: (0 * objective.model.weight.sum()).abs().sqrt() if batch == 4 else 0.0
    )
    with pytest.raises(TrainingError, match="The gradients of 1 of 1 parameters are not finite: weight"):
        train(objective, run)
    values = torch.load(run.folder / "failed-step-000000005.pt", weights_only=True)
    assert values["batch"] == 4
    assert torch.equal(values["weights"][0], objective.model.weight)  # as they were before the step
    assert bool(values["weights"][0].isfinite().all())


def test_a_restart_goes_back_to_the_newest_checkpoint_at_half_the_rate(
    new_run: NewRun, scripted: Any, train: Any, capsys: pytest.CaptureFixture[str], metrics: Any
) -> None:
    failures = [4] * 4  # each loss twice: in the step, and once more to find the layer that lost it

    def lost_twice(batch: int) -> float:
        if failures and batch == failures[0]:
            failures.pop()
            return math.nan
        return 0.0

    run = new_run(max_steps=6, validations=6, learning_rate=0.01, restarts=2)
    result = train(scripted([float(n) for n in range(9, 0, -1)], on_loss=lost_twice), run)
    assert result.steps == 6
    shown = capsys.readouterr().err
    assert "Going back to step 4 with the learning rate times 0.5." in shown
    assert "Going back to step 4 with the learning rate times 0.25." in shown
    assert [line["step"] for line in metrics(run)] == [1, 2, 3, 4, 5, 6]
    assert [line["learning_rate"] for line in metrics(run)[3:]] == pytest.approx([0.01, 0.0025, 0.0025])


@pytest.mark.parametrize("counted", [True, False])
def test_a_resumed_run_has_the_restarts_left_that_it_had(
    counted: bool, new_run: NewRun, scripted: Any, train: Any
) -> None:
    failures = [2]

    def lost_once(batch: int) -> float:
        return math.nan if failures and batch == failures[0] and failures.pop() else 0.0

    options = {"validations": 1, "checkpoint_steps": 1, "restarts": 1}
    run = new_run(max_steps=4, **options)
    assert train(scripted([1.0], on_loss=lost_once), run).steps == 4
    assert failures == []
    if not counted:  # as it was before checkpoints counted them
        for path in (run.folder / "checkpoints").iterdir():
            values = torch.load(path, weights_only=True)
            assert values["numbers"].pop("restarts") == 1
            torch.save(values, path)
    failures.append(5)
    resumed = scripted([1.0], on_loss=lost_once)
    if counted:
        with pytest.raises(TrainingError, match="The loss is nan at step 6"):
            train(resumed, new_run(max_steps=8, resume=True, **options))
    else:
        assert train(resumed, new_run(max_steps=8, resume=True, **options)).steps == 8


def test_without_a_restart_left_the_loss_stays_lost(new_run: NewRun, scripted: Any, train: Any) -> None:
    run = new_run(max_steps=6, validations=6, restarts=1)
    with pytest.raises(TrainingError, match="The loss is nan at step 5"):
        train(scripted([1.0] * 9, on_loss=lambda batch: math.nan if batch == 4 else 0.0), run)
    early = new_run(run=str(run.folder.parent / "early"), max_steps=6, validations=1, restarts=1)
    with pytest.raises(TrainingError, match="The loss is nan at step 5"):  # there is nothing to go back to
        train(scripted([1.0], on_loss=lambda batch: math.nan if batch == 4 else 0.0), early)


def test_deterministic_algorithms_are_asked_for(new_run: NewRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    try:
        new_run(deterministic=True)
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


def test_the_state_of_the_code_is_recorded(tmp_path: Path, new_run: NewRun) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=tester", "-c", "user.email=tester@example.org", "-c", "init.defaultBranch=main"]
        done = subprocess.run(
            ["git", *identity, "-C", str(tmp_path), *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    recipe = tmp_path / "mine.py"
    recipe.write_text("print()\n")
    assert code_state(recipe) is None
    git("init")
    git("add", ".")
    git("commit", "-m", "mine")
    commit = git("rev-parse", "HEAD")
    assert code_state(recipe) == commit
    recipe.write_text("print(1)\n")
    assert code_state(recipe) == f"{commit}-changed"
    assert "code" in new_run().config


def test_time_spent_on_compiling_is_no_part_of_the_budget(
    new_run: NewRun, scripted: Any, train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = iter([0.0, 1e6, *[1e6] * 100])  # a million seconds within the first step
    monkeypatch.setattr(_trainer, "seconds_compiling", lambda: next(compiled))
    result = train(scripted([1.0]), new_run(max_steps=3, validations=1))
    assert result.seconds < -9e5  # no clock ran that long, so that what was taken off shows
