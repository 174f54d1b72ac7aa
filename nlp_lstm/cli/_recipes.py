"""`nlp-lstm recipes`: one line for each recipe, its name and what it does."""

from __future__ import annotations

from nlp_lstm.cli._options import new_parser, parse
from nlp_lstm.cli._recipe_files import shipped_recipes, summary


def run(arguments: list[str]) -> int:
    """Print name and summary of every recipe; the files are read, not run."""
    parse(
        new_parser("recipes", "", "List the recipes, a line each: the name for `nlp-lstm train`, and what it does."),
        arguments,
    )
    recipes = shipped_recipes()
    width = max(map(len, recipes), default=0)
    for name, file in recipes.items():
        print(f"{name:<{width}}  {summary(file)}")
    return 0
