"""The table of subcommands. To add one: a module with `run(arguments) -> int` in this folder, and a line here."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from nlp_lstm.errors import unknown_name


@dataclass(frozen=True)
class Command:
    """One subcommand: the module that runs it, how it is called, and what it does in a few words."""

    module: str
    usage: str
    summary: str

    def run(self, arguments: list[str]) -> int:
        """Import the module, which only now costs its time, and run it; returns the exit code."""
        code: int = importlib.import_module(f"nlp_lstm.cli.{self.module}").run(arguments)
        return code


COMMANDS = {
    "recipes": Command("_recipes", "recipes", "list the recipes, a line each"),
    "cells": Command("_cells", "cells [options]", "list the recurrent cells: name, size, paper; their speed here"),
    "copy": Command("_copy", "copy RECIPE [PATH]", "write a recipe to a file of your own, to edit and train"),
    "train": Command("_train", "train RECIPE|FILE.py [options]", "train a model; the result is a run folder"),
    "generate": Command(
        "_generate", "generate RUN [options]", "continue text; without --prompt a conversation or a pipe"
    ),
    "classify": Command("_classify", "classify RUN [options] < lines", "label texts, with probabilities and reasons"),
    "translate": Command("_translate", "translate RUN [options] < lines", "translate or summarize lines, or entries"),
    "evaluate": Command("_evaluate", "evaluate RUN [options]", "score a run on held-out text"),
    "compare": Command("_compare", "compare RUN_A RUN_B [options]", "test whether one run is better than another"),
    "shrink": Command("_shrink", "shrink RUN FOLDER", "write a run again with weights of half the size"),
    "plot": Command("_plot", "plot RUN... [options]", "draw the curves of training, as text or as a picture"),
}

_HELP = """usage: nlp-lstm COMMAND ...

Recurrent networks for text, trained on your own machine.

commands:
{commands}

options:
  -h, --help   this text; after a command, that command's options
  --version    the version
  --debug      anywhere: show the traceback of an error

Options are written with hyphens or underscores. Results go to stdout, everything else to stderr.
Exit codes: 0 done, 1 failed, 2 wrong call, 130 stopped with Ctrl-C.
"""


def help_text() -> str:
    """What `nlp-lstm --help` prints, made from the table."""
    width = max(len(command.usage) for command in COMMANDS.values()) + 2
    return _HELP.format(commands="\n".join(f"  {c.usage:<{width}} {c.summary}" for c in COMMANDS.values()))


def find_command(name: str) -> Command:
    """Look a subcommand up by name; raises UsageError with the nearest name where there is none."""
    if name.startswith("-"):
        raise unknown_name("option before the command", name, ["--help", "--version", "--debug"])
    if name not in COMMANDS:
        raise unknown_name("command", name, COMMANDS)
    return COMMANDS[name]
