"""The one training loop, for all recipes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from nlp_lstm.errors import TrainingError
from nlp_lstm.training._average import WeightAverage
from nlp_lstm.training._checkpoint import generators, newest_checkpoint, save_checkpoint, set_generators, to_device
from nlp_lstm.training._interrupt import Interrupt
from nlp_lstm.training._objective import Objective
from nlp_lstm.training._optimizer import build_optimizer
from nlp_lstm.training._options import TrainingOptions, seconds
from nlp_lstm.training._progress import Progress
from nlp_lstm.training._run import Run, say
from nlp_lstm.training._schedule import learning_rate, progress


class Saved(Protocol):
    """What `fit` saves: a task's object, such as `LanguageModeling`."""

    def describe(self, folder: str | Path) -> None:
        """Write all but the weights into the run folder."""

    def save_weights(self, folder: str | Path) -> None:
        """Write the weights into the run folder."""


@dataclass(frozen=True)
class FitResult:
    """How a training ended: steps, seconds of training, scored items, and the best validation loss in nats."""

    steps: int
    seconds: float
    items: int
    best: float


def fit(objective: Objective, task: Saved, run: Run, item: str = "token") -> FitResult:
    """Train until the budget of `run.options` is spent or validation stops gaining; keep the best weights.

    The model of `objective` ends with the weights of the best validation, which `task` has saved in the run folder;
    metrics.jsonl has a line a validation, and checkpoints/ what `--resume` goes on from. Equal seeds and a budget in
    steps or epochs give equal weights to the bit on one machine with one number of threads; a budget of time cannot.

    Raises TrainingError where the loss is no longer finite or no checkpoint to resume fits, RunFolderError where the
    run folder cannot be written, and KeyboardInterrupt after Ctrl-C, when a checkpoint has been written.
    """
    trainer = _Trainer(objective, task, run, item)
    try:
        with Interrupt() as interrupt:
            trainer.run_until_spent(interrupt)
    finally:
        trainer.progress.close()
    return trainer.finish()


