"""The training loop: what a step does, when it validates, and when it ends."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from nlp_lstm.errors import Stopped, TrainingError
from nlp_lstm.training import LanguageModelObjective, Run, _state, _trainer, fit
from nlp_lstm.training._interrupt import Interrupt

NewRun = Callable[..., Run]
Build = Callable[..., LanguageModelObjective]
Metrics = Callable[[Run], list[dict[str, Any]]]
Clock = Callable[[float], float]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stop the clock of training; a call lets so many seconds pass."""
    now = [100.0]

    def advance(seconds: float) -> float:
        now[0] += seconds
        return 0.0

    monkeypatch.setattr(_trainer, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    return advance


# --- what is learned ---


def test_a_repetitive_text_is_learned_far_below_its_unigram_entropy(
    new_run: NewRun, language_model: Build, text_of: Any, train: Any, metrics: Metrics
) -> None:
    period = [0, 1, 2, 0, 3, 3, 1, 4]
    shares = np.bincount(period) / len(period)
    entropy = float(-(shares * np.log(shares)).sum())
    run = new_run(max_steps=80, schedule="cosine", learning_rate=0.02, batch_size=4)
    objective = language_model(run, text_of(period * 40, 5), text_of(period * 8, 5), hidden_size=16)
    before = objective.validate()
    result = train(objective, run)
    assert before > entropy
    # Only the first tokens, before the place in the period is known, cost anything.
    assert result.best < 0.2 * entropy
    assert objective.validate() == pytest.approx(result.best)
    assert [line["valid_loss"] for line in metrics(run)] == sorted(
        (line["valid_loss"] for line in metrics(run)), reverse=True
    )


def gradients_of_two_batches(objective: LanguageModelObjective) -> tuple[dict[str, torch.Tensor], list[int]]:
    """The gradient of the sum of nats over both batches of a text, the state carried and cut; and their tokens."""
    batches = [next(objective.batches(number)) for number in (0, 1)]
    state, counts = None, []
    for begins, batch in batches:
        if state is not None:
            state = tuple(tuple(tensor * ~begins[:, None] for tensor in layer) for layer in state)
        logits, state = objective.model(batch.inputs, state)
        state = tuple(tuple(tensor.detach() for tensor in layer) for layer in state)
        F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), reduction="sum", ignore_index=-100).backward()
        counts.append(int((batch.targets >= 0).sum()))
    gradients = {name: parameter.grad.clone() for name, parameter in objective.model.named_parameters()}
    objective.model.zero_grad()
    return gradients, counts


@pytest.mark.parametrize("clip_norm", [0.0, 0.05])
def test_an_accumulated_step_is_one_step_on_both_batches_weighted_by_tokens(
    new_run: NewRun, language_model: Build, random_text: Any, train: Any, clip_norm: float
) -> None:
    run = new_run(
        **{"max_steps": 1, "accumulate": 2, "batch_size": 2, "optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0},
        learning_rate=0.7,
        validations=1,
        clip_norm=clip_norm,
    )
    objective = language_model(run, random_text(27, 7))
    gradients, counts = gradients_of_two_batches(objective)
    assert counts == [16, 10]
    mean = {name: gradient / 26 for name, gradient in gradients.items()}
    norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in mean.values()))
    factor = clip_norm / norm if clip_norm else 1.0
    assert factor == 1 or factor < 0.5  # clipping, where it is on, must show
    expected = {
        name: parameter.detach() - 0.7 * factor * mean[name] for name, parameter in objective.model.named_parameters()
    }
    result = train(objective, run)
    assert (result.steps, result.items) == (1, 26)
    for name, parameter in objective.model.named_parameters():
        torch.testing.assert_close(parameter.detach(), expected[name], rtol=1e-4, atol=1e-5, msg=name)


def test_a_small_gradient_is_not_clipped(new_run: NewRun, scripted: Any, train: Any, tmp_path: Path) -> None:
    weights = []
    for clip_norm in (0.0, 100.0):
        run = new_run(run=str(tmp_path / str(clip_norm)), clip_norm=clip_norm, optimizer="sgd")
        objective = scripted([1.0] * 5)
        train(objective, run)
        weights.append(objective.validated[-1])
    assert torch.equal(*weights)


