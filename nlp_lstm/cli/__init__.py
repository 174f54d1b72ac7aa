"""The `nlp-lstm` command: one module for each subcommand, imported when it is called."""

from nlp_lstm.cli._main import main, run_recipe

__all__ = ["main", "run_recipe"]
