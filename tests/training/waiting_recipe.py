"""Train two weights on nothing; the third step waits twice for a line, so that a test knows where the training is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import nlp_lstm as nl
from nlp_lstm.tasks import write_json, write_weights


@dataclass(frozen=True)
class Config:
    """Settings of training alone."""

    training: nl.TrainingOptions = nl.TrainingOptions(max_steps=9, checkpoint_steps=1, validations=1, device="cpu")


class Waiting:
    """An objective whose batches are numbers, and a task that saves its two weights."""

    batches_per_epoch, data_sha = 5, "five numbers"

    def __init__(self, run: nl.Run) -> None:
        self.model, self.run, self.steps = nn.Linear(2, 1, bias=False), run, 0

    def batches(self, start: int) -> Iterator[int]:
        while True:
            yield start
            start += 1

    def count(self, batch: int) -> int:
        return 1

    def loss(self, batch: int, carry: Any, scale: float) -> tuple[Tensor, Any]:
        self.steps += 1
        if self.steps == 3:
            for _ in range(2):
                print("waiting", flush=True)
                sys.stdin.readline()
        return scale * self.model.weight.square().sum(), carry

    def validate(self) -> float:
        return float(self.model.weight.detach().square().sum())

    def describe(self, folder: str | Path) -> None:
        write_json(Path(folder) / "config.json", self.run.config)

    def save_weights(self, folder: str | Path) -> None:
        write_weights(Path(folder) / "model.safetensors", self.model)


def main(config: Config) -> None:
    run = nl.start_run(__file__, config)
    waiting = Waiting(run)
    nl.fit(waiting, waiting, run)
    print(torch.get_num_threads())