def test_equal_seeds_give_equal_weights_to_the_bit_and_others_do_not(
    new_run: NewRun, language_model: Build, train: Any, tmp_path: Path
) -> None:
    def weights(name: str, seed: int) -> list[torch.Tensor]:
        run = new_run(run=str(tmp_path / name), seed=seed, max_steps=6)
        objective = language_model(run, input_dropout=0.3, weight_dropout=0.2)
        train(objective, run)
        return [parameter.detach() for parameter in objective.model.parameters()]

    one, two, other = weights("one", 5), weights("two", 5), weights("other", 6)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_bf16_trains_weights_in_fp32(new_run: NewRun, language_model: Build, text_of: Any, train: Any) -> None:
    run = new_run(precision="bf16", max_steps=40, learning_rate=0.02)
    objective = language_model(run, text_of([0, 1, 2, 3] * 50, 4), text_of([0, 1, 2, 3] * 10, 4))
    result = train(objective, run)
    assert result.best < 0.5 * math.log(4)
    assert all(parameter.dtype == torch.float32 for parameter in objective.model.parameters())


# --- validations ---


def test_the_best_weights_are_kept_saved_and_put_back(
    new_run: NewRun, scripted: Any, saved_weights: Any, metrics: Metrics
) -> None:
    run = new_run(max_steps=8, validations=4)
    objective = scripted([3.0, 1.0, 2.0, 1.0])
    task = saved_weights(objective.model, run)
    result = fit(objective, task, run)
    assert (result.steps, result.best, result.items) == (8, 1.0, 24)
    assert task.saved == 3  # at every gain, and at the end
    assert torch.equal(objective.model.weight, objective.validated[1])
    assert not torch.equal(objective.model.weight, objective.validated[3])
    assert torch.equal(load_file(run.folder / "model.safetensors")["weight"], objective.validated[1])
    assert not objective.model.training
    assert [line["valid_loss"] for line in metrics(run)] == [3.0, 1.0, 2.0, 1.0]


