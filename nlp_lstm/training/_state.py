"""Where a training stands: all that goes through a checkpoint, and back."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from nlp_lstm.errors import TrainingError
from nlp_lstm.training._average import WeightAverage
from nlp_lstm.training._checkpoint import generators, save_checkpoint, set_generators, to_device
from nlp_lstm.training._objective import Objective
from nlp_lstm.training._optimizer import build_optimizer
from nlp_lstm.training._rows import cut, joined, length
from nlp_lstm.training._run import Run

_NUMBERS = (
    *("step", "batch", "items", "validations", "without_gain", "elapsed", "best", "rate_scale", "rate"),
    *("total_steps", "recent_items", "recent_seconds"),
)
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
        self.step = self.batch = self.items = self.validations = self.without_gain = 0
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

    def _values(self, states: list[list[Tensor]]) -> dict[str, Any]:
        return {
            "numbers": {name: getattr(self, name) for name in _NUMBERS},
            "data": self.objective.data_sha,
            "weights": [parameter.detach() for parameter in self.objective.model.parameters()],
            "best_weights": self.best_weights,
            "average": self.average.average,
            "optimizer": self.optimizer.state_dict(),
            "total": self.total,
            "generators": states,
        }

    def restore(self, values: dict[str, Any]) -> None:
        """Take back what a checkpoint holds; raises TrainingError where it is not one of this model and this data."""
        if values.get("data") != self.objective.data_sha:
            raise TrainingError(
                f"The data is not what {self.run.folder} was trained on so far: its text has changed since. "
                "Put it back, or train anew."
            )
        try:
            self._restore(values)
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
            raise TrainingError(
                f"The newest checkpoint of {self.run.folder} does not fit the model ({error}). Train anew."
            ) from None

    @torch.no_grad()
    def _restore(self, values: dict[str, Any]) -> None:
        pairs = [("weights", self.objective.model.parameters()), ("best_weights", self.best_weights)]
        for name, tensors in [*pairs, ("average", self.average.average)]:
            for tensor, value in zip(tensors, values[name], strict=True):
                tensor.copy_(value)
        self.optimizer.load_state_dict(values["optimizer"])
        for name in _NUMBERS:
            setattr(self, name, values["numbers"][name])
        self.carry = self._own_rows(to_device(values["carry"], self.run.device))
        self.total = to_device(values["total"], self.run.device)
        if self.processes.rank < len(values["generators"]):
            set_generators(values["generators"][self.processes.rank])
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
