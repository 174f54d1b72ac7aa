"""The run that a command is called with."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from nlp_lstm.errors import UsageError


def load_quietly(folder: str, **options: str) -> Any:
    """Load a run, with the options of `nlp_lstm.load`; what libraries print meanwhile, no result, goes to stderr."""
    from nlp_lstm.tasks import load

    with contextlib.redirect_stdout(sys.stderr):
        return load(folder, **options)


def load_of_kind(folder: str, kind: str, wanted: str) -> Any:
    """Load a run of the task `kind`; raises UsageError where it is another, with `wanted` for what it should be."""
    task = load_quietly(folder)
    if task.kind != kind:
        raise UsageError(f"{folder} holds a model for {task.kind.replace('_', ' ')}; {wanted}.")
    return task


def load_translators(folders: list[str], wanted: str) -> Any:
    """Load translators as one that averages their probabilities; raises UsageError as `load_of_kind` does."""
    tasks = [load_of_kind(folder, "translation", wanted) for folder in folders]
    return tasks[0].ensemble(*tasks[1:]) if len(tasks) > 1 else tasks[0]