def test_the_average_is_what_is_validated_and_saved(new_run: NewRun, scripted: Any, train: Any) -> None:
    before = []  # the weights that each step starts from
    plain = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "clip_norm": 0.0}
    run = new_run(max_steps=6, validations=2, average=0.9, learning_rate=0.1, **plain)
    objective = scripted(
        [2.0, 1.0], on_loss=lambda batch: before.append(objective.model.weight.detach().clone()) or 0.0
    )
    train(objective, run)
    weights = [*before, before[-1] - 0.1 * 2 * before[-1]]  # the gradient of w^2 is 2w
    expected = weights[0]
    for step in range(1, 7):
        decay = (1 + step) / (10 + step)
        expected = decay * expected + (1 - decay) * weights[step]
    torch.testing.assert_close(objective.validated[1], expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(objective.model.weight, objective.validated[1])
    assert torch.equal(load_file(run.folder / "model.safetensors")["weight"], objective.validated[1])


@pytest.mark.parametrize(
    ("patience", "steps"), [(0, 12), (1, 4), (2, 10), (3, 12)], ids=["never", "one", "two", "three"]
)
def test_patience_ends_after_so_many_validations_without_a_gain(
    new_run: NewRun, scripted: Any, train: Any, patience: int, steps: int
) -> None:
    run = new_run(max_steps=12, validations=6, patience=patience)
    assert train(scripted([3.0, 3.0, 2.0, 2.5, 2.0, 2.1]), run).steps == steps


def test_a_plateau_lowers_the_rate(new_run: NewRun, scripted: Any, train: Any, metrics: Metrics) -> None:
    run = new_run(max_steps=5, schedule="plateau", plateau_factor=0.5, learning_rate=0.4)
    train(scripted([3.0, 2.0, 2.0, 1.0, 1.5]), run)
    assert [line["learning_rate"] for line in metrics(run)] == [0.4, 0.4, 0.4, 0.2, 0.2]


@pytest.mark.parametrize(
    ("budget", "steps"),
    [
        ({"max_steps": 10, "validations": 3}, [4, 7, 10]),
        ({"max_steps": 10, "validations": 5}, [2, 4, 6, 8, 10]),
        ({"max_steps": 3, "validations": 10}, [1, 2, 3]),
        ({"max_epochs": 2.0, "validations": 4}, [3, 5, 8, 10]),
        ({"max_epochs": 3.0, "validations": 5}, [3, 6, 9, 12, 15]),
        ({"max_epochs": 0.7, "validations": 1}, [4]),
        ({"max_epochs": 2.0, "validations": 2, "accumulate": 3}, [2, 4]),
        ({"max_steps": 4, "max_epochs": 99.0, "validations": 2}, [2, 4]),
    ],
)
def test_validations_are_spread_evenly_over_the_budget(
    new_run: NewRun, scripted: Any, train: Any, metrics: Metrics, budget: dict[str, Any], steps: list[int]
) -> None:
    run = new_run(**budget)
    result = train(scripted([2.0] * 20), run)
    assert [line["step"] for line in metrics(run)] == steps
    assert result.steps == steps[-1]
    accumulate = budget.get("accumulate", 1)
    assert [line["epoch"] for line in metrics(run)] == [round(step * accumulate / 5, 4) for step in steps]


def test_a_line_of_metrics(new_run: NewRun, scripted: Any, train: Any, metrics: Metrics, clock: Clock) -> None:
    run = new_run(max_steps=6, validations=2, learning_rate=0.01)
    objective = scripted([2.0, 1.0], on_loss=lambda batch: clock(0.5), on_validate=lambda: clock(0.25))
    result = train(objective, run)
    first, second = metrics(run)
    assert first.pop("at") <= second.pop("at")
    assert first == {
        **{"step": 3, "epoch": 0.6, "seconds": 1.75, "items_per_second": 6.0, "learning_rate": 0.01, "valid_loss": 2.0},
        "train_loss": pytest.approx(sum(objective.losses[:3]) / 3),
    }
    assert second == {
        **{"step": 6, "epoch": 1.2, "seconds": 3.25, "items_per_second": 6.0, "learning_rate": 0.01, "valid_loss": 1.0},
        "train_loss": pytest.approx(sum(objective.losses[3:]) / 3),
    }
    assert result.seconds == 3.25


def test_a_line_a_validation_is_shown_on_stderr_alone(
    new_run: NewRun, scripted: Any, saved_weights: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run = new_run(max_steps=4, validations=2)
    objective = scripted([math.log(2), 1.0])
    fit(objective, saved_weights(objective.model, run), run, item="sentence")
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()[1:]
    assert len(lines) == 2
    assert lines[0].startswith(" 50% | step 2 | train ")
    assert "valid loss 0.6931, perplexity 2.00, 1.000 bits, best so far" in lines[0]
    assert lines[0].endswith(" sentences/s")
    assert "best so far" not in lines[1]


# --- the clock ---


def test_a_budget_of_time_counts_steps_and_validations_but_the_last(
    new_run: NewRun, scripted: Any, train: Any, monkeypatch: pytest.MonkeyPatch, metrics: Metrics, clock: Clock
) -> None:
    saved: list[int] = []
    monkeypatch.setattr(_state, "save_checkpoint", lambda folder, step, state, keep: saved.append(step))
    run = new_run(max_time="10s", validations=2, checkpoint_every="3s")
    objective = scripted([2.0, 1.0], on_loss=lambda batch: clock(1), on_validate=lambda: clock(2))
    result = train(objective, run)
    # Five steps make half of the budget, the validation takes 2 seconds, and three steps are left.
    assert [line["step"] for line in metrics(run)] == [5, 8]
    assert (result.steps, result.seconds) == (8, 10.0)
    assert [line["items_per_second"] for line in metrics(run)] == [3.0, 3.0]
    assert saved == [0, 3, 5, 8]  # at the start, 3 s after the last one, and with every validation


# --- what goes wrong ---


def test_a_loss_that_is_no_longer_finite_stops_with_step_and_flags(new_run: NewRun, scripted: Any, train: Any) -> None:
    run = new_run(max_steps=9, validations=9, learning_rate=0.25, clip_norm=2.0)
    objective = scripted([1.0] * 9, on_loss=lambda batch: math.nan if batch == 4 else 0.0)
    with pytest.raises(TrainingError) as caught:
        train(objective, run)
    message = str(caught.value)
    assert message.startswith("The loss is nan at step 5, in batch 4 of the data.")
    for part in ("--learning-rate (now 0.25)", "--clip-norm (now 2.0)", "--precision fp32"):
        assert part in message


def test_a_gradient_that_is_not_finite_stops_though_the_loss_is(new_run: NewRun, scripted: Any, train: Any) -> None:
    run = new_run(max_steps=9, validations=9)
    # The root of 0 is 0, and its slope infinite.
    objective = scripted(
        [1.0] * 9, on_loss=lambda batch: (0 * objective.model.weight.sum()).abs().sqrt() if batch == 4 else 0.0
    )
    with pytest.raises(TrainingError, match="at step 5"):
        train(objective, run)
    assert all(math.isfinite(loss) for loss in objective.losses)
    assert len(list((run.folder / "checkpoints").glob("*5.pt"))) == 0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_validation_loss_that_is_not_finite_stops(new_run: NewRun, scripted: Any, train: Any, value: float) -> None:
    run = new_run(max_steps=4, validations=2, average=0.5)
    objective = scripted([1.0, value])
    with pytest.raises(TrainingError, match=rf"The validation loss is {value} at step 4\..*--learning-rate"):
        train(objective, run)
    assert torch.equal(load_file(run.folder / "model.safetensors")["weight"], objective.validated[0])


def test_lost_weights_do_not_become_a_checkpoint(new_run: NewRun, scripted: Any, train: Any) -> None:
    run = new_run(max_steps=9, validations=1, checkpoint_every="0.000001s")
    objective = scripted([1.0], on_loss=lambda batch: math.inf if batch == 4 else 0.0)
    with pytest.raises(TrainingError, match="The loss is inf at step 5"):
        train(objective, run)
    names = [path.name for path in sorted((run.folder / "checkpoints").iterdir())]
    assert names == ["step-000000003.pt", "step-000000004.pt"]  # the newest two, and no half-written one


# --- Ctrl-C ---


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_finishes_the_step_saves_and_says_how_to_go_on(
    new_run: NewRun, scripted: Any, train: Any, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    before = signal.getsignal(number)
    run = new_run(max_steps=9, validations=1)
    objective = scripted([1.0], on_loss=lambda batch: signal.raise_signal(number) or 0.0 if batch == 4 else 0.0)
    with pytest.raises(Stopped) as stopped:
        train(objective, run)
    assert stopped.value.exit_code == 128 + number
    names = sorted(path.name for path in (run.folder / "checkpoints").iterdir())
    assert names == ["step-000000000.pt", "step-000000005.pt"]
    assert f"Stopped at step 5; saved. To go on: {run.resume_command}" in capsys.readouterr().err
    assert signal.getsignal(number) == before


def test_a_second_signal_stops_at_once(new_run: NewRun, scripted: Any, train: Any) -> None:
    def twice(batch: int) -> float:
        if batch == 4:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return 0.0

    before = signal.getsignal(signal.SIGINT)
    run = new_run(max_steps=9, validations=1)
    objective = scripted([1.0], on_loss=twice)
    with pytest.raises(KeyboardInterrupt):
        train(objective, run)
    assert [path.name for path in (run.folder / "checkpoints").iterdir()] == ["step-000000000.pt"]
    assert len(objective.losses) == 4
    assert signal.getsignal(signal.SIGINT) == before


def test_training_runs_in_a_thread_which_may_not_take_signals() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def enter() -> None:
        with Interrupt() as interrupt:
            seen.append((interrupt.signal, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [(None, before)]
