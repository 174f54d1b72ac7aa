"""How a run was called: by a command line, or from Python."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from nlp_lstm.training._distributed import launcher_here

_MODULE = Path(__file__).resolve().parents[1] / "__main__.py"


def command_of(recipe: str, config: Any) -> str:
    """Give what trains this again: the command line that was typed, or the call `main(Config(...))` from Python.

    `recipe` is the recipe's file. The arguments of a notebook or a test say nothing about the runs that it starts.
    """
    script = Path(sys.argv[0]) if sys.argv else Path()
    launcher = launcher_here()
    if script.stem == "nlp-lstm" or script.resolve() == _MODULE:
        return shlex.join([*([*launcher, "-m", "--", "nlp_lstm"] if launcher else ["nlp-lstm"]), *sys.argv[1:]])
    if script.resolve() == Path(recipe).resolve():
        return shlex.join([*([*launcher, "--"] if launcher else ["python"]), *sys.argv])
    return f"main({_constructor(config)})"


def resume_command(recipe: str, config: Any, folder: Path) -> str:
    """Give what goes on with a run of `config` that was stopped: the same command with --run and --resume."""
    again = command_of(recipe, replace(config, training=replace(config.training, run=str(folder), resume=True)))
    if again.startswith("main("):
        return again
    where = [] if config.training.run else ["--run", str(folder)]
    return " ".join([again, *map(shlex.quote, where), *([] if config.training.resume else ["--resume"])])


def code_state(recipe: Path) -> str | None:
    """Give the git commit that the recipe's folder is at, with "-changed" where files differ; None without git."""
    command = ["git", "-C", str(recipe.resolve().parent), "describe", "--always", "--abbrev=40", "--dirty=-changed"]
    try:
        done = subprocess.run(
            [*command, "--exclude=*"], capture_output=True, text=True, timeout=5, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _constructor(value: Any) -> str:
    """Write a value as Python; of a dataclass, the fields that differ from their defaults."""
    if not is_dataclass(value):
        return repr(value)
    given = [
        f"{field.name}={_constructor(getattr(value, field.name))}"
        for field in fields(value)
        if field.init and getattr(value, field.name) != _default(field)
    ]
    return f"{type(value).__name__}({', '.join(given)})"


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()
