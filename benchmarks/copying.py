"""Can the translator copy a sequence, and reverse it? Exact matches on new sequences of the greatest length.

Sequences of random symbols, of 1 to --length of them in training, become themselves (copy) or are turned round
(reverse). Either is learned by `nlp-lstm train translation` with one id a symbol, in a process of its own. A decoder
that attends has to find out where it stands by counting alone, since nothing in random symbols tells it. What is scored
is 1,000 sequences of the full length that training has not seen, decoded as `nlp-lstm evaluate` does.
"""

from __future__ import annotations

import json
import random
import string
import sys
import tempfile
from pathlib import Path
from typing import Any

from _common import fill_in, format_table, new_parser, print_result, run_command
from _training import split_arguments

TASKS = ("copy", "reverse")
SYMBOLS = string.ascii_lowercase
_SIZES = {"train": 30_000, "valid": 500, "test": 1000}
_SMALL = {"train": 60, "valid": 10, "test": 10}
_EPILOG = """What stands after a lone -- goes to `nlp-lstm train` as it is, for example:
  python benchmarks/copying.py --max-time 5m -- --cell gru --input-feeding true"""


def sequences(count: int, shortest: int, longest: int, chance: random.Random) -> list[list[str]]:
    """Draw sequences of symbols, their lengths evenly."""
    return [chance.choices(SYMBOLS, k=chance.randint(shortest, longest)) for _ in range(count)]


def write_task(folder: Path, task: str, sizes: dict[str, int], length: int, seed: int) -> None:
    """Write the files of a task; no held-out sequence of the full length is among those of training."""
    chance = random.Random(seed)
    folder.mkdir()
    seen: set[str] = set()
    for split, count in sizes.items():
        drawn = sequences(count, length if split == "test" else 1, length, chance)
        sources = [" ".join(symbols) for symbols in drawn]
        if seen & set(sources) and split == "test":
            raise SystemExit("A test sequence is among those of training: give a greater --length.")
        seen |= set(sources)
        targets = sources if task == "copy" else [" ".join(reversed(symbols)) for symbols in drawn]
        for side, lines in (("source", sources), ("target", targets)):
            (folder / f"{split}.{side}").write_text("\n".join(lines) + "\n", encoding="utf-8")


def train_and_score(task: str, data: Path, run: Path, seed: int, options: list[str]) -> dict[str, Any]:
    """Train as a user does and score the test split."""
    named = ["--data", data, "--source", "source", "--target", "target", "--tokenizer", "word"]
    named += ["--max-words", 0]  # pairs of any length are trained on
    # One answer is right: with smoothing the validation loss, which chooses, rises while more come out exact.
    named += ["--label-smoothing", 0]
    run_command("train", "translation", "--run", run, "--seed", seed, *named, *options)
    scores = json.loads(run_command("evaluate", run, "--json"))
    last = json.loads((run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    threads = json.loads((run / "config.json").read_text(encoding="utf-8"))["threads"]
    figures = {name: scores[name] for name in ("exact_match", "n")}
    return {
        "task": task,
        "seed": seed,
        **figures,
        "steps": last["step"],
        "seconds": last["seconds"],
        "threads": threads,
    }


def main() -> int:
    """Train and score each task with each seed, and print."""
    own, passed = split_arguments(sys.argv[1:])
    parser = new_parser(__doc__ or "", _EPILOG)
    parser.add_argument("--length", type=int, metavar="N", help="the greatest number of symbols (default: 30)")
    parser.add_argument("--max-time", metavar="T", help="training time of a run (default: 3m)")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", help="a run of each task for each (default: 0)")
    arguments = parser.parse_args(own)
    fill_in(arguments, {"length": (30, 12), "max_time": ("3m", None), "seeds": ([0], [0])})
    options = ["--smoke"] if arguments.smoke else []
    options += ["--max-time", arguments.max_time] if arguments.max_time else []
    runs = []
    with tempfile.TemporaryDirectory() as work:
        for task in TASKS:
            for seed in arguments.seeds:
                data = Path(work) / f"{task}-{seed}"
                write_task(data, task, _SMALL if arguments.smoke else _SIZES, arguments.length, seed)
                run = Path(work) / f"run-{task}-{seed}"
                runs.append(train_and_score(task, data, run, seed, [*options, *passed]))
                print(f"{task}, seed {seed}: {runs[-1]['exact_match']:.3f} exact", file=sys.stderr)
    threads = {run.pop("threads") for run in runs}.pop()
    result = {"seeds": arguments.seeds, "length": arguments.length, "options": passed, "runs": runs}
    header = ["task", "seed", "exact_match", "n", "steps", "seconds"]
    table = format_table(header, [[run[name] for name in header] for run in runs])
    print_result("copying", threads, result, table, arguments.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
