"""Which folder a run writes to: a free one, or that of a run to go on with."""

from __future__ import annotations

import json
import os
import re
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

from nlp_lstm.errors import RunFolderError, UsageError, flag_value

# What may change between the start of a run and its resuming: where it ends, and on what machine it runs.
_FREE = {"run", "resume", "max_time", "max_steps", "max_epochs", "validations", "patience"}
_FREE |= {"device", "precision", "threads", "checkpoint_every", "checkpoint_steps", "keep", "restarts", "tensorboard"}

METRICS = "metrics.jsonl"
_LARGEST_METRICS = 64 * 2**20


def free_folder(recipe: str, named: str | None) -> Path:
    """Return the folder for a new run, which need not exist yet: `named`, or the first free runs/RECIPE-N.

    Raises RunFolderError where it holds a run, or cannot be made or written.
    """
    if named is None:
        names = (recipe, *(f"{recipe}-{number}" for number in range(2, 10_000)))
        folder = next(path for path in (Path("runs") / name for name in names) if not path.exists())
    else:
        folder = Path(named)
    try:
        require_free(folder)
        above = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    except OSError as error:
        raise _cannot_write(folder, error.strerror) from None
    if not above.is_dir():
        raise _cannot_write(folder, f"{above} is a file")
    if not os.access(above, os.W_OK | os.X_OK):
        raise _cannot_write(folder, f"{above} is read-only")
    return folder


def require_free(folder: Path) -> None:
    """Raise RunFolderError where the folder holds a run."""
    if (folder / "config.json").exists():
        raise RunFolderError(
            f"{folder} holds a run already. Go on with it (--resume), or choose another folder with --run."
        )


def make_folder(folder: Path) -> None:
    """Create the folder with its checkpoints/; raises RunFolderError where that fails, or they lie elsewhere."""
    checkpoints = folder / "checkpoints"
    try:
        checkpoints.mkdir(parents=True, exist_ok=True)
        inside = checkpoints.resolve().is_relative_to(folder.resolve())
    except OSError as error:
        raise _cannot_write(folder, error.strerror) from None
    if not inside:  # old checkpoints are removed there
        raise RunFolderError(f"{checkpoints} is a link that leads out of the run folder. Name another with --run.")


def lock_run(folder: Path) -> int | None:
    """Keep other trainings out of the folder until this process ends, however it ends; returns the lock's descriptor.

    Raises RunFolderError where another training holds it. None where the system has no locks on folders.
    """
    from nlp_lstm.data import lock_folder  # here, since `--help` needs this module and must not wait for torch

    try:
        return lock_folder(folder / "checkpoints")
    except BlockingIOError:
        raise RunFolderError(
            f"Another training is writing to {folder}. Wait for it, stop it, or choose another folder with --run."
        ) from None


def drop_unfinished(folder: Path) -> None:
    """Remove the files that a killed training was writing, which never got their names; only under the lock."""
    for pattern in (".*.*[0-9]", "checkpoints/.step-*.pt.*[0-9]"):
        for path in folder.glob(pattern):
            if path.is_file() and path.name.rpartition(".")[2].isdecimal():
                path.unlink(missing_ok=True)


def folder_to_resume(recipe: str, named: str | None) -> Path:
    """Return the folder `named`, or the newest of runs/RECIPE and runs/RECIPE-N; raises UsageError where none is."""
    if named is not None:
        found = [Path(named)] if (Path(named) / "config.json").exists() else []
    else:
        numbered = re.compile(re.escape(recipe) + r"(-\d+)?")
        configs = sorted(Path("runs").glob("*/config.json"), key=lambda path: path.stat().st_mtime)
        found = [path.parent for path in configs if numbered.fullmatch(path.parent.name)]
    if not found:
        raise UsageError(f"There is no run to resume in {named or 'runs'}. Leave out --resume, or name one with --run.")
    return found[-1]


def earlier_config(folder: Path, config: dict[str, Any], recipe_config: Any) -> dict[str, Any]:
    """Read config.json of the run to resume and hold it against `config`, that of now.

    An option that an older run does not name had its default in `recipe_config`, the recipe's Config. Raises
    RunFolderError where it cannot be read, and UsageError that names the flags in which the two differ.
    """
    from nlp_lstm.tasks import read_json  # here, since `--help` needs this module and must not wait for torch

    path = folder / "config.json"
    try:
        earlier: dict[str, Any] = read_json(folder, path.name)
        before = flat_settings(earlier)
        recipe, _ = earlier["recipe"], earlier["command"]
    except (KeyError, TypeError, AttributeError) as error:
        raise RunFolderError(f"{path} does not describe a run ({error!r}). Restore it, or train anew.") from None
    if recipe != config["recipe"]:
        raise UsageError(
            f"{folder} is a run of the recipe {flag_value(recipe)}, not of {config['recipe']}. Name another with --run."
        )
    now = flat_settings(json.loads(json.dumps(config)))
    before = json.loads(json.dumps(_defaults(recipe_config))) | before
    wrong = [
        f"--{name.replace('_', '-')} {flag_value(before[name])} (not {flag_value(now[name])})"
        for name in before.keys() & now.keys() - _FREE
        if before[name] != now[name]
    ]
    if wrong:
        raise UsageError(
            f"{folder} was trained with other settings. To go on with it, give {', '.join(sorted(wrong))}."
        )
    return earlier


def metrics_lines(folder: Path) -> list[str]:
    """Read the lines of a run's metrics.jsonl, with their ends; bytes that are no UTF-8 become U+FFFD.

    Raises RunFolderError where it is missing, no plain file of the folder, or too large to be a run's.
    """
    from nlp_lstm.tasks import checked_file  # here for the reason given above

    path = checked_file(folder, METRICS, _LARGEST_METRICS)
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {error.strerror}.") from None


def flat_settings(config: dict[str, Any]) -> dict[str, Any]:
    """Flatten the recipe's Config in config.json, with the data's path as it is wherever the command runs."""
    flat: dict[str, Any] = {}
    for name, value in (config["config"] | {name: config[name] for name in ("data",) if name in config}).items():
        flat |= value if isinstance(value, dict) else {name: value}
    return flat


def _defaults(config: Any) -> dict[str, Any]:
    """The defaults of a Config and of the dataclasses in it, flat."""
    flat: dict[str, Any] = {}
    for field in fields(config):
        default = field.default if field.default_factory is MISSING else field.default_factory()
        if default is not MISSING:
            inner = is_dataclass(default) and not isinstance(default, type)
            flat |= asdict(default) if inner else {field.name: default}
    return flat


def _cannot_write(folder: Path, reason: str | None) -> RunFolderError:
    return RunFolderError(f"{folder} cannot be written ({reason}). Choose another place with --run.")
