"""Every cell of the zoo at one parameter count, on one text, with one budget: bits per character, speed and memory.

Each cell, and the Transformer as a comparator, is trained by `nlp-lstm train char_lm` in a process of its own, once for
each seed; all else stays as the recipe has it, the learning rate too, unless a training diverges: then it goes back to
its last checkpoint at half the rate. The hidden size of a cell is the one that brings the whole model nearest to the
parameters of the LSTM of --hidden-size. The last tenth of a text that does not come
split is held out: it chooses the weights and is then scored. The peak of memory is the least of a cell's runs, since
the first on a machine may have a compiler in it.
"""

from __future__ import annotations

import argparse
import bisect
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

from _common import fill_in, format_table, new_parser, print_result
from _training import mean_and_deviation, smoke_data, split_arguments, train_and_score

import nlp_lstm as nl
from nlp_lstm.cells import CELLS

TRANSFORMER = "transformer"
HELD_OUT = {"valid_fraction": 0.1, "test_fraction": 0.0}
_BUDGET = "60s"
_SMOKE_CELLS = ["lstm", "mingru", TRANSFORMER]
_RESTARTS = ["--restarts", "5"]  # a ReLU network may diverge at a rate that suits the others
_EPILOG = """What stands after a lone -- goes to `nlp-lstm train` as it is, and must leave the sizes alone, for example:
  python benchmarks/zoo_on_text.py --cells rnn lstm gru -- --learning-rate 4e-3 --sequence-length 128"""


def count_parameters(cell: str, vocab_size: int, embedding_size: int, hidden_size: int) -> int:
    """Count the parameters of the recipe's model, of one layer: embedding, cell, and output with its bias."""
    if cell == TRANSFORMER:  # made to fit the LSTM of that hidden size
        options = nl.LanguageModelOptions(cell=cell, embedding_size=embedding_size, hidden_size=hidden_size)
        return sum(parameter.numel() for parameter in nl.LanguageModel(vocab_size, options).parameters())
    equations = CELLS[cell].cell
    shapes = equations.parameter_shapes(embedding_size, hidden_size, True).values()
    features = embedding_size + equations.output_size(hidden_size) + 1
    return vocab_size * features + sum(math.prod(shape) for shape in shapes)


def equal_size(cell: str, vocab_size: int, embedding_size: int, lstm_size: int) -> int:
    """Find the hidden size with which a cell's model comes nearest to the parameters of that of the LSTM."""
    if cell == TRANSFORMER:
        return lstm_size
    target = count_parameters("lstm", vocab_size, embedding_size, lstm_size)
    sizes = range(1, target + 1)  # a unit has at least one parameter
    above = bisect.bisect_left(sizes, target, key=lambda size: count_parameters(cell, vocab_size, embedding_size, size))
    return min(
        sizes[max(0, above - 1) : above + 1],
        key=lambda size: abs(count_parameters(cell, vocab_size, embedding_size, size) - target),
    )


def count_characters(data: str) -> int:
    """Give the vocabulary that the recipe finds in the training part of a text."""
    source = nl.load_text(nl.DataOptions(data, **HELD_OUT)).split("train")
    return nl.train_tokenizer("character", source, byte_fallback=False).vocab_size


def train(cell: str, hidden_size: int, seed: int, run: Path, options: list[str]) -> dict[str, Any]:
    """Train one model and give its figures, with a line on stderr, so that a later failure loses none of them."""
    figures = train_and_score("char_lm", run, seed, ["--cell", cell, "--hidden-size", str(hidden_size), *options])
    bits = figures.pop("nats_per_character") / math.log(2)
    interval = [nats / math.log(2) for nats in figures.pop("confidence_interval")]
    print(f"{cell}, seed {seed}: {bits:.4f} bits per character", file=sys.stderr)
    parameters = nl.load(run).parameter_count
    sizes = {"cell": cell, "hidden_size": hidden_size, "parameters": parameters}
    return {**sizes, "bits_per_character": bits, "confidence_interval": interval, **figures}


