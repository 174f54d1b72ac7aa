"""Where a training stands: all that goes through a checkpoint, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nlp_lstm.errors import TrainingError
from nlp_lstm.training._average import WeightAverage
from nlp_lstm.training._checkpoint import (
    generators,
    save_checkpoint,
    set_aside_newer,
    set_generators,
    take_newest,
    to_device,
)
from nlp_lstm.training._objective import Objective, Resumable
from nlp_lstm.training._optimizer import build_optimizer
from nlp_lstm.training._restored import (
    MisfitError,
    copy_tensors,
    load_optimizer,
    part_of,
    read_numbers,
    require_generators,
    require_rows,
    require_shape,
)
from nlp_lstm.training._rows import cut, joined, length
from nlp_lstm.training._run import Run

_COUNTS = (
    *("step", "batch", "items", "validations", "without_gain", "restarts"),
    *("total_steps", "recent_items"),
)
_MEASURES = ("elapsed", "best", "rate_scale", "rate", "recent_seconds")
_SEED_STRIDE = 0x9E3779B97F4A7C15  # far apart, so that no seed and step of one process is that of another


class TrainingState:
    """Weights, optimiser, average, counters and what is carried from batch to batch, of one training."""

    def __init__(self, objective: Objective, run: Run) -> None:
        self.objective, self.run, self.options, self.processes = objective, run, run.options, run.processes
        self._require_equal_data()
        self.processes.equalize(objective.model)
        self.optimizer = build_optimizer(objective.model, self.options, getattr(objective, "rate_scales", None))
        self.average = WeightAverage(objective.model, self.options.average)
        self.best_weights = [parameter.detach().clone() for parameter in objective.model.parameters()]
        self.step = self.batch = self.items = self.validations = self.without_gain = self.restarts = 0
        self.elapsed, self.best, self.rate_scale, self.rate = 0.0, math.inf, 1.0, 0.0
        self.carry: Any = None
        self.total: Tensor | None = None
        self.total_steps, self.recent_items, self.recent_seconds = 0, 0, 0.0
        if not self.processes.first:
            torch.manual_seed(self._own_seed())  # the same dropout in all processes would be less of it

    def _require_equal_data(self) -> None:
        if self.processes.share(self.objective.data_sha) != self.objective.data_sha:
            raise TrainingError(
                f"Process {self.processes.rank} of {self.processes.count} (counted from 0) reads other data than the "
                "first. Give every machine the same files."
            )

    def _own_seed(self) -> int:
        return (self.options.seed + self.step + _SEED_STRIDE * self.processes.rank) % 2**63

    def save(self) -> None:
        """Write a checkpoint, of all processes' states; it is the same whatever their number."""
        found = self.processes.gather((to_device(self.carry, torch.device("cpu")), generators()))
        if self.processes.first:
            values = self._values([one for _, one in found]) | {"carry": together([carry for carry, _ in found])}
            save_checkpoint(self.run.folder, self.step, values, self.options.keep)

    def position(self) -> list[int]:
        """Give where the objective goes on with the next batch, where its number alone does not say so."""
        return self.objective.position(self.batch) if isinstance(self.objective, Resumable) else []

    def _values(self, states: list[list[Tensor]]) -> dict[str, Any]:
        return {
            "numbers": {name: getattr(self, name) for name in (*_COUNTS, *_MEASURES)},
            "data": self.objective.data_sha,
            "position": self.position(),
            "weights": [parameter.detach() for parameter in self.objective.model.parameters()],
            "best_weights": self.best_weights,
            "average": self.average.average,
            "optimizer": self.optimizer.state_dict(),
            "total": self.total,
            "generators": states,
        }

    def restore_newest(self) -> None:
        """Take back the newest checkpoint that loads and fits; those that do not are named on stderr and set aside.

        Raises TrainingError where none does, or what does in the first process does not in this one; and as `restore`.
        """
        values = None
        if self.processes.first:
            step, values = take_newest(self.run.folder, self.restore)
            set_aside_newer(self.run.folder, step)
        values = self.processes.share(values)
        if not self.processes.first:
            try:
                self.restore(values)
            except MisfitError as error:
                raise TrainingError(
                    f"The checkpoint that the first process goes on from does not fit process {self.processes.rank} of "
                    f"{self.processes.count} (counted from 0): {error}. Give every machine the same files and settings."
                ) from None

    def restore(self, values: Any) -> None:
        """Take back what a checkpoint holds.

        Raises TrainingError where it is one of other data, and MisfitError where it is damaged or one of another
        model; this state is then no longer of use.
        """
        if part_of(values, "data", str) != self.objective.data_sha:
            raise TrainingError(
                f"The data is not what {self.run.folder} was trained on so far: its text has changed since. "
                "Put it back, or train anew."
            )
        model = list(self.objective.model.parameters())
        pairs: dict[str, Sequence[Tensor]] = {
            "weights": model,
            "best_weights": self.best_weights,
            "average": self.average.average,
        }
        for name, tensors in pairs.items():
            copy_tensors(name, tensors, part_of(values, name, list))
        load_optimizer(self.optimizer, part_of(values, "optimizer", list))
        found = {"restarts": 0, **part_of(values, "numbers", dict)}  # older checkpoints do not count them
        for name, number in read_numbers(found, _COUNTS, _MEASURES).items():
            setattr(self, name, number)
        carry, total = part_of(values, "carry", object), part_of(values, "total", object)
        require_rows(carry)
        carry = to_device(carry, self.run.device)
        if isinstance(self.objective, Resumable):
            self.objective.go_on_from(self.batch, values.get("position", []))  # older checkpoints have none
            self.objective.require_carry(carry)
        self.carry = self._own_rows(carry)
        self.total = None if total is None else to_device(require_shape(total, (), "total"), self.run.device)
        self._restore_generators(part_of(values, "generators", list))

    def _restore_generators(self, states: list[Any]) -> None:
        require_generators(states)
        if self.processes.rank < len(states):
            set_generators(states[self.processes.rank])
        else:  # there are more processes than before
            torch.manual_seed(self._own_seed())

    def _own_rows(self, carry: Any) -> Any:
        total = length(carry, -2)
        if self.processes.count == 1 or total is None:
            return carry
        rows = self.processes.rows(total)
        return cut(carry, rows, -2) if rows.stop > rows.start else None


def together(carries: list[Any]) -> Any:
    """Put the rows that processes carry side by side; one that has none gives None."""
    found = [carry for carry in carries if carry is not None]
    return joined(found, -2) if len(found) > 1 else found[0] if found else None
