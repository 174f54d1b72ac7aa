"""The vanishing gradient: its norm at the state k steps before the loss, for k = 0, 1, 2 and so on, cell by cell.

The loss at step t is the nats of the next character; the state at step t - k is all that the model keeps of the past (h
of an RNN, h and c of an LSTM). A norm is the mean over the steps t of a text, and over a few texts from the validation
part of the data; its deviation is that between the texts. Models are untrained, as the recipe char_lm starts them, or,
with --run, those of trained runs. The last line of the table is the mean factor a step, from k = 1 to the end: below 1
the gradient vanishes, above 1 it explodes.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _common import fill_in, format_table, new_parser, print_result
from _training import smoke_data
from torch import Tensor

import nlp_lstm as nl
from nlp_lstm.cells import CELLS
from nlp_lstm.evaluation import require_matplotlib, save_figure
from nlp_lstm.models import gradient_flow


@dataclass(frozen=True)
class Subject:
    """A model to measure, under the name that the table has for it."""

    name: str
    task: nl.LanguageModeling
    run: str | None = None


def untrained(cells: list[str], data: nl.DataOptions, arguments: argparse.Namespace) -> list[Subject]:
    """Make a character model a cell, all from one seed, with the start that the options name."""
    tokenizer = nl.train_tokenizer("character", nl.load_text(data).split("train"), byte_fallback=False)
    subjects = []
    for cell in cells:
        options = nl.LanguageModelOptions(
            cell=cell,
            embedding_size=64,
            hidden_size=arguments.hidden_size,
            recurrent_initialization=arguments.recurrent_initialization,
            forget_bias=arguments.forget_bias,
        )
        torch.manual_seed(arguments.seed)
        subjects.append(Subject(cell, nl.LanguageModeling.build(tokenizer, options)))
    return subjects


def trained(run: str) -> Subject:
    """Load a run; it must be one of a language model."""
    task = nl.load(run)
    if not isinstance(task, nl.LanguageModeling):
        raise nl.UsageError(f"--run {run} holds no language model: it answers to `nlp-lstm {task.command}`.")
    return Subject(run, task, run)


def texts(data: nl.DataOptions, task: nl.LanguageModeling, count: int, length: int) -> Tensor:
    """Cut `count` texts of `length` tokens out of the validation part, evenly spread over it: (count, length) int64.

    They are as the model reads them, in small letters or from the end where it was trained so.
    """
    ids = task.tokenize(nl.load_text(data).split("valid")).ids
    if len(ids) < length:
        raise nl.DataError(
            f"--data {data.data} has {len(ids)} tokens to validate on; --steps and --positions need {length}. "
            "Name a longer text, or lower them."
        )
    starts = np.linspace(0, len(ids) - length, count).astype(int)
    return torch.from_numpy(np.stack([ids[start : start + length] for start in starts]).astype(np.int64))


def measure(subject: Subject, ids: Tensor, steps: int) -> dict[str, Any]:
    """Measure one model; give its norms from k = 0 to `steps`."""
    model = subject.task.model
    norms = gradient_flow(model, ids.to(model.embedding.device), steps)  # (texts, steps + 1)
    mean = norms.mean(dim=0)
    reached = float(mean[-1] / mean[1])
    options = model.options
    return {
        "name": subject.name,
        "run": subject.run,
        **{name: getattr(options, name) for name in ("cell", "hidden_size", "num_layers")},
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "norm": mean.tolist(),
        "deviation": norms.std(dim=0).tolist() if len(norms) > 1 else None,
        "factor_per_step": reached ** (1 / (steps - 1)),
    }


def table(models: list[dict[str, Any]], steps: int) -> str:
    """Lay the norms out, a model a column, at k = 0, 1, 2, 4, 8 and so on to the last."""
    shown = [0, *(2**power for power in range(steps.bit_length()) if 2**power < steps), steps]
    rows: list[list[object]] = [[f"k = {k}", *(model["norm"][k] for model in models)] for k in shown]
    rows.append(["factor a step", *(model["factor_per_step"] for model in models)])
    return format_table(["norm of the gradient", *(model["name"] for model in models)], rows)


def plot(models: list[dict[str, Any]], path: Path) -> None:
    """Draw the norms over k, on a logarithmic scale."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for model in models:
        axes.semilogy(model["norm"], label=model["name"])
    axes.set(xlabel="k, steps back from the loss", ylabel="norm of the gradient")
    axes.grid(alpha=0.3)
    axes.legend()
    save_figure(figure, path)


def read_arguments() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Read the options."""
    parser = new_parser(__doc__ or "")
    subjects = parser.add_mutually_exclusive_group()
    subjects.add_argument("--run", nargs="+", metavar="RUN", help="run folders of language models (default: untrained)")
    subjects.add_argument(
        "--cells", nargs="+", choices=list(CELLS), metavar="CELL", help="untrained ones (default: rnn lstm gru)"
    )
    parser.add_argument("--data", metavar="D", help="where the texts come from (default: the built-in pydoc)")
    parser.add_argument("--steps", type=int, help="the largest k (default: 64)")
    parser.add_argument("--texts", type=int, help="how many texts (default: 8)")
    parser.add_argument("--positions", type=int, help="how many steps t of each text (default: 64)")
    parser.add_argument("--hidden-size", type=int, help="of untrained models (default: 512)")
    parser.add_argument(
        "--recurrent-initialization", default="uniform", choices=["uniform", "orthogonal"], help="default: uniform"
    )
    parser.add_argument("--forget-bias", type=float, default=0.0, help="of untrained models (default: 0)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the norms to this .png, .svg or .pdf")
    parser.add_argument("--seed", type=int, default=0, help="of untrained weights (default: 0)")
    arguments = parser.parse_args()
    fill_in(arguments, {"steps": (64, 8), "texts": (8, 2), "positions": (64, 4), "hidden_size": (512, 8)})
    for name, least in (("steps", 2), ("texts", 1), ("positions", 1)):
        if getattr(arguments, name) < least:
            parser.error(f"--{name} {getattr(arguments, name)} must be at least {least}")
    if arguments.plot is not None and arguments.plot.suffix not in {".png", ".svg", ".pdf"}:
        parser.error(f"--plot {arguments.plot} must end in .png, .svg or .pdf")
    return parser, arguments


def main() -> int:
    """Measure all models, print and draw."""
    parser, arguments = read_arguments()
    steps, length = arguments.steps, arguments.steps + arguments.positions + 1
    try:
        if arguments.plot is not None:
            require_matplotlib()
        with tempfile.TemporaryDirectory() as work:
            generated = arguments.smoke and arguments.data is None
            data = nl.DataOptions(str(smoke_data(Path(work))) if generated else arguments.data or "pydoc")
            if arguments.run:
                subjects = [trained(run) for run in arguments.run]
            else:
                subjects = untrained(arguments.cells or ["rnn", "lstm", "gru"], data, arguments)
            models = [measure(one, texts(data, one.task, arguments.texts, length), steps) for one in subjects]
    except nl.NlpLstmError as error:
        parser.error(str(error))
    if arguments.plot is not None:
        plot(models, arguments.plot)
    settings = {name: getattr(arguments, name) for name in ("seed", "steps", "texts", "positions")}
    result = {**settings, "data": "generated" if generated else data.data, "models": models}
    print_result("gradient_flow", torch.get_num_threads(), result, table(models, steps), arguments.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
