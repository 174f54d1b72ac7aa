"""`--threads`, which the commands that run a model have as `train` has it."""

from __future__ import annotations

from typing import Any

import jsonargparse

from nlp_lstm.cli._options import placeholder
from nlp_lstm.cli._settings import settings_of
from nlp_lstm.training import TrainingOptions


def add_threads(parser: jsonargparse.ArgumentParser) -> None:
    """Add the option, with the type, default and help that it has in TrainingOptions."""
    setting = next(one for one in settings_of(TrainingOptions, "TrainingOptions") if one.name == "threads")
    parser.add_argument(
        setting.flag,
        type=setting.type,
        default=setting.default,
        metavar=placeholder(setting.type),
        help=f"{setting.help} (default: {setting.default})",
    )


def take_threads(options: dict[str, Any]) -> None:
    """Compute with as many threads as were asked for; raises UsageError for a number that `train` would refuse."""
    TrainingOptions(max_steps=1, threads=options["threads"])
    if options["threads"]:
        from nlp_lstm.models import use_threads  # only now, since it waits for torch

        use_threads(options["threads"])
