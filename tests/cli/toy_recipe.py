"""Train a toy that prints what it was given.

This line is not shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class TrainingOptions:
    """Shared settings.

    Attributes:
        max_time: budget of time.
        seed: the seed.
    """

    max_time: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"--seed {self.seed} is negative.")


@dataclass(frozen=True)
class Config:
    """Settings of the toy.

    Attributes:
        hidden_size: width of the layer, 100% of it
            on two lines.
        cell (str): the kind of cell.
        tied: share the tables.
    """

    hidden_size: int = 8
    cell: Literal["lstm", "gru"] = "lstm"
    tied: bool = True
    rate: float = 0.1
    dims: tuple[int, ...] = (1, 2)
    out: Path = Path("here")
    training: TrainingOptions = TrainingOptions(max_time="3m")


SMOKE = {"hidden_size": 1, "seed": 7}


def main(config: Config) -> Path:
    print(config)
    return Path("run")
