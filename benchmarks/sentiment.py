"""The classifier: accuracy and calibration against training time, over several seeds, and speed of classifying.

Each budget and seed is trained by `nlp-lstm train sentiment` in a process of its own; the weights that it saved, which
were chosen on the validation split, are scored once on the test split by `nlp-lstm evaluate`. The test texts then go
through `nlp-lstm classify`, as lines of a file, and the time is that of the whole command, loading included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _common import format_table, new_parser, nlp_lstm_command, print_result, run_command
from _training import mean_and_deviation, mean_line, speed, split_arguments

import nlp_lstm as nl

_EPILOG = """What stands after a lone -- goes to `nlp-lstm train` as it is, for example:
  python benchmarks/sentiment.py --data FOLDER --config imdb --max-time 2m 20m -- --hidden-size 256"""
_SMOKE_TEXTS = 40


def main() -> int:
    """Run the benchmark."""
    own, passed = split_arguments(sys.argv[1:])
    arguments = _parser().parse_args(own)
    data = arguments.data or "reviews"
    options = ["--data", data, *(["--smoke"] if arguments.smoke else []), *passed]
    options += ["--config", arguments.config] if arguments.config else []
    for flag, value in (("--text-field", arguments.text_field), ("--label-field", arguments.label_field)):
        options += [flag, value] if value else []
    seeds = arguments.seeds or ([0] if arguments.smoke else [0, 1, 2])
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as work:
        texts = Path(work) / "texts.txt"
        _write_texts(texts, arguments, data)
        for budget in arguments.max_time or [None]:
            for seed in seeds:
                run = Path(arguments.runs or work) / f"sentiment-{budget or 'default'}-seed{seed}"
                limit = ["--max-time", budget] if budget else []
                runs.append({"max_time": budget, **train_and_score(run, seed, [*options, *limit], texts)})
    threads = {run.pop("threads") for run in runs}.pop()
    summary = [_summary(budget, runs) for budget in dict.fromkeys(run["max_time"] for run in runs)]
    result = {"seeds": seeds, "data": data, "options": passed, "runs": runs, "summary": summary}
    print_result("sentiment", threads, result, _tables(runs, summary), arguments.json)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__ or "", _EPILOG)
    parser.add_argument("--data", metavar="D", help="labelled texts (default: the built-in reviews, synthetic)")
    parser.add_argument("--text-field", metavar="F", help="column of the text")
    parser.add_argument("--label-field", metavar="F", help="column of the label")
    parser.add_argument("--config", metavar="NAME", help="settings of the recipe, as for `train`")
    parser.add_argument("--max-time", nargs="+", metavar="T", help="training times (default: what the recipe says)")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", help="a run for each (default: 0 1 2)")
    parser.add_argument("--runs", metavar="DIR", help="keep the run folders here (default: nowhere)")
    return parser


def _write_texts(path: Path, arguments: argparse.Namespace, data: str) -> None:
    """Write the test texts, a line each."""
    named = nl.LabelledOptions(data, text_field=arguments.text_field, label_field=arguments.label_field)
    splits = nl.load_labelled(named).splits
    texts = splits.get("test", splits["train"]).texts[: _SMOKE_TEXTS if arguments.smoke else None]
    path.write_text("".join(" ".join(text.split()) + "\n" for text in texts), encoding="utf-8")


def train_and_score(run: Path, seed: int, options: Sequence[str], texts: Path) -> dict[str, Any]:
    """Train as a user does, score the test split, and classify its texts; return the figures."""
    run_command("train", "sentiment", "--run", run, "--seed", seed, *options)
    scores = json.loads(run_command("evaluate", run, "--json"))
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    return {
        "seed": seed,
        "accuracy": scores.get("accuracy", scores.get("subset_accuracy")),
        "macro_f1": scores["macro_f1"],
        "ece": scores["ece"],
        "ece_by_chance": scores["ece_by_chance"],
        "temperature": config["model"]["temperature"],
        "texts_per_second": speed(records),
        "classified_per_minute": 60 * classified_per_second(run, texts),
        "model_mb": (run / "model.safetensors").stat().st_size / 1e6,
        "steps": records[-1]["step"],
        "seconds": records[-1]["seconds"],
        "n": scores["n"],
        "validations": [{name: one[name] for name in ("seconds", "valid_loss")} for one in records],
        "signature": scores["signature"],
        "precision": config["precision"],
        "threads": config["threads"],
    }


def classified_per_second(run: Path, texts: Path) -> float:
    """Texts a second through `nlp-lstm classify`, from the start of the command to its end."""
    start = time.perf_counter()
    with texts.open("rb") as file:
        command = nlp_lstm_command("classify", run)
        done = subprocess.run(command, stdin=file, stdout=subprocess.PIPE, check=True)
    return done.stdout.count(b"\n") / (time.perf_counter() - start)


def _summary(budget: str | None, runs: list[dict[str, Any]]) -> dict[str, Any]:
    values = [run["accuracy"] for run in runs if run["max_time"] == budget]
    return {"max_time": budget, "runs": len(values), "accuracy": mean_and_deviation(values)}


def _tables(runs: list[dict[str, Any]], summary: list[dict[str, Any]]) -> str:
    shown = ["accuracy", "macro_f1", "ece", "ece_by_chance", "temperature", "texts_per_second"]
    shown += ["classified_per_minute", "model_mb", "steps", "seconds"]
    rows = [[run["max_time"] or "default", run["seed"], *(run[column] for column in shown)] for run in runs]
    table = format_table(["time", "seed", *(column.replace("_", " ") for column in shown)], rows)
    means = [mean_line(one["max_time"] or "default", "accuracy", one) for one in summary]
    return "\n".join([table, "", *means])


if __name__ == "__main__":
    raise SystemExit(main())
