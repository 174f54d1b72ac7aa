"""A run: its folder, its seed, its device, and what it writes."""

from __future__ import annotations

import json
import platform
import sys
import time
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import torch

from nlp_lstm import __version__
from nlp_lstm.errors import RunFolderError, UsageError
from nlp_lstm.models import choose_device, choose_precision
from nlp_lstm.training._options import TrainingOptions


class Run:
    """One training run: where it writes, with what seed, on what device, with what threads and precision."""

    def __init__(self, recipe: str, options: TrainingOptions, config: dict[str, Any]) -> None:
        self.recipe, self.options = recipe, options
        self.folder = _choose_folder(recipe, options)
        if options.threads:
            torch.set_num_threads(options.threads)
        torch.manual_seed(options.seed)
        self.device = choose_device(options.device)
        self.precision = choose_precision(options.precision, self.device)
        self.config: dict[str, Any] = {
            "recipe": recipe,
            "data": _lasting(config["data"]),
            "command": " ".join(["nlp-lstm", *sys.argv[1:]]),
            "config": config,
            "seed": options.seed,
            "device": str(self.device),
            "precision": self.precision,
            "threads": torch.get_num_threads(),
            "versions": {
                "nlp_lstm": __version__,
                "torch": str(torch.__version__),
                "python": platform.python_version(),
            },
        }
        say(f"{recipe}: {self.folder} | {self.device}, {self.precision}, {torch.get_num_threads()} threads")

    @property
    def resumed(self) -> bool:
        """Whether this run goes on from a checkpoint."""
        return self.options.resume

    def record(self, **values: float | int | str | None) -> None:
        """Append one line to metrics.jsonl."""
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({**values, "at": round(time.time(), 3)}) + "\n")


def start_run(recipe: str, config: Any) -> Run:
    """Begin a run of the recipe named `recipe` with its Config, a dataclass whose field `training` is TrainingOptions.

    Creates the folder (or finds that of a run to resume), seeds every generator, and chooses device, precision and
    threads. Raises RunFolderError where the folder holds another run, UsageError where nothing is there to resume.
    """
    assert is_dataclass(config) and not isinstance(config, type)
    return Run(Path(recipe).stem, config.training, asdict(config))


def say(text: str) -> None:
    """Print a note for people: on stderr, since stdout carries results alone."""
    print(text, file=sys.stderr, flush=True)


def _lasting(data: dict[str, Any]) -> dict[str, Any]:
    # A path relative to the folder of today's command would be lost tomorrow.
    path = Path(data["data"])
    return {**data, "data": str(path.resolve())} if path.exists() else data


def _choose_folder(recipe: str, options: TrainingOptions) -> Path:
    if options.resume:
        return _folder_to_resume(recipe, options.run)
    if options.run is None:
        taken = [Path("runs") / name for name in (recipe, *(f"{recipe}-{number}" for number in range(2, 10_000)))]
        folder = next(path for path in taken if not path.exists())
    else:
        folder = Path(options.run)
        if (folder / "config.json").exists():
            raise RunFolderError(
                f"{folder} holds a run already. Go on with it (--resume), or choose another folder with --run."
            )
    try:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"{folder} cannot be created ({error.strerror}). Choose another place with --run.") from None
    return folder


def _folder_to_resume(recipe: str, run: str | None) -> Path:
    if run is not None:
        found = [Path(run)] if (Path(run) / "config.json").exists() else []
    else:
        found = sorted(Path("runs").glob(f"{recipe}*/config.json"), key=lambda path: path.stat().st_mtime)
        found = [path.parent for path in found]
    if not found:
        raise UsageError(f"There is no run to resume in {run or 'runs'}. Leave out --resume, or name one with --run.")
    return found[-1]
