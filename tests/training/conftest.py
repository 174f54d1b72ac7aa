"""What the tests of training share: runs in a temporary folder, a text without structure, and a scripted objective."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor, nn

import nlp_lstm as nl
from nlp_lstm.data import TokenizedText
from nlp_lstm.models import LanguageModel, LanguageModelOptions
from nlp_lstm.tasks import write_json, write_weights
from nlp_lstm.training import FitResult, LanguageModelObjective, Run, fit, start_run

CPU = {"device": "cpu", "precision": "fp32", "threads": 1, "warmup": 0.0, "schedule": "constant"}


@dataclass(frozen=True)
class Config:
    """A recipe's Config, as far as a run looks at it."""

    data: nl.DataOptions = nl.DataOptions("pydoc")
    hidden_size: int = 6
    training: nl.TrainingOptions = nl.TrainingOptions(max_steps=4)


@dataclass
class SavedWeights:
    """In the place of a task's object: saves a model, and counts how often."""

    model: nn.Module
    run: Run
    saved: int = 0

    def describe(self, folder: str | Path) -> None:
        write_json(Path(folder) / "config.json", self.run.config)

    def save_weights(self, folder: str | Path) -> None:
        write_weights(Path(folder) / "model.safetensors", self.model)
        self.saved += 1


@dataclass
class Scripted:
    """An objective whose validations follow a script: a parabola over two weights, the batches are 0, 1, 2, ..."""

    script: list[float]
    batches_per_epoch: int = 5
    data_sha: str = "five batches"
    on_loss: Callable[[int], float] = lambda batch: 0.0
    on_validate: Callable[[], None] = lambda: None
    losses: list[float] = field(default_factory=list)
    validated: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.model = nn.Linear(2, 1, bias=False)
        nn.init.constant_(self.model.weight, 1.0)

    def batches(self, start: int) -> Iterator[int]:
        while True:
            yield start
            start += 1

    def count(self, batch: int) -> int:
        return 3

    def loss(self, batch: int, carry: Any, scale: float) -> tuple[Tensor, Any]:
        value = 3 * scale * self.model.weight.square().sum() + self.on_loss(batch)
        self.losses.append(float(value.detach()))
        return value, carry

    def validate(self) -> float:
        self.on_validate()
        self.validated.append(self.model.weight.detach().clone())
        return self.script[len(self.validated) - 1]


@pytest.fixture(autouse=True)
def _threads(torch_threads: None) -> None:
    """Trainings set torch's number of threads."""


@pytest.fixture
def config_class() -> type[Config]:
    return Config


@pytest.fixture
def new_run(tmp_path: Path) -> Callable[..., Run]:
    """Start a run in tmp_path/run (or `run`) with 4 steps at a constant rate, or as the options say."""

    def start(**options: Any) -> Run:
        given = {"run": str(tmp_path / "run"), **CPU, **options}
        if not given.keys() & {"max_steps", "max_epochs", "max_time"}:
            given["max_steps"] = 4
        return start_run(__file__, Config(training=nl.TrainingOptions(**given)))

    return start


@pytest.fixture
def scripted() -> type[Scripted]:
    return Scripted


@pytest.fixture
def saved_weights() -> type[SavedWeights]:
    return SavedWeights


def tokenized(ids: Any, vocab_size: int) -> TokenizedText:
    ids = np.asarray(ids, dtype=np.uint16)
    return TokenizedText(ids, len(ids), len(ids), 1, 0, vocab_size, "0" * 64)


@pytest.fixture
def random_text(seed: int) -> Callable[..., TokenizedText]:
    """A text of random ids: `random_text(length, vocab_size)`; a third number gives another text."""

    def draw(length: int, vocab_size: int, stream: int = 0) -> TokenizedText:
        return tokenized(np.random.default_rng([seed, stream]).integers(0, vocab_size, length), vocab_size)

    return draw


@pytest.fixture
def text_of() -> Callable[..., TokenizedText]:
    return tokenized


@pytest.fixture
def language_model(random_text: Callable[..., TokenizedText]) -> Callable[..., LanguageModelObjective]:
    """An objective over random texts of 7 tokens: `language_model(run, sequence_length=8, hidden_size=9, ...)`."""

    def build(
        run: Run,
        train: TokenizedText | None = None,
        valid: TokenizedText | None = None,
        sequence_length: int = 8,
        **options: Any,
    ) -> LanguageModelObjective:
        options = {"embedding_size": 5, "hidden_size": 9, **options}
        train, valid = train or random_text(200, 7), valid or random_text(60, 7, 1)
        model = LanguageModel(train.vocab_size, LanguageModelOptions(**options))
        return LanguageModelObjective(model, train, valid, run, sequence_length)

    return build


@pytest.fixture
def metrics() -> Callable[[Run], list[dict[str, Any]]]:
    """The lines of a run's metrics.jsonl."""
    return lambda run: [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def train(saved_weights: Any) -> Callable[..., FitResult]:
    """Fit an objective with a task that only saves weights."""
    return lambda objective, run: fit(objective, saved_weights(objective.model, run), run)
