"""Several trainings at once on one machine: what of a lone training's speed do they reach together?

`nlp-lstm train` runs alone and then --processes times at once, in turn, as a user would start it: each run may use
every core. The figure is the sum of the speeds of those at once over the speed of the lone ones, of which the medians
are taken; 1.0 would lose nothing and 0.5 half. Speeds are items a second of training, without start-up and validation,
and memory is the peak of the largest of the processes.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from _common import fill_in, format_table, new_parser, peak_of_command, print_result
from _training import smoke_data, speed, split_arguments

_EPILOG = """What stands after a lone -- goes to `nlp-lstm train` as it is, for example:
  python benchmarks/side_by_side.py --processes 8 -- --threads 1"""


def train(run: Path, recipe: str, options: list[str]) -> tuple[float, int, int]:
    """Train in a process of its own; return items a second, peak memory in bytes and the threads it took."""
    memory = peak_of_command("train", recipe, "--run", run, *options)
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return speed(records), memory, json.loads((run / "config.json").read_text(encoding="utf-8"))["threads"]


def train_together(work: Path, processes: int, recipe: str, options: list[str]) -> list[tuple[float, int, int]]:
    """Train so many times at once."""
    with ThreadPoolExecutor(processes) as pool:
        return list(pool.map(lambda number: train(work / str(number), recipe, options), range(processes)))


def measure(processes: int, repeats: int, recipe: str, options: list[str]) -> dict[str, Any]:
    """Train alone and together, in turn."""
    found: dict[int, list[list[tuple[float, int, int]]]] = {1: [], processes: []}
    for _ in range(repeats):
        for count, rounds in found.items():
            with tempfile.TemporaryDirectory() as work:
                rounds.append(train_together(Path(work), count, recipe, options))
    alone = [speeds[0][0] for speeds in found[1]]
    together = [[one[0] for one in speeds] for speeds in found[processes]]
    return {
        "threads": found[1][0][0][2],
        "alone": alone,
        "together": together,
        "share": statistics.median(map(sum, together)) / statistics.median(alone),
        "peak_memory_mb": max(one[1] for rounds in found[processes] for one in rounds) / 1e6,
    }


def main() -> int:
    """Measure, and print the table."""
    own, passed = split_arguments(sys.argv[1:])
    parser = new_parser(__doc__, _EPILOG)
    parser.add_argument("--recipe", default="char_lm", help="what is trained (default: char_lm)")
    parser.add_argument("--data", help="what it is trained on (default: the recipe's own)")
    parser.add_argument("--processes", type=int, default=2, help="trainings at once, two or more (default: 2)")
    parser.add_argument("--max-time", help="budget of each training (default: 20s; with --smoke 1s)")
    parser.add_argument("--repeats", type=int, help="how often each is measured (default: 3; with --smoke 1)")
    parser.add_argument("--seed", type=int, default=0, help="of all trainings (default: 0)")
    arguments = parser.parse_args(own)
    if arguments.processes < 2:
        parser.error(f"--processes {arguments.processes} is not side by side. Take two or more.")
    fill_in(arguments, {"max_time": ("20s", "1s"), "repeats": (3, 1)})
    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data or (smoke_data(Path(folder)) if arguments.smoke else None)
        options = [*(["--data", str(data)] if data else []), *(["--smoke"] if arguments.smoke else [])]
        options += ["--seed", str(arguments.seed), "--max-time", arguments.max_time, "--validations", "1", *passed]
        found = measure(arguments.processes, arguments.repeats, arguments.recipe, options)
    threads = found.pop("threads")
    names = {name: getattr(arguments, name) for name in ("seed", "recipe", "processes", "max_time")}
    rounds = zip(found["alone"], map(sum, found["together"]), strict=True)
    rows = [[str(number), *speeds] for number, speeds in enumerate(rounds, 1)]
    table = format_table(["round", "alone, items/s", f"{arguments.processes} at once, items/s in all"], rows)
    table += f"\n\ntogether {found['share']:.1%} of one alone; at most {found['peak_memory_mb']:,.0f} MB each"
    print_result("side_by_side", threads, {**names, "options": passed, **found}, table, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
