"""`nlp-lstm copy`: a recipe as a file of one's own."""

from __future__ import annotations

from pathlib import Path

from nlp_lstm.cli._files import write_new
from nlp_lstm.cli._options import new_parser, parse
from nlp_lstm.cli._recipe_files import shipped_recipe
from nlp_lstm.cli._terminal import note


def run(arguments: list[str]) -> int:
    """Write the recipe's file, print its path, and say on stderr how to run it."""
    parser = new_parser("copy", "RECIPE [PATH] [--force]", "Write a recipe to a file of your own, to edit and train.")
    parser.add_argument("recipe", metavar="RECIPE", type=str, help="a name that `nlp-lstm recipes` lists")
    parser.add_argument(
        "path", metavar="PATH", type=str, nargs="?", help="file or folder to write to; by default ./RECIPE.py"
    )
    parser.add_argument("--force", action="store_true", help="write over a file that is there")
    options = parse(parser, arguments)

    recipe = shipped_recipe(options["recipe"])
    target = Path(options["path"] or recipe.name)
    if target.is_dir():
        target = target / recipe.name
    write_new(target, recipe.read_text(encoding="utf-8"), overwrite=options["force"], hint="--force writes over it")
    print(target)
    note(f"Train it:  nlp-lstm train {target}" if target.suffix == ".py" else "Name it .py to train it.")
    return 0
