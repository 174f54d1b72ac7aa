"""What checkpoints cost: the share of a training's time that they take at one a minute.

A checkpoint takes a small part of a second, less than trainings differ by chance. So each recipe is trained for --steps
steps with a checkpoint after every step and with none but the last, in turn, and the difference of the fastest of each
is divided by the number of checkpoints. Times are those of whole commands; the sizes are the recipes' own.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _common import fill_in, format_table, new_parser, print_result, run_command
from _training import split_arguments

RECIPES = ("char_lm", "word_lm", "sentiment", "translation")
MINUTE = 60.0

_EPILOG = """What stands after a lone -- goes to `nlp-lstm train` as it is, for example:
  python benchmarks/checkpoints.py --recipes word_lm -- --hidden-size 512 --embedding-size 512"""


def train(recipe: str, every: int, options: list[str]) -> tuple[float, int, int]:
    """Train with a checkpoint every so many steps (0: only the last); return seconds, its bytes and the threads."""
    with tempfile.TemporaryDirectory() as work:
        run = Path(work) / "run"
        began = time.perf_counter()
        run_command("train", recipe, "--run", run, "--checkpoint-steps", every, *options)
        took = time.perf_counter() - began
        threads = json.loads((run / "config.json").read_text(encoding="utf-8"))["threads"]
        return took, max(file.stat().st_size for file in (run / "checkpoints").iterdir()), threads


def measure(recipe: str, steps: int, repeats: int, options: list[str]) -> dict[str, Any]:
    """Time a recipe with and without checkpoints, in turn."""
    times: dict[int, list[float]] = {0: [], 1: []}
    size = threads = 0
    for _ in range(repeats):
        for every, found in times.items():
            took, size, threads = train(recipe, every, [*options, "--max-steps", str(steps)])
            found.append(took)
    cost = (min(times[1]) - min(times[0])) / steps
    return {
        "recipe": recipe,
        "threads": threads,
        "without_seconds": times[0],
        "with_seconds": times[1],
        "checkpoint_mb": size / 1e6,
        "checkpoint_ms": 1000 * cost,
        "share_of_a_minute": cost / MINUTE,
    }


def main() -> int:
    """Measure every recipe, and print the table."""
    own, passed = split_arguments(sys.argv[1:])
    parser = new_parser(__doc__, _EPILOG)
    parser.add_argument("--recipes", nargs="+", help=f"(default: {' '.join(RECIPES)}; with --smoke char_lm)")
    parser.add_argument("--steps", type=int, help="of a training (default: 100; with --smoke 5)")
    parser.add_argument("--repeats", type=int, help="how often each is timed (default: 3; with --smoke 1)")
    parser.add_argument("--seed", type=int, default=0, help="of all trainings (default: 0)")
    arguments = parser.parse_args(own)
    fill_in(arguments, {"recipes": (RECIPES, RECIPES[:1]), "steps": (100, 5), "repeats": (3, 1)})
    options = ["--seed", str(arguments.seed), "--validations", "1", *(["--smoke"] if arguments.smoke else []), *passed]
    found = [measure(recipe, arguments.steps, arguments.repeats, options) for recipe in arguments.recipes]
    rows = [
        [
            *(one["recipe"], min(one["without_seconds"]), min(one["with_seconds"])),
            *(one["checkpoint_mb"], one["checkpoint_ms"], f"{one['share_of_a_minute']:.2%}"),
        ]
        for one in found
    ]
    header = ["recipe", "none, s", f"{arguments.steps}, s", "MB each", "ms each", "one a minute"]
    result = {"seed": arguments.seed, "steps": arguments.steps, "options": passed, "recipes": found}
    print_result("checkpoints", found[0]["threads"], result, format_table(header, rows), arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
