"""The steps of a training: the loop, its validations and checkpoints, and how it is stopped."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from nlp_lstm.errors import Stopped
from nlp_lstm.models import seconds_compiling
from nlp_lstm.training._checkpoint import generators, set_aside_newer, set_generators, to_device
from nlp_lstm.training._finite import NotFiniteError, not_finite, save_failure
from nlp_lstm.training._interrupt import Interrupt
from nlp_lstm.training._objective import Objective
from nlp_lstm.training._options import seconds
from nlp_lstm.training._progress import Progress
from nlp_lstm.training._run import Run, say
from nlp_lstm.training._schedule import learning_rate, progress
from nlp_lstm.training._state import TrainingState, together


class Saved(Protocol):
    """What `fit` saves: a task's object, such as `LanguageModeling`."""

    def describe(self, folder: str | Path) -> None:
        """Write all but the weights into the run folder."""

    def save_weights(self, folder: str | Path) -> None:
        """Write the weights into the run folder."""


@dataclass(frozen=True)
class FitResult:
    """How a training ended: steps, seconds of training, scored items, and the best value of validation."""

    steps: int
    seconds: float
    items: int
    best: float


class Trainer(TrainingState):
    """One training: its state, and the steps that change it."""

    def __init__(self, objective: Objective, task: Saved, run: Run, shown: Progress) -> None:
        super().__init__(objective, run)
        self.task, self.shown = task, shown
        if self.processes.of_first(run.resumed):
            self._resume()
        else:
            if self.processes.first:
                set_aside_newer(run.folder, self.step)  # of another run, whose description is gone
            self.save()  # so that a run which is killed at any time can be resumed: what describes it comes next
        if self.processes.first:
            task.describe(run.folder)

    def _resume(self) -> None:
        self._restore_newest()
        say(f"Going on from step {self.step:,} of {self.run.folder}.")
        self.validations = min(self.validations, self._due())  # the budget may have grown
        if self._is_over():
            say("It is over. To train for longer, raise --max-time, --max-steps or --max-epochs (or --patience).")

    def _restore_newest(self) -> None:
        self.restore_newest()
        if self.processes.first:
            self.run.forget_after(self.step)

    def spent(self) -> float:
        """Share of the budget that is spent."""
        return progress(self.options, self.step, self.batch / self.objective.batches_per_epoch, self.elapsed)

    def run_until_spent(self, interrupt: Interrupt) -> None:
        """Step, validate and save until the end of the budget, of the gain, or of the user's patience."""
        self.objective.model.train()
        if self._is_over():
            return
        batches = self.objective.batches(self.batch)  # what it reads to find the first one is no part of the budget
        every = seconds(self.options.checkpoint_every, "--checkpoint-every")
        saved = time.perf_counter()
        while not self._is_over():
            try:
                self._timed_step(batches)
                validated = self._due() > self.validations
                if validated:
                    self._validate()
                due = self.options.checkpoint_steps and self.step % self.options.checkpoint_steps == 0
                late, stopped_by = self._agreed(time.perf_counter() - saved >= every, interrupt.signal)
                if validated or due or late or stopped_by is not None:
                    self._checkpoint()
                    saved = time.perf_counter()
            except NotFiniteError as error:
                batches = self._restart(error)
                continue
            if stopped_by is not None:
                say(f"Stopped at step {self.step:,}; saved. To go on: {self.run.resume_command}")
                raise Stopped(stopped_by)

    def _agreed(self, late: bool, stopped_by: int | None) -> tuple[bool, int | None]:
        """Whether the first process's time for a checkpoint has come, and the signal that any process has got."""
        if self.processes.count == 1:
            return late, stopped_by
        signals = (signal.SIGTERM, signal.SIGINT)
        numbers = self.processes.sum_numbers(late and self.processes.first, *(stopped_by == one for one in signals))
        return numbers[0] > 0, next((one for one, got in zip(signals, numbers[1:], strict=True) if got), None)

    def _restart(self, error: NotFiniteError) -> Iterator[Any]:
        """Go back to the newest checkpoint at half the learning rate, where the options allow it once more."""
        if self.restarts >= self.options.restarts:
            raise error
        scale, elapsed, restarts = self.rate_scale / 2, self.elapsed, self.restarts + 1
        self._restore_newest()
        self.rate_scale, self.elapsed, self.restarts = scale, elapsed, restarts
        self.optimizer.zero_grad()  # of the step that failed
        self.objective.model.train()
        say(f"{error} Going back to step {self.step:,} with the learning rate times {scale:g}.")
        return self.objective.batches(self.batch)

    def _due(self) -> int:
        """How many validations belong to the share of the budget that is spent."""
        return math.floor((self.spent() + 1e-9) * self.options.validations)

    def _is_over(self) -> bool:
        return self.spent() >= 1 or 0 < self.options.patience <= self.without_gain

    def _timed_step(self, batches: Iterator[Any]) -> None:
        start, compiling = time.perf_counter(), seconds_compiling()
        items = self._step(batches)
        compiling = seconds_compiling() - compiling  # once on a machine, and so no part of the budget
        took = self.processes.of_first(time.perf_counter() - start - compiling)
        self.elapsed += took
        self.recent_seconds += took
        self.recent_items += items
        self.items += items
        if self.processes.first and self.shown.due():
            # Of several processes one alone must not stop for a loss that is not finite; all look at it together later.
            loss = self._mean_loss() if self.processes.count == 1 else self._mean()
            self.shown.show(self.spent(), loss, self.recent_items / self.recent_seconds, self.elapsed)

    def _step(self, batches: Iterator[Any]) -> int:
        self.rate = learning_rate(self.options, self.spent(), self.rate_scale)
        self.optimizer.set_learning_rate(self.rate)
        group_of_batches = [next(batches) for _ in range(self.options.accumulate)]
        counts = [self.objective.count(batch) for batch in group_of_batches]
        scale = 1 / max(1, sum(counts))
        carry, losses, states = self.carry, [], generators()
        for loss, after in self._losses(group_of_batches, carry, scale):
            self.carry = after
            loss.backward()
            losses.append(loss.detach())
        value = self.processes.sum_gradients(self.objective.model, torch.stack(losses).sum())
        if self.options.clip_norm:
            norm = torch.nn.utils.clip_grad_norm_(self.objective.model.parameters(), self.options.clip_norm)
            value = value + 0 * norm  # a gradient that is not finite makes the loss so, and is found out
        if value.device.type == "cpu" and not math.isfinite(value):  # elsewhere, looking would wait for the device
            self._save_failure(carry, states, len(group_of_batches))
            raise not_finite(
                *("loss", float(value), self.step + 1, self.options, self.objective.model, self.batch),
                again=partial(self._repeat, group_of_batches, carry, scale, states),
            )
        self.total = value if self.total is None else self.total + value
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        self.total_steps += 1
        self.batch += len(group_of_batches)
        self.average.update(self.step)
        return sum(counts)

    def _losses(self, batches: list[Any], carry: Any, scale: float) -> Iterator[tuple[Tensor, Any]]:
        """Give the loss of each batch in turn, and what it carries to the next."""
        for batch in batches:
            part, own = self.processes.part(batch)
            loss, after = self.objective.loss(part, carry, scale * own)
            carry = after if own else None
            yield loss, carry

    def _repeat(self, batches: list[Any], carry: Any, scale: float, states: list[Tensor]) -> None:
        set_generators(states)  # so that dropout drops the same
        list(self._losses(batches, carry, scale))

    def _save_failure(self, carry: Any, states: list[Tensor], batches: int) -> None:
        found = self.processes.gather((to_device(carry, torch.device("cpu")), states))
        if self.processes.first:
            values = {"data": self.objective.data_sha, "batch": self.batch, "batches": batches}
            values |= {"position": self.position(), "carry": together([one for one, _ in found])}
            values["generators"] = [one for _, one in found]
            save_failure(self.run.folder, self.step + 1, self.objective.model, values)

    def _mean(self) -> float:
        return float(self.total) / self.total_steps if self.total is not None else math.nan

    def _mean_loss(self) -> float:
        return self._finite("loss", self._mean())

    def _finite(self, name: str, value: float) -> float:
        if not math.isfinite(value):
            raise not_finite(name, value, self.step, self.options, self.objective.model)
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
            self.rate_scale *= self.options.plateau_factor
        self.shown.validated(self.step, self.spent(), train_loss, valid_loss, speed, best)
        self.validations = self._due()
        self.total, self.total_steps, self.recent_items, self.recent_seconds = None, 0, 0, 0.0
        if self.spent() < 1:
            self.elapsed += self.processes.of_first(time.perf_counter() - start)
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
        self._save_weights()

    def _save_weights(self) -> None:
        if self.processes.first:
            self.task.save_weights(self.run.folder)

    @torch.no_grad()
    def finish(self) -> FitResult:
        """Put the best weights into the model."""
        if math.isinf(self.best):
            self._validate()
        for kept, parameter in zip(self.best_weights, self.objective.model.parameters(), strict=True):
            parameter.copy_(kept)
        self._save_weights()
        self.objective.model.eval()
        return FitResult(self.step, self.elapsed, self.items, self.best)

    def _checkpoint(self) -> None:
        if self.total is not None:
            self._mean_loss()  # weights that are no longer finite must not become the newest checkpoint
        self.save()
