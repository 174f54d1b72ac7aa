"""Trainings killed at random instants and resumed: is what comes out the same to the bit?

Every recipe is trained once without a break, in small sizes with a checkpoint every few steps, and timed from when it
makes its run folder. Then it is started again and again, killed (SIGKILL) at an instant drawn from that time, checked
for files that do not load under their real names, resumed with --resume (or started anew where the folder describes no
run yet), and killed once more or left to its end. Weights, metrics (but for times), settings and scores are held
against those of the unbroken run. One case more is a text that is streamed from shards, of which an epoch has several
buffers and the run several epochs. All on the processor, with a fixed number of threads.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from _common import format_table, new_parser, nlp_lstm_command, print_result
from safetensors.torch import load_file

RECIPES = ("char_lm", "word_lm", "sentiment", "translation", "summarization")
STREAMED = "char_lm-streamed"
CASES = {**{recipe: recipe for recipe in RECIPES}, STREAMED: "char_lm"}
SMALL = ["--max-steps", "300", "--validations", "10", "--checkpoint-steps", "4"]
TIMES = {"seconds", "items_per_second", "at"}
COMMANDS = {"command", "code"}


@dataclass
class Count:
    """What became of the kills of a recipe, or of the streamed case."""

    recipe: str
    kills: int = 0
    before_the_run: int = 0
    resumed: int = 0
    equal: int = 0
    not_loading: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)


def options_of(case: str, work: Path) -> list[str]:
    """Give the options of a case alone; of the streamed one, after its shards have been written."""
    if case != STREAMED:
        return []
    shards, chance = work / "shards", random.Random(0)
    shards.mkdir(exist_ok=True)
    for number in range(4):
        texts = (" ".join(chance.choices(["tide", "gull", "boat", "sand"], k=40)) for _ in range(100))
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        (shards / f"{number}.jsonl").write_text(lines, encoding="utf-8")
    return ["--data", str(shards / "*.jsonl"), "--stream", "true", "--shuffle-buffer", "20000"]


def start(case: str, folder: Path, options: list[str], log: Path, resume: bool = False) -> subprocess.Popen[bytes]:
    """Start a training in a process of its own, whose output goes to a file."""
    command = nlp_lstm_command("train", CASES[case], "--smoke", "--run", folder, "--device", "cpu", *SMALL, *options)
    with log.open("wb") as file:
        return subprocess.Popen([*command, *(["--resume"] if resume else [])], stdout=file, stderr=subprocess.STDOUT)


def finish(process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for the end of a training; a failure ends the benchmark."""
    if process.wait():
        raise SystemExit(f"{process.args} failed:\n{log.read_text(encoding='utf-8', errors='replace')[-2000:]}")


def wait_for_training(process: subprocess.Popen[bytes], folder: Path, log: Path, resume: bool = False) -> None:
    """Wait until the training begins to write, or is over."""
    while process.poll() is None:
        if b"Going on from step" in log.read_bytes() if resume else (folder / "checkpoints").exists():
            return
        time.sleep(0.001)