def summarize(cell: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Sum up the runs of a cell."""
    own = [run for run in runs if run["cell"] == cell]
    return {
        **{name: own[0][name] for name in ("cell", "hidden_size", "parameters")},
        "runs": len(own),
        **{
            name: mean_and_deviation([run[name] for run in own]) for name in ("bits_per_character", "tokens_per_second")
        },
        "peak_memory_mb": min(run["peak_memory_mb"] for run in own),
        "steps": mean_and_deviation([run["steps"] for run in own]),
    }


def table(summary: list[dict[str, Any]]) -> str:
    """Lay the summary out, the best cell first."""
    header = ["cell", "hidden size", "parameters", "bits/character", "deviation", "tokens/s", "peak MB", "steps"]
    rows = [
        [
            *(one[name] for name in ("cell", "hidden_size", "parameters")),
            *(one["bits_per_character"][name] for name in ("mean", "deviation")),
            one["tokens_per_second"]["mean"],
            one["peak_memory_mb"],
            round(one["steps"]["mean"]),
        ]
        for one in sorted(summary, key=lambda one: one["bits_per_character"]["mean"])
    ]
    return format_table(header, rows)


def read_arguments() -> tuple[argparse.Namespace, list[str]]:
    """Read the options, and what is passed on to `train`."""
    own, passed = split_arguments(sys.argv[1:])
    parser = new_parser(__doc__ or "", _EPILOG)
    parser.add_argument("--data", metavar="D", help="the text (default: the built-in pydoc)")
    parser.add_argument(
        "--cells", nargs="+", choices=[*CELLS, TRANSFORMER], metavar="CELL", help="which cells (default: all)"
    )
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--max-time", metavar="T", help=f"training time of a run (default: {_BUDGET})")
    budget.add_argument("--max-steps", type=int, metavar="N", help="training steps of a run, in place of a time")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", help="a run for each (default: 0 1 2)")
    parser.add_argument("--hidden-size", type=int, metavar="N", help="that of the LSTM to be equal to (default: 512)")
    parser.add_argument("--embedding-size", type=int, metavar="N", help="the same for all (default: 64)")
    parser.add_argument("--runs", metavar="DIR", help="keep the run folders here (default: nowhere)")
    arguments = parser.parse_args(own)
    if arguments.max_steps is None:
        fill_in(arguments, {"max_time": (_BUDGET, None)})
    fill_in(arguments, {"cells": ([*CELLS, TRANSFORMER], _SMOKE_CELLS), "seeds": ([0, 1, 2], [0])})
    fill_in(arguments, {"hidden_size": (512, 16), "embedding_size": (64, 8)})
    return arguments, passed


def main() -> int:
    """Train all cells with all seeds, and print."""
    arguments, passed = read_arguments()
    budget = {"max_time": arguments.max_time, "max_steps": arguments.max_steps}
    runs = []
    with tempfile.TemporaryDirectory() as work:
        data = arguments.data or (str(smoke_data(Path(work))) if arguments.smoke else "pydoc")
        options = ["--data", data, "--embedding-size", str(arguments.embedding_size)]
        options += [
            f"--{name.replace('_', '-')}={value}" for name, value in {**HELD_OUT, **budget}.items() if value is not None
        ]
        options += [*_RESTARTS, *(["--smoke"] if arguments.smoke else []), *passed]
        vocab_size = count_characters(data)
        for cell in arguments.cells:
            hidden_size = equal_size(cell, vocab_size, arguments.embedding_size, arguments.hidden_size)
            for seed in arguments.seeds:
                run = Path(arguments.runs or work) / f"zoo-{cell}-seed{seed}"
                runs.append(train(cell, hidden_size, seed, run, options))
    threads = {run.pop("threads") for run in runs}.pop()
    summary = [summarize(cell, runs) for cell in arguments.cells]
    result = {"seeds": arguments.seeds, "data": arguments.data or ("generated" if arguments.smoke else "pydoc")}
    result |= {"budget": budget, "options": passed, "runs": runs, "summary": summary}
    print_result("zoo_on_text", threads, result, table(summary), arguments.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
