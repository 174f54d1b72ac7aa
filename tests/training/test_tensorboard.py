"""The numbers that TensorBoard's own reader finds, against metrics.jsonl."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nlp_lstm.errors import UsageError
from nlp_lstm.training import Run

NewRun = Callable[..., Run]


def read(run: Run) -> dict[str, list[tuple[int, float]]]:
    """Give (step, value) of every scalar, as TensorBoard shows them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run.folder / "tensorboard"), purge_orphaned_data=True)
    found.Reload()
    return {name: [(one.step, one.value) for one in found.Scalars(name)] for name in found.Tags()["scalars"]}


def expected(metrics: list[dict[str, Any]]) -> dict[str, list[tuple[int, Any]]]:
    names = [name for name in metrics[0] if name not in ("step", "at")]
    return {name: [(line["step"], pytest.approx(line[name])) for line in metrics] for name in names}


def test_the_metrics_are_there_by_step(new_run: NewRun, scripted: Any, train: Any, metrics: Any) -> None:
    run = new_run(max_steps=6, validations=3, tensorboard=True)
    train(scripted([3.0, 2.0, 1.0]), run)
    assert len(metrics(run)) == 3
    assert read(run) == expected(metrics(run))


def test_what_a_stopped_run_wrote_after_its_checkpoint_is_hidden(
    new_run: NewRun, scripted: Any, train: Any, metrics: Any
) -> None:
    options = {"max_steps": 6, "validations": 6, "tensorboard": True, "keep": 9}
    run = new_run(**options)
    train(scripted([6.0, 5.0, 4.0, 3.0, 2.0, 1.0]), run)
    for path in sorted((run.folder / "checkpoints").iterdir())[-3:]:  # as if it had died after step 3
        path.unlink()
    resumed = new_run(**options, resume=True)
    train(scripted([2.5, 1.5, 0.5]), resumed)
    assert [line["step"] for line in metrics(resumed)] == [1, 2, 3, 4, 5, 6]
    assert read(resumed) == expected(metrics(resumed))


def test_it_may_be_asked_for_when_a_run_goes_on(new_run: NewRun, scripted: Any, train: Any, metrics: Any) -> None:
    train(scripted([2.0]), new_run(max_steps=2, validations=1))
    run = new_run(max_steps=4, validations=1, resume=True, tensorboard=True)
    train(scripted([1.0]), run)
    assert read(run) == expected(metrics(run)[1:])


def test_nothing_is_written_unless_it_is_asked_for(new_run: NewRun, scripted: Any, train: Any) -> None:
    run = new_run(validations=1)
    train(scripted([1.0]), run)
    assert not (run.folder / "tensorboard").exists()


def test_without_tensorboard_the_error_says_how_to_get_it(
    new_run: NewRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match=r"pip install 'nlp-lstm\[tensorboard\]'"):
        new_run(tensorboard=True)
    assert list(tmp_path.iterdir()) == []
