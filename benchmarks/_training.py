"""Benchmarks of quality: train a recipe by the command line, once for each configuration and seed, and score it."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _common import format_table, generated_text, new_parser, peak_of_command, print_result, run_command

_EPILOG = """What stands after a lone -- goes to `nlp-lstm train` as it is, for example:
  {example}"""
_SMOKE_CHARACTERS = 20_000


def benchmark(
    recipe: str, description: str, max_time: str, fixed: Sequence[str], example: str, columns: Sequence[str]
) -> int:
    """Run the benchmark of a recipe with the options of the process.

    `max_time` is its budget where no option says another, `fixed` are options of `train` that belong to the data, and
    `columns` the figures of a run, by their names in `_figures`, that the table shows; the first is summed up.
    """
    own, passed = split_arguments(sys.argv[1:])
    parser = _parser(description, max_time, example)
    arguments = parser.parse_args(own)
    if arguments.data is None and not arguments.smoke:
        parser.error("--data is missing; --smoke needs none")
    seeds = arguments.seeds or ([0] if arguments.smoke else [0, 1, 2])
    with tempfile.TemporaryDirectory() as work:
        folder = Path(arguments.runs or work)
        data = arguments.data or str(smoke_data(Path(work)))
        runs = []
        for config in arguments.config or [None]:
            budget = arguments.max_time or (None if config or arguments.smoke else max_time)
            options = ["--data", data, *fixed, *(["--smoke"] if arguments.smoke else [])]
            options += ["--config", config] if config else []
            options += ["--max-time", budget] if budget else []
            name = Path(config).stem if config else "default"
            for seed in seeds:
                run = folder / f"{recipe}-{name}-seed{seed}"
                runs.append({"config": name, **train_and_score(recipe, run, seed, [*options, *passed])})
    threads = runs[0].pop("threads")
    for run in runs[1:]:
        run.pop("threads")
    summary = [_summary(config, runs, columns[0]) for config in dict.fromkeys(run["config"] for run in runs)]
    result = {"seeds": seeds, "options": passed, "runs": runs, "summary": summary}
    print_result(recipe, threads, result, _tables(runs, summary, columns), arguments.json)
    return 0


def _parser(description: str, max_time: str, example: str) -> argparse.ArgumentParser:
    parser = new_parser(description, _EPILOG.format(example=example))
    parser.add_argument("--data", metavar="D", help="the corpus: a file, or a folder whose file names say the split")
    parser.add_argument(
        "--max-time", metavar="T", help=f"training time of a run (default: {max_time}, or what --config says)"
    )
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", help="a run for each (default: 0 1 2)")
    parser.add_argument(
        "--config", action="append", metavar="NAME", help="settings of the recipe, as for `train`; may be repeated"
    )
    parser.add_argument("--runs", metavar="DIR", help="keep the run folders here (default: nowhere)")
    return parser


def split_arguments(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Cut the arguments at a lone --: the benchmark's own, and those that are passed on."""
    place = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:place], arguments[place + 1 :]


def smoke_data(folder: Path) -> Path:
    """Write the generated text that --smoke trains on."""
    path = folder / "generated.txt"
    path.write_text(generated_text(_SMOKE_CHARACTERS, seed=0), encoding="utf-8")
    return path


def train_and_score(recipe: str, run: Path, seed: int, options: Sequence[str]) -> dict[str, Any]:
    """Train as a user does, then score the validation text in fp32 with the state carried; return the figures."""
    peak = peak_of_command("train", recipe, "--run", run, "--seed", seed, *options)
    scores = json.loads(run_command("evaluate", run, "--split", "valid", "--json"))
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    settings = {name: config[name] for name in ("precision", "threads")}
    return {"seed": seed, **_figures(scores, records), "peak_memory_mb": peak / 1e6, **settings}


def _figures(scores: dict[str, Any], records: list[dict[str, Any]]) -> dict[str, Any]:
    nats_per_character = scores["bits_per_char"] * math.log(2)
    tokens_per_second = speed(records)
    return {
        "nats_per_character": nats_per_character,
        "confidence_interval": [bits * math.log(2) for bits in scores["confidence_interval"]["bits_per_char"]],
        "perplexity": scores["perplexity"],
        "word_perplexity": scores["word_perplexity"],
        "unknown_rate": scores["unknown_rate"],
        "tokens_per_second": tokens_per_second,
        "characters_per_second": tokens_per_second * scores["loss"] / nats_per_character,
        "steps": records[-1]["step"],
        "seconds": records[-1]["seconds"],
        "tokens": scores["tokens"],
        "signature": scores["signature"],
    }


def speed(records: list[dict[str, Any]]) -> float:
    """Items a second of training alone, over all of it: each record has the speed since the record before."""
    seconds_per_item, before = 0.0, 0
    for record in records:
        seconds_per_item += (record["step"] - before) / record["items_per_second"]
        before = record["step"]
    return before / seconds_per_item


def mean_and_deviation(values: Sequence[float]) -> dict[str, float | None]:
    """Sum up the figure of several runs; one run has no deviation."""
    return {"mean": statistics.mean(values), "deviation": statistics.stdev(values) if len(values) > 1 else None}


def mean_line(label: str, figure: str, summary: dict[str, Any]) -> str:
    """Give the mean of a figure, and its standard deviation where there are several runs, in words."""
    mean, deviation = summary[figure]["mean"], summary[figure]["deviation"]
    line = f"{label}: {figure.replace('_', ' ')}, mean of {summary['runs']}: {mean:.4f}"
    return line if deviation is None else f"{line}, standard deviation {deviation:.4f}"


def _summary(config: str, runs: list[dict[str, Any]], figure: str) -> dict[str, Any]:
    values = [run[figure] for run in runs if run["config"] == config]
    return {"config": config, "runs": len(values), figure: mean_and_deviation(values)}


def _tables(runs: list[dict[str, Any]], summary: list[dict[str, Any]], columns: Sequence[str]) -> str:
    shown = [*columns, "steps", "seconds"]
    rows = [[run["config"], run["seed"], *(run[column] for column in shown)] for run in runs]
    table = format_table(["config", "seed", *(column.replace("_", " ") for column in shown)], rows)
    means = [mean_line(one["config"], columns[0], one) for one in summary]
    return "\n".join([table, "", *means])
