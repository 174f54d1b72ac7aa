"""Small trainings that one process and two do alike; run by itself, one of the two.

`python two_processes_worker.py FOLDER PORT...` with torchrun's variables set does all of `main`, in each process, and
writes what came of it to FOLDER/rank-N.json. Each training meets at a port of its own. Without a port, which is how
torchrun starts it, it trains the language model alone; where it may be started again, the second process dies once.
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import nlp_lstm as nl
from nlp_lstm.data import LabelledSplit, PairData, PairSplit, TokenizedText
from nlp_lstm.errors import TrainingError
from nlp_lstm.models import (
    ClassifierOptions,
    EncoderDecoder,
    EncoderDecoderOptions,
    LanguageModel,
    LanguageModelOptions,
)
from nlp_lstm.tasks import Classification, LanguageModeling, Translation, train_tokenizers
from nlp_lstm.tokenization import train_tokenizer
from nlp_lstm.training import (
    ClassificationObjective,
    FitResult,
    LanguageModelObjective,
    Run,
    TranslationObjective,
    fit,
    start_run,
)

WORDS = ["low", "lower", "lowest", "new", "newer", "newest", "wide", "wider", "widest"]
DROPOUTS = dict.fromkeys(("input_dropout", "output_dropout", "hidden_dropout", "weight_dropout"), 0.3)
# Rows, texts and pairs that two processes cannot share evenly, and accumulated batches.
OPTIONS: dict[str, Any] = {
    **{"device": "cpu", "precision": "fp32", "threads": 1, "schedule": "constant", "warmup": 0.0, "batch_size": 5},
    **{"learning_rate": 0.01, "max_steps": 20, "validations": 2, "accumulate": 2, "clip_norm": 0.2},
}


@dataclass(frozen=True)
class Config:
    """A recipe's Config, as far as a run looks at it."""

    training: nl.TrainingOptions


Built = tuple[Any, Any]


def language_model(run: Run, **options: Any) -> Built:
    def text(length: int, stream: int) -> TokenizedText:
        ids = np.random.default_rng([7, stream]).integers(0, 7, length).astype(np.uint16)
        return TokenizedText(ids, length, length, 1, 0, 7, f"text {stream}")

    tokenizer = train_tokenizer("character", ["abc"], byte_fallback=False)
    model = LanguageModel(7, LanguageModelOptions(embedding_size=5, hidden_size=9, num_layers=2, **options))
    return LanguageModelObjective(model, text(500, 0), text(1100, 1), run, 8), LanguageModeling(
        model, tokenizer, run.config
    )


def sentences(count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choices(WORDS, k=chance.randint(1, 9))) for _ in range(count)]


def classifier(run: Run) -> Built:
    def split(name: str, count: int, seed: int) -> LabelledSplit:
        texts = sentences(count, seed)
        labels = [("new",) if "new" in text.split() else ("old",) for text in texts]
        return LabelledSplit(name, texts, labels, [f"{name}, line {number}" for number in range(count)])

    options = ClassifierOptions(embedding_size=4, hidden_size=3)
    train, valid = split("train", 51, 1), split("valid", 21, 2)  # the last batch has one text for two processes
    task = Classification.build(train_tokenizer("word", [" ".join(WORDS)]), ("new", "old"), options, run.config)
    return ClassificationObjective(task, train, valid, run), task


def translator(run: Run) -> Built:
    def split(name: str, count: int, seed: int) -> PairSplit:
        sources = sentences(count, seed)
        return PairSplit(name, sources, [" ".join(reversed(source.split())) for source in sources])

    data = PairData({"train": split("train", 51, 1), "valid": split("valid", 20, 2)}, "made up", [])
    source, target = train_tokenizers("word", data.split("train"), None, True)
    sizes = EncoderDecoderOptions(embedding_size=8, encoder_size=6, decoder_size=12, shared=True, dropout=0.0)
    task = Translation(EncoderDecoder(source.vocab_size, target.vocab_size, sizes), source, target, run.config)
    return TranslationObjective(task, data, run), task


BUILDERS: dict[str, Callable[..., Built]] = {
    "language_model": language_model,
    "classifier": classifier,
    "translator": translator,
}


def train(
    name: str,
    folder: Path,
    before_loss: Callable[[Run, int], float] | None = None,
    dropout: bool = False,
    **options: Any,
) -> tuple[Run, Any, FitResult]:
    """Train by one of BUILDERS; what `before_loss(run, calls)` gives is added to the loss of a batch."""
    run = start_run(__file__, Config(nl.TrainingOptions(run=str(folder), **OPTIONS | options)))
    objective, task = BUILDERS[name](run, **(DROPOUTS if dropout else {}))
    loss, calls = objective.loss, [0]

    def wrapped(*arguments: Any) -> Any:
        calls[0] += 1
        value, carry = loss(*arguments)
        return value + before_loss(run, calls[0]) if before_loss else value, carry

    objective.loss = wrapped
    return run, objective, fit(objective, task, run)


def stop_the_second(run: Run, calls: int) -> float:
    if run.processes.rank == 1 and calls == 12:
        os.kill(os.getpid(), signal.SIGTERM)
    return 0.0


def lose_the_second(run: Run, calls: int) -> float:
    return math.nan if run.processes.rank == 1 and calls == 12 else 0.0


def end_the_second(run: Run, calls: int) -> float:
    if run.processes.rank == 1 and calls == 12:
        os._exit(7)
    return 0.0


def kill_the_second_once(run: Run, calls: int) -> float:
    restarts = os.environ["TORCHELASTIC_RESTART_COUNT"], os.environ["TORCHELASTIC_MAX_RESTARTS"]
    if run.processes.rank == 1 and calls == 24 and restarts == ("0", "1"):
        os.kill(os.getpid(), signal.SIGKILL)
    return 0.0


def main(folder: Path, ports: list[str]) -> None:
    """Train everything once, and write down how each training ended in this process."""
    ends: dict[str, Any] = {}

    def trained(title: str, *arguments: Any, into: str | None = None, **options: Any) -> None:
        os.environ["MASTER_PORT"] = ports.pop()
        try:
            _, _, result = train(*arguments[:1], folder / (into or title), *arguments[1:], **options)
            ends[title] = [result.steps, result.items, result.best]
        except SystemExit as end:
            ends[title] = f"exit {end.code}"
        except KeyboardInterrupt as end:
            ends[title] = f"stopped {end.exit_code}"
        except TrainingError as error:
            ends[title] = str(error)
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

    for name in BUILDERS:
        trained(name, name)
    trained(
        "resumed", "language_model", into="chain", resume=True, max_steps=14, validations=14
    )  # begun by one process
    drops: dict[str, Any] = {"dropout": True, "validations": 1}
    trained("whole", "language_model", max_steps=8, **drops)
    trained("first half", "language_model", into="halves", max_steps=4, **drops)
    trained("second half", "language_model", into="halves", max_steps=8, resume=True, **drops)
    trained("stopped", "language_model", stop_the_second)
    trained("lost", "language_model", lose_the_second)
    write_ends(folder, ends)
    trained("ended", "language_model", end_the_second)
    write_ends(folder, ends)


def write_ends(folder: Path, ends: dict[str, Any]) -> None:
    (folder / f"rank-{os.environ['RANK']}.json").write_text(json.dumps(ends), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[2:]:
        main(Path(sys.argv[1]), sys.argv[2:])
    else:
        train("language_model", Path(sys.argv[1]), kill_the_second_once, checkpoint_steps=5)
