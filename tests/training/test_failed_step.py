"""A step whose loss is lost is kept, and can be computed again: weights, batches, carried state, and what it drew."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nlp_lstm.errors import TrainingError
from nlp_lstm.training import LanguageModelObjective, Run, repeat_failed_step

NewRun = Callable[..., Run]
LanguageModels = Callable[..., LanguageModelObjective]
OPTIONS = {"max_steps": 9, "validations": 1, "batch_size": 4, "accumulate": 2}
DROPOUTS = dict.fromkeys(("input_dropout", "output_dropout", "hidden_dropout", "weight_dropout"), 0.3)


def losing(objective: Any, fails_at: int | None = None) -> list[float]:
    """Make the loss of one call infinite, and give the list to which those of all are added before that is done."""
    found: list[float] = []
    loss = objective.loss

    def lossy(*arguments: Any) -> tuple[Tensor, Any]:
        value, carry = loss(*arguments)
        found.append(float(value.detach()))
        return (value * math.inf if len(found) == fails_at else value), carry

    objective.loss = lossy
    return found


@pytest.fixture
def failed(new_run: NewRun, language_model: LanguageModels, train: Any) -> tuple[Path, list[float]]:
    """What a training kept that failed in step 4, and the losses of that step's two batches, but for the infinity."""
    run = new_run(**OPTIONS)
    objective = language_model(run, **DROPOUTS)
    found = losing(objective, fails_at=8)
    with pytest.raises(TrainingError, match="The loss is nan at step 4, in batch 6 of the data"):
        train(objective, run)
    assert found[8:] == pytest.approx(found[6:8]), "the layer is looked for with other draws than the step's"
    return run.folder / "failed-step-000000004.pt", found[6:8]


def test_the_loss_is_the_same_to_the_bit_with_dropout_and_a_carried_state(
    failed: tuple[Path, list[float]], new_run: NewRun, language_model: LanguageModels, tmp_path: Path
) -> None:
    file, losses = failed
    values = torch.load(file, weights_only=True)
    assert (values["batch"], values["batches"]) == (6, 2)
    assert values["carry"] is not None
    objective = language_model(new_run(run=str(tmp_path / "another"), **OPTIONS, seed=5), **DROPOUTS)
    again = losing(objective, fails_at=2)
    loss = repeat_failed_step(file, objective)
    assert again == losses
    assert float(loss.detach()) == math.inf
    loss.backward()
    assert not all(bool(parameter.grad.isfinite().all()) for parameter in objective.model.parameters())


def test_what_it_drew_matters(
    failed: tuple[Path, list[float]], new_run: NewRun, language_model: LanguageModels, tmp_path: Path
) -> None:
    file, losses = failed
    values = torch.load(file, weights_only=True)
    torch.save(values | {"generators": [[torch.get_rng_state()]]}, file)
    objective = language_model(new_run(run=str(tmp_path / "another"), **OPTIONS), **DROPOUTS)
    again = losing(objective)
    assert math.isfinite(float(repeat_failed_step(file, objective).detach()))
    assert set(again).isdisjoint(losses)


def test_a_file_of_something_else_is_refused(
    failed: tuple[Path, list[float]], new_run: NewRun, language_model: LanguageModels, scripted: Any, tmp_path: Path
) -> None:
    file, _ = failed
    run = new_run(run=str(tmp_path / "another"), **OPTIONS)
    with pytest.raises(TrainingError, match=r"step-000000004\.pt does not fit .* its batches are of other data"):
        repeat_failed_step(file, scripted([1.0]))
    with pytest.raises(TrainingError, match=r"does not fit .* weights, tensor 0, is .* Build those of its run\."):
        repeat_failed_step(file, language_model(run, embedding_size=4))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(TrainingError, match=r"step-000000004\.pt does not load"):
        repeat_failed_step(file, language_model(run))
