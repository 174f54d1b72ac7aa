"""The settings of training that every recipe shares; light to import, since `--help` shows them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from nlp_lstm.errors import UsageError, require_choices

BUDGETS = ("max_time", "max_steps", "max_epochs")
"""The fields that say when training ends; on the command line, naming one replaces the recipe's."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str, flag: str) -> float:
    """Read a duration such as `85s`, `3m`, `1.5h` or `1h30m` as seconds; a bare number is seconds.

    Raises UsageError naming `flag` where the text is no positive duration.
    """
    if re.fullmatch(r"\d+(\.\d+)?|(\d+(\.\d+)?\s*[smhd]\s*)+", text.strip()) is None:
        raise UsageError(f"{flag} {text!r} is no duration. Write it as 85s, 3m, 1.5h or 1h30m.")
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text)
    total = sum(float(number) * _UNITS[unit or "s"] for number, unit in parts)
    if total <= 0:
        raise UsageError(f"{flag} {text!r} must be longer than nothing. Write it as 85s, 3m or 1h30m.")
    return total


@dataclass(frozen=True)
class TrainingOptions:
    """How long, how fast and with what to train; the same for every recipe.

    Attributes:
        run: folder for the results; by default runs/RECIPE, numbered where that is taken.
        resume: go on with the run where its last checkpoint stopped.
        seed: seed of every random generator; two runs with one seed and a budget in steps or epochs are equal.
        max_time: budget of wall time for training, such as 85s, 3m or 1h30m.
        max_steps: budget of optimiser steps.
        max_epochs: budget of passes over the training data.
        batch_size: sequences (for language models: rows of text) per forward pass.
        accumulate: forward passes whose gradients are summed into one optimiser step.
        optimizer: adamw, sgd, or muon (orthogonal updates of the recurrent layers, adamw for the rest).
        learning_rate: peak learning rate, reached after the warm-up.
        schedule: cosine or linear (to the end of the budget), constant, or plateau (lower when validation stops
            gaining).
        warmup: share of the budget in which the learning rate rises from nothing.
        final_learning_rate: what cosine and linear end at, as a share of the peak.
        plateau_factor: what plateau multiplies the learning rate by.
        momentum: momentum of sgd, and the first moment's decay (beta1) of adamw.
        beta2: second moment's decay of adamw.
        weight_decay: decoupled weight decay of adamw, L2 penalty of sgd.
        clip_norm: largest norm of the gradient; 0 does not clip.
        average: decay of an exponential moving average of the weights that is validated and saved; 0 is off.
        validations: how many times validation runs, spread evenly over the budget.
        patience: stop after so many validations without a gain; 0 never stops early.
        checkpoint_every: time between checkpoints that --resume can go on from.
        checkpoint_steps: steps between checkpoints, besides the time; 0 is off.
        keep: how many checkpoints to keep, the newest ones.
        restarts: how often to go back to the newest checkpoint, at half the learning rate, where the loss is lost.
        tensorboard: write the metrics for TensorBoard too, to the folder tensorboard in the run folder.
        deterministic: let torch use algorithms alone that give the same bits each time, where it has some.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16 (products in bf16, weights and sums in fp32).
        threads: processor threads to use; 0 takes what the machine offers.
    """

    run: str | None = None
    resume: bool = False
    seed: int = 0
    max_time: str | None = None
    max_steps: int | None = None
    max_epochs: float | None = None
    batch_size: int = 32
    accumulate: int = 1
    optimizer: Literal["adamw", "sgd", "muon"] = "adamw"
    learning_rate: float = 2e-3
    schedule: Literal["cosine", "linear", "constant", "plateau"] = "cosine"
    warmup: float = 0.02
    final_learning_rate: float = 0.0
    plateau_factor: float = 0.25
    momentum: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    average: float = 0.0
    validations: int = 5
    patience: int = 0
    checkpoint_every: str = "5m"
    checkpoint_steps: int = 0
    keep: int = 2
    restarts: int = 0
    tensorboard: bool = False
    deterministic: bool = False
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    threads: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that cannot work, all of them in one message that names the flags."""
        require_choices(self)
        faults = [message for message in self._faults() if message]
        if faults:
            raise UsageError(" ".join(faults))

    def _faults(self) -> list[str]:
        positive: dict[str, float | None] = {
            "--batch-size": self.batch_size,
            "--accumulate": self.accumulate,
            "--max-steps": self.max_steps,
        }
        positive |= {"--max-epochs": self.max_epochs, "--learning-rate": self.learning_rate}
        positive |= {"--validations": self.validations, "--keep": self.keep}
        faults = [
            f"{flag} {value} must be a finite number above 0."
            for flag, value in positive.items()
            if value is not None and not 0 < value < math.inf
        ]
        below_one = {"--warmup": self.warmup, "--average": self.average, "--momentum": self.momentum}
        below_one |= {"--beta2": self.beta2, "--final-learning-rate": self.final_learning_rate}
        faults += [
            f"{flag} {value} must be at least 0 and below 1." for flag, value in below_one.items() if not 0 <= value < 1
        ]
        at_least_zero = {"--weight-decay": self.weight_decay, "--clip-norm": self.clip_norm, "--threads": self.threads}
        at_least_zero |= {"--patience": self.patience, "--seed": self.seed, "--restarts": self.restarts}
        at_least_zero |= {"--checkpoint-steps": self.checkpoint_steps}
        faults += [
            f"{flag} {value} must be a finite number, not below 0."
            for flag, value in at_least_zero.items()
            if not 0 <= value < math.inf
        ]
        if self.seed >= 2**63:
            faults.append(f"--seed {self.seed} must be below 2**63.")
        if not 0 < self.plateau_factor < 1:
            faults.append(f"--plateau-factor {self.plateau_factor} must be between 0 and 1.")
        for flag, text in (("--max-time", self.max_time), ("--checkpoint-every", self.checkpoint_every)):
            try:
                seconds("1s" if text is None else text, flag)
            except UsageError as fault:
                faults.append(str(fault))
        if self.max_time is None and self.max_steps is None and self.max_epochs is None:
            faults.append("Training needs an end: give --max-time, --max-steps or --max-epochs.")
        return faults

    @property
    def time_budget(self) -> float | None:
        """The budget of wall time in seconds, or None."""
        return None if self.max_time is None else seconds(self.max_time, "--max-time")