def outcome(folder: Path) -> dict[str, Any]:
    """All that a run leaves and that the clock has no part in."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    settings = {name: value for name, value in config.items() if name not in COMMANDS}
    settings["config"] = {**settings["config"], "training": None}  # where it is written, and whether it is resumed
    card = (folder / "README.md").read_text(encoding="utf-8")
    return {
        "weights": (folder / "model.safetensors").read_bytes(),
        "metrics": [{name: value for name, value in line.items() if name not in TIMES} for line in lines],
        "settings": settings,
        "scores and sample": card[card.index("## Scores") : card.index("## Use")],
    }


def not_loading(folder: Path) -> list[str]:
    """The files of a killed run that have their real names and do not load."""
    found = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name.startswith("."):
            continue
        try:
            if path.suffix == ".pt":
                torch.load(path, weights_only=True)
            elif path.suffix == ".safetensors":
                load_file(path)
            elif path.suffix == ".json":
                json.loads(path.read_text(encoding="utf-8"))
        except Exception as error:  # whatever the reader of a damaged file happens to raise
            found.append(f"{path.name}: {type(error).__name__}: {error}")
    return found


def kill_once(count: Count, folder: Path, whole: dict[str, Any], instants: list[float], options: list[str]) -> None:
    """Kill a training at these instants, each time it goes on, and let it come to its end."""
    log, resume = folder.with_suffix(".log"), False
    for instant in instants:
        process = start(count.recipe, folder, options, log, resume)
        wait_for_training(process, folder, log, resume)
        time.sleep(instant)
        process.kill()
        process.wait()
        count.kills += 1
        count.not_loading += not_loading(folder)
        resume = (folder / "config.json").exists()
        count.before_the_run += not resume
    finish(start(count.recipe, folder, options, log, resume), log)
    count.resumed += resume
    result = outcome(folder)
    wrong = [name for name, value in whole.items() if result[name] != value]
    count.equal += len(instants) * (not wrong)
    count.differences += [f"{folder.name}: {name}" for name in wrong]


def measure(case: str, kills: int, chance: random.Random, work: Path, options: list[str]) -> Count:
    """Train a case unbroken, then kill it so many times."""
    options = [*options_of(case, work), *options]
    folder = work / case
    log = folder.with_suffix(".log")
    process = start(case, folder, options, log)
    wait_for_training(process, folder, log)
    began = time.perf_counter()
    finish(process, log)
    took, whole, count = time.perf_counter() - began, outcome(folder), Count(case)
    while count.kills < kills:
        number = min(kills - count.kills, chance.choice((1, 1, 1, 2)))  # some are killed a second time
        instants = [chance.uniform(0, took) for _ in range(number)]
        kill_once(count, work / f"{case}-{count.kills}", whole, instants, options)
        print(f"{case}: {count.kills} of {kills} kills", file=sys.stderr, flush=True)
    return count


def main() -> int:
    """Kill all cases and print what became of them; the exit code is 1 where anything differs."""
    parser = new_parser(__doc__, "Options after -- go to nlp-lstm train in all runs.")
    parser.add_argument("--kills", type=int, help="over all cases together (default: 50; with --smoke 1)")
    parser.add_argument("--recipes", nargs="+", default=list(CASES), choices=CASES, help="which (default: all)")
    parser.add_argument("--threads", type=int, default=1, help="of each training (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the instants (default: 0)")
    parser.add_argument("options", nargs="*", metavar="-- OPTION", help="options of nlp-lstm train")
    arguments = parser.parse_args()
    kills = arguments.kills or (1 if arguments.smoke else 50)
    recipes = arguments.recipes[:kills]
    chance = random.Random(arguments.seed)
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    options = ["--threads", str(arguments.threads), *arguments.options]
    with tempfile.TemporaryDirectory() as work:
        shares = [kills // len(recipes) + (place < kills % len(recipes)) for place in range(len(recipes))]
        counts = [
            measure(recipe, share, chance, Path(work), options) for recipe, share in zip(recipes, shares, strict=True)
        ]
    names = ("kills", "before_the_run", "resumed", "equal")
    rows = [[one.recipe, *(getattr(one, name) for name in names), len(one.not_loading)] for one in counts]
    rows.append(["all", *(sum(row[column] for row in rows) for column in range(1, len(names) + 2))])
    header = ["recipe", "kills", "before the run", "runs resumed", "equal to the bit", "files that do not load"]
    faults = [fault for one in counts for fault in (*one.not_loading, *one.differences)]
    result = {"seed": arguments.seed, "recipes": [vars(one) for one in counts], "faults": len(faults)}
    table = "\n".join([format_table(header, rows), *faults])
    print_result("kill_resume", arguments.threads, result, table, arguments.json)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
