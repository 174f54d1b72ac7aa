"""A run: its folder, its seed, its device, and what it writes."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch

from nlp_lstm.data import lasting_name, unlock
from nlp_lstm.errors import RunFolderError
from nlp_lstm.models import choose_device, choose_precision, use_threads
from nlp_lstm.tasks import write_text
from nlp_lstm.training._command import code_state, command_of, resume_command
from nlp_lstm.training._distributed import join, rank_here, restarts_here, use_own_gpu
from nlp_lstm.training._machine import accelerator, processor, versions
from nlp_lstm.training._options import TrainingOptions
from nlp_lstm.training._run_folder import (
    METRICS,
    drop_unfinished,
    earlier_config,
    folder_to_resume,
    free_folder,
    lock_run,
    make_folder,
    metrics_lines,
    require_free,
)
from nlp_lstm.training._tensorboard import TensorBoard, require_tensorboard


class Described(Protocol):
    """Data that says what it is and what was decided about it, such as `TextData`."""

    @property
    def description(self) -> str:
        """One line for the model card."""

    @property
    def notes(self) -> list[str]:
        """What was decided while loading."""


class Run:
    """One training run: where it writes, with what seed, on what device, with what threads and precision.

    `recipe` is the recipe's file, `config` its Config, whose field `training` is TrainingOptions. Nothing is written
    before `create`. Of several processes that train together the first alone writes; another waits here until that one
    has its data and tokenizers, and gets them in a folder that goes away with it, as if it resumed a run.
    """

    def __init__(self, recipe: str, config: Any) -> None:
        self._called = recipe, config
        self._lock: int | None = None
        self._tensorboard: TensorBoard | None = None
        self._forgotten_after = 0
        self.recipe = Path(recipe).stem
        self.options: TrainingOptions = config.training
        if self.options.tensorboard:
            require_tensorboard()
        settings = asdict(config)
        self.config: dict[str, Any] = {"recipe": self.recipe, "config": settings, "seed": self.options.seed}
        if isinstance(settings.get("data"), dict):
            self.config["data"] = {**settings["data"], "data": lasting_name(settings["data"]["data"])}
        self.config["command"] = command_of(recipe, config)
        use_threads(self.options.threads)
        if self.options.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS has no such algorithms
            torch.use_deterministic_algorithms(True)
        torch.manual_seed(self.options.seed)
        use_own_gpu(self.options.device)
        self.device = choose_device(self.options.device)
        self.processes = join(self.device)
        self._taken_up = self._starts_again()
        if self.processes.first:
            self.folder = self._first_folder()
        else:
            self._received = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
            self.folder = Path(self._received.name)
            self.processes.receive(self.folder)
        self.precision = choose_precision(self.options.precision, self.device)
        self.config |= {
            "device": str(self.device),
            "precision": self.precision,
            "threads": torch.get_num_threads(),
            "processes": self.processes.count,
            "code": code_state(Path(recipe)),
            "processor": processor(),
            "accelerator": accelerator(self.device),
            "versions": versions(),
        }
        each = f" in each of {self.processes.count} processes" if self.processes.count > 1 else ""
        threads = f"{torch.get_num_threads()} threads{each}"
        say(f"{self.recipe}: {self.folder} | {self.device}, {self.precision}, {threads}")

    def _starts_again(self) -> bool:
        """Whether torchrun has started the processes again, on any machine, and there is a run to go on with."""
        restarts, named = sum(self.processes.sum_numbers(restarts_here())), self.options.run
        return restarts > 0 and named is not None and (Path(named) / "config.json").exists()

    def _first_folder(self) -> Path:
        if not self.resumed:
            return free_folder(self.recipe, self.options.run)
        folder = folder_to_resume(self.recipe, self.options.run)
        earlier = earlier_config(folder, self.config, self._called[1])
        self.config["command"] = f"{earlier['command']}; {self.config['command']}"
        return folder

    @property
    def resumed(self) -> bool:
        """Whether the tokenizers are in the run folder already: this run goes on, or this process helps another."""
        return self.options.resume or rank_here() > 0 or self._taken_up

    @property
    def resume_command(self) -> str:
        """What the user types to go on with this run when it was stopped."""
        return resume_command(*self._called, self.folder)

    def announce(self, data: Described) -> None:
        """Say on stderr what is trained on, how it was cut, and what was left out."""
        for line in (data.description, *data.notes):
            say(line)

    def create(self) -> None:
        """Make the folder, now that there is something to write; RunFolderError where that cannot be."""
        if rank_here() > 0:
            return
        if not self.resumed:
            self.folder = free_folder(self.recipe, self.options.run)  # another run may have taken it since
        make_folder(self.folder)
        self._lock = lock_run(self.folder)
        if not self.resumed:
            try:
                require_free(self.folder)  # before it was locked, another run may have come and gone
            except RunFolderError:
                self.close()
                raise
        drop_unfinished(self.folder)

    def close(self) -> None:
        """Let other trainings write to the folder."""
        self._close_tensorboard()
        unlock(self._lock)
        self._lock = None

    def record(self, **values: float | int | str | None) -> None:
        """Append one line to metrics.jsonl, and the numbers to TensorBoard's folder where that is asked for."""
        if rank_here() > 0:
            return
        if self.options.tensorboard:
            self._tensorboard = self._tensorboard or TensorBoard(self.folder, self._forgotten_after)
            self._tensorboard.record(values)
        with (self.folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps({**values, "at": round(time.time(), 3)}) + "\n")

    def _close_tensorboard(self) -> None:
        if self._tensorboard is not None:
            self._tensorboard.close()
            self._tensorboard = None

    def forget_after(self, step: int) -> None:
        """Drop the lines of metrics.jsonl that a stopped run wrote after the checkpoint of `step`, or half wrote.

        TensorBoard hides what it has of them. Raises RunFolderError where metrics.jsonl is not a run's file.
        """
        self._close_tensorboard()
        self._forgotten_after = step
        path = self.folder / METRICS
        if path.exists():
            write_text(path, "".join(line for line in metrics_lines(self.folder) if _is_until(line, step)))
        else:  # or a link to nothing, through which `record` would write elsewhere
            path.unlink(missing_ok=True)


def start_run(recipe: str, config: Any) -> Run:
    """Begin a run of the recipe in the file `recipe` with its Config, whose field `training` is TrainingOptions.

    Chooses the folder (or finds that of a run to resume), seeds torch, and chooses device, precision and
    threads. Nothing is written yet. Raises RunFolderError where the folder holds another run or cannot be written,
    UsageError where nothing is there to resume or the run to resume had other settings.
    """
    return Run(recipe, config)


def say(text: str) -> None:
    """Print a note for people, once: in the first process, and on stderr, since stdout carries results alone."""
    if rank_here() == 0:
        print(text, file=sys.stderr, flush=True)


def _is_until(line: str, step: int) -> bool:
    try:
        return bool(json.loads(line)["step"] <= step)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
