"""A run: its folder, its seed, its device, and what it writes."""

from __future__ import annotations

import json
import platform
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from nlp_lstm import __version__
from nlp_lstm.data import TextData, lasting_name
from nlp_lstm.models import choose_device, choose_precision
from nlp_lstm.tasks import write_text
from nlp_lstm.training._command import command_of, resume_command
from nlp_lstm.training._options import TrainingOptions
from nlp_lstm.training._run_folder import earlier_config, folder_to_resume, free_folder, make_folder


class Run:
    """One training run: where it writes, with what seed, on what device, with what threads and precision.

    `recipe` is the recipe's file, `config` its Config, whose field `training` is TrainingOptions. Nothing is written
    before `create`.
    """

    def __init__(self, recipe: str, config: Any) -> None:
        self._called = recipe, config
        self.recipe = Path(recipe).stem
        self.options: TrainingOptions = config.training
        settings = asdict(config)
        self.config: dict[str, Any] = {"recipe": self.recipe, "config": settings, "seed": self.options.seed}
        if isinstance(settings.get("data"), dict):
            self.config["data"] = {**settings["data"], "data": lasting_name(settings["data"]["data"])}
        self.config["command"] = command_of(recipe, config)
        if self.resumed:
            self.folder = folder_to_resume(self.recipe, self.options.run)
            earlier = earlier_config(self.folder, self.config)
            self.config["command"] = f"{earlier['command']}; {self.config['command']}"
        else:
            self.folder = free_folder(self.recipe, self.options.run)
        if self.options.threads:
            torch.set_num_threads(self.options.threads)
        torch.manual_seed(self.options.seed)
        self.device = choose_device(self.options.device)
        self.precision = choose_precision(self.options.precision, self.device)
        self.config |= {
            "device": str(self.device),
            "precision": self.precision,
            "threads": torch.get_num_threads(),
            "versions": {
                "nlp_lstm": __version__,
                "torch": str(torch.__version__),
                "python": platform.python_version(),
            },
        }
        say(f"{self.recipe}: {self.folder} | {self.device}, {self.precision}, {torch.get_num_threads()} threads")

    @property
    def resumed(self) -> bool:
        """Whether this run goes on from a checkpoint."""
        return self.options.resume

    @property
    def resume_command(self) -> str:
        """What the user types to go on with this run when it was stopped."""
        return resume_command(*self._called, self.folder)

    def announce(self, data: TextData) -> None:
        """Say on stderr what is trained on, how it was cut, and what was left out."""
        for line in (data.description, *data.notes):
            say(line)

    def create(self) -> None:
        """Make the folder, now that there is something to write; RunFolderError where that cannot be."""
        if not self.resumed:
            self.folder = free_folder(self.recipe, self.options.run)  # another run may have taken it since
        make_folder(self.folder)

    def record(self, **values: float | int | str | None) -> None:
        """Append one line to metrics.jsonl."""
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({**values, "at": round(time.time(), 3)}) + "\n")

    def forget_after(self, step: int) -> None:
        """Drop the lines of metrics.jsonl that a stopped run wrote after the checkpoint of `step`, or half wrote."""
        path = self.folder / "metrics.jsonl"
        if path.exists():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
            write_text(path, "".join(line for line in lines if _is_until(line, step)))


def start_run(recipe: str, config: Any) -> Run:
    """Begin a run of the recipe in the file `recipe` with its Config, whose field `training` is TrainingOptions.

    Chooses the folder (or finds that of a run to resume), seeds torch, and chooses device, precision and
    threads. Nothing is written yet. Raises RunFolderError where the folder holds another run or cannot be written,
    UsageError where nothing is there to resume or the run to resume had other settings.
    """
    return Run(recipe, config)


def say(text: str) -> None:
    """Print a note for people: on stderr, since stdout carries results alone."""
    print(text, file=sys.stderr, flush=True)


def _is_until(line: str, step: int) -> bool:
    try:
        return bool(json.loads(line)["step"] <= step)
    except (ValueError, KeyError, TypeError):
        return False