class _Trainer:
    """The state of one training; everything in `_state` goes through a checkpoint."""

    def __init__(self, objective: Objective, task: Saved, run: Run, item: str) -> None:
        self.objective, self.task, self.run = objective, task, run
        self.options: TrainingOptions = run.options
        self.optimizer = build_optimizer(objective.model, self.options)
        self.average = WeightAverage(objective.model, self.options.average)
        self.best_weights = [parameter.detach().clone() for parameter in objective.model.parameters()]
        self.step = self.batch = self.items = self.validations = self.without_gain = 0
        self.elapsed, self.best, self.plateau_scale, self.rate = 0.0, math.inf, 1.0, 0.0
        self.carry: Any = None
        self.total: Tensor | None = None
        self.total_steps, self.recent_items, self.recent_seconds = 0, 0, 0.0
        if run.resumed:
            self._resume(newest_checkpoint(run.folder))
        run.create()
        task.describe(run.folder)
        self.progress = Progress(item)

    def spent(self) -> float:
        """Share of the budget that is spent."""
        return progress(self.options, self.step, self.batch / self.objective.batches_per_epoch, self.elapsed)

    def run_until_spent(self, interrupt: Interrupt) -> None:
        """Step, validate and save until the end of the budget, of the gain, or of the user's patience."""
        self.objective.model.train()
        batches = self.objective.batches(self.batch)
        every = seconds(self.options.checkpoint_every, "--checkpoint-every")
        saved = time.perf_counter()
        while self.spent() < 1 and not self._stalled():
            self._timed_step(batches)
            validated = self._due() > self.validations
            if validated:
                self._validate()
            if validated or interrupt.signal is not None or time.perf_counter() - saved >= every:
                self._checkpoint()
                saved = time.perf_counter()
            if interrupt.signal is not None:
                say(f"Stopped at step {self.step:,}; saved. To go on: {self.run.resume_command}")
                raise KeyboardInterrupt

    def _due(self) -> int:
        """How many validations belong to the share of the budget that is spent."""
        return math.floor((self.spent() + 1e-9) * self.options.validations)

    def _stalled(self) -> bool:
        return 0 < self.options.patience <= self.without_gain

    def _timed_step(self, batches: Iterator[Any]) -> None:
        start = time.perf_counter()
        items = self._step(batches)
        took = time.perf_counter() - start
        self.elapsed += took
        self.recent_seconds += took
        self.recent_items += items
        self.items += items
        if self.progress.due():
            self.progress.show(self.spent(), self._mean_loss(), self.recent_items / self.recent_seconds, self.elapsed)

    def _step(self, batches: Iterator[Any]) -> int:
        self.rate = learning_rate(self.options, self.spent(), self.plateau_scale)
        self.optimizer.set_learning_rate(self.rate)
        group_of_batches = [next(batches) for _ in range(self.options.accumulate)]
        counts = [self.objective.count(batch) for batch in group_of_batches]
        scale = 1 / max(1, sum(counts))
        losses: list[Tensor] = []
        for batch in group_of_batches:
            loss, self.carry = self.objective.loss(batch, self.carry, scale)
            loss.backward()
            losses.append(loss.detach())
        if self.options.clip_norm:
            norm = torch.nn.utils.clip_grad_norm_(self.objective.model.parameters(), self.options.clip_norm)
            losses.append(0 * norm)  # a gradient that is not finite makes the loss so, and is found out
        value = torch.stack(losses).sum()
        self.total = value if self.total is None else self.total + value
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        self.total_steps += 1
        self.batch += len(group_of_batches)
        self.average.update(self.step)
        return sum(counts)

    def _mean_loss(self) -> float:
        return self._finite("loss", float(self.total) / self.total_steps if self.total is not None else math.nan)

    def _finite(self, name: str, value: float) -> float:
        if not math.isfinite(value):
            raise TrainingError(
                f"The {name} is {value} at step {self.step:,}. "
                f"Lower --learning-rate (now {self.options.learning_rate}) or "
                f"--clip-norm (now {self.options.clip_norm}), or give --precision fp32."
            )
        return value

    def _validate(self) -> None:
        train_loss, start = self._mean_loss(), time.perf_counter()
        with self.average.applied():
            valid_loss = self._finite("validation loss", self.objective.validate())
            best = valid_loss < self.best
            if best:
                self._keep_best()
        speed = self.recent_items / self.recent_seconds
        self.best = min(self.best, valid_loss)
        self.without_gain = 0 if best else self.without_gain + 1
        if not best and self.options.schedule == "plateau":
            self.plateau_scale *= self.options.plateau_factor
        self.progress.validated(self.step, self.spent(), train_loss, valid_loss, speed, best)
        self.validations = self._due()
        self.total, self.total_steps, self.recent_items, self.recent_seconds = None, 0, 0, 0.0
        if self.spent() < 1:
            self.elapsed += time.perf_counter() - start
        self.run.record(
            step=self.step,
            epoch=round(self.batch / self.objective.batches_per_epoch, 4),
            seconds=round(self.elapsed, 3),
            train_loss=train_loss,
            valid_loss=valid_loss,
            learning_rate=self.rate,
            items_per_second=round(speed, 1),
        )

    @torch.no_grad()
    def _keep_best(self) -> None:
        for kept, parameter in zip(self.best_weights, self.objective.model.parameters(), strict=True):
            kept.copy_(parameter)
        self.task.save_weights(self.run.folder)

    @torch.no_grad()
    def finish(self) -> FitResult:
        """Put the best weights into the model."""
        if math.isinf(self.best):
            self._validate()
        for kept, parameter in zip(self.best_weights, self.objective.model.parameters(), strict=True):
            parameter.copy_(kept)
        self.task.save_weights(self.run.folder)
        self.objective.model.eval()
        return FitResult(self.step, self.elapsed, self.items, self.best)

    def _checkpoint(self) -> None:
        if self.total is not None:
            self._mean_loss()  # weights that are no longer finite must not become the newest checkpoint
        save_checkpoint(self.run.folder, self.step, self._state())

    def _state(self) -> dict[str, Any]:
        return {
            "numbers": {name: getattr(self, name) for name in _NUMBERS},
            "weights": [parameter.detach() for parameter in self.objective.model.parameters()],
            "best_weights": self.best_weights,
            "average": self.average.average,
            "optimizer": self.optimizer.state_dict(),
            "carry": self.carry,
            "total": self.total,
            "generators": generators(),
        }

    def _resume(self, state: dict[str, Any]) -> None:
        try:
            self._restore(state)
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
            raise TrainingError(
                f"The newest checkpoint of {self.run.folder} does not fit the model ({error}). Train anew."
            ) from None
        self.run.forget_after(self.step)
        say(f"Going on from step {self.step:,} of {self.run.folder}.")
        self.validations = min(self.validations, self._due())  # the budget may have grown
        if self.spent() >= 1 or self._stalled():
            say("It is over. To train for longer, raise --max-time, --max-steps or --max-epochs (or --patience).")

    @torch.no_grad()
    def _restore(self, state: dict[str, Any]) -> None:
        pairs = [("weights", self.objective.model.parameters()), ("best_weights", self.best_weights)]
        for name, tensors in [*pairs, ("average", self.average.average)]:
            for tensor, value in zip(tensors, state[name], strict=True):
                tensor.copy_(value)
        self.optimizer.load_state_dict(state["optimizer"])
        for name in _NUMBERS:
            setattr(self, name, state["numbers"][name])
        self.carry = to_device(state["carry"], self.run.device)
        self.total = to_device(state["total"], self.run.device)
        set_generators(state["generators"])


_NUMBERS = (
    *("step", "batch", "items", "validations", "without_gain", "elapsed", "best", "plateau_scale", "rate"),
    *("total_steps", "recent_items", "recent_seconds"),
)
