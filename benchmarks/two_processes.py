"""Two processes against one: how far apart their weights are after a few steps, and how much faster they train.

All processes take one thread. `nlp-lstm train char_lm` runs in fp32 with the same total batch, in one process and, by
torchrun, in two on this machine that talk by gloo. The weights are compared after --steps steps; the speed is that of
--speed-steps steps without validation, the fastest of --repeats runs, in turn. Without a GPU: the processor's cores.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from _common import format_table, generated_text, new_parser, nlp_lstm_command, print_result
from safetensors.torch import load_file

COUNTS = (1, 2)


def train(folder: Path, processes: int, options: list[str]) -> dict[str, Any]:
    """Train in so many processes of one thread; return the last line of metrics.jsonl."""
    _, _, module, *rest = nlp_lstm_command("train", "char_lm", "--run", folder, "--device", "cpu", *options)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m", "--"]
    command = [sys.executable, *(launcher if processes > 1 else ["-m"]), module, *rest]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed with exit code {done.returncode}.")
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    last: dict[str, Any] = json.loads(lines[-1])
    return last


def furthest(first: Path, second: Path) -> float:
    """The largest difference of two runs' weights."""
    one, other = (load_file(folder / "model.safetensors") for folder in (first, second))
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def closeness(work: Path, options: list[str]) -> dict[str, float]:
    """Train a few steps in one and in two processes, and compare."""
    losses = [train(work / f"close-{count}", count, options)["valid_loss"] for count in COUNTS]
    difference = furthest(*(work / f"close-{count}" for count in COUNTS))
    return {"largest_weight_difference": difference, "valid_loss_difference": abs(losses[1] - losses[0])}


def speed(work: Path, repeats: int, options: list[str]) -> dict[str, float]:
    """Tokens a second of each, the fastest of the repeats, which take turns."""
    best = dict.fromkeys(COUNTS, 0.0)
    for repeat in range(repeats):
        for count in COUNTS:
            line = train(work / f"speed-{count}-{repeat}", count, options)
            best[count] = max(best[count], line["items_per_second"])
    return {"one_process": best[1], "two_processes": best[2], "ratio": best[2] / best[1]}


def main() -> int:
    """Measure closeness and speed, and print both."""
    parser = new_parser(__doc__, "Options after -- go to nlp-lstm train char_lm in all runs.")
    parser.add_argument("--data", metavar="NAME|PATH", help="text to train on (default: pydoc)")
    parser.add_argument("--steps", type=int, default=20, help="steps before weights are compared (default: 20)")
    parser.add_argument("--speed-steps", type=int, help="steps of a timed run (default: 200)")
    parser.add_argument("--repeats", type=int, help="timed runs of each (default: 3)")
    parser.add_argument("--seed", type=int, default=0, help="of the runs (default: 0)")
    parser.add_argument("options", nargs="*", metavar="-- OPTION", help="options of nlp-lstm train char_lm")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        text = work / "text.txt"
        if arguments.smoke:
            text.write_text(generated_text(20_000, arguments.seed), encoding="utf-8")
        data = arguments.data or (str(text) if arguments.smoke else "pydoc")
        shared = ["--data", data, "--seed", str(arguments.seed), "--precision", "fp32", "--validations", "1"]
        shared += [*(["--smoke"] if arguments.smoke else []), *arguments.options]
        close = closeness(work, [*shared, "--average", "0", "--max-steps", str(arguments.steps)])
        steps = arguments.speed_steps or (5 if arguments.smoke else 200)
        repeats = arguments.repeats or (1 if arguments.smoke else 3)
        fast = speed(work, repeats, [*shared, "--max-steps", str(steps)])
    result = {"seed": arguments.seed, "steps": arguments.steps, "closeness": close, "tokens_per_second": fast}
    rows = [[name.replace("_", " "), value] for name, value in (*close.items(), *fast.items())]
    table = format_table([f"after {arguments.steps} steps; tokens a second", ""], rows)
    print_result("two_processes", 1, result, table, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
