"""`nlp-lstm cells`: the zoo as a table: size, state, paper, and with `--measure` the speed on this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nlp_lstm.cli._options import new_parser, parse
from nlp_lstm.cli._terminal import note
from nlp_lstm.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

_TIME, _BATCH, _ROUNDS = 32, 32, 5
_KERNEL_SIZE = 3  # of the cells whose inputs are maps


def run(arguments: list[str]) -> int:
    """Print the table of cells as text, or as one JSON list."""
    parser = new_parser(
        "cells",
        "[options]",
        "List the recurrent cells: the name for `--cell`, parameters and state of one layer, and the paper.",
    )
    parser.add_argument("--input-size", type=int, default=128, metavar="N", help="features of the input (default: 128)")
    parser.add_argument("--hidden-size", type=int, default=256, metavar="N", help="features of a layer (default: 256)")
    parser.add_argument(
        "--measure", action="store_true", help="time a training step of each cell here, beside torch.nn.LSTM"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON list in one line")
    options = parse(parser, arguments)
    sizes = options["input_size"], options["hidden_size"]
    for flag, size in zip(("--input-size", "--hidden-size"), sizes, strict=True):
        if size < 1:
            raise UsageError(f"{flag} {size} must be at least 1.")
    rows = _rows(*sizes)
    if options["measure"]:
        _measure(rows, *sizes)
    print(json.dumps(rows, ensure_ascii=False) if options["json"] else _table(rows))
    return 0


def _rows(input_size: int, hidden_size: int) -> list[dict[str, Any]]:
    """One row a cell; the state of a cell over maps is that of one place."""
    from nlp_lstm.cells import CELLS, ConvLSTM1d, ConvLSTM2d

    rows = []
    for name, layer in CELLS.items():
        state = layer.cell.state_sizes(hidden_size)
        rows.append(_row(name, layer(input_size, hidden_size, device="meta"), state, layer.cell.paper))
    for maps in (ConvLSTM1d, ConvLSTM2d):
        state = {"h": hidden_size, "c": hidden_size}
        rows.append(_row(maps.name, maps(input_size, hidden_size, _KERNEL_SIZE, device="meta"), state, maps.paper))
    return [{**row, "input_size": input_size, "hidden_size": hidden_size} for row in rows]


def _row(name: str, layer: nn.Module, state: dict[str, int], paper: str) -> dict[str, Any]:
    parameters = sum(parameter.numel() for parameter in layer.parameters())
    return {
        "cell": name,
        "parameters": parameters,
        "state_size": sum(state.values()),
        "state": state,
        "paper": paper,
    }


def _measure(rows: list[dict[str, Any]], input_size: int, hidden_size: int) -> None:
    """Add to each row of a cell over vectors the time of a training step, in turns with `torch.nn.LSTM`'s."""
    import torch

    from nlp_lstm.cells import CELLS, recurrent_layer

    layers: dict[str, nn.Module] = {name: recurrent_layer(name, input_size, hidden_size) for name in CELLS}
    layers["torch.nn.LSTM"] = torch.nn.LSTM(input_size, hidden_size)
    x = torch.randn(_TIME, _BATCH, input_size)
    times: dict[str, list[float]] = {name: [] for name in layers}
    for turn in range(_ROUNDS + 1):
        for name, layer in layers.items():
            seconds = _training_step(layer, x)
            if turn:  # the first builds and warms up
                times[name].append(seconds)
    medians = {name: sorted(found)[_ROUNDS // 2] for name, found in times.items()}
    reference = medians.pop("torch.nn.LSTM")
    for row in rows:
        if row["cell"] in medians:
            row["train_ms"] = 1e3 * medians[row["cell"]]
            row["train_ratio_to_nn_lstm_fp32"] = medians[row["cell"]] / reference
    note(
        f"Forward and backward over {_TIME} steps of {_BATCH} sequences, fp32, {torch.get_num_threads()} threads, "
        f"median of {_ROUNDS}. torch.nn.LSTM takes {1e3 * reference:.1f} ms."
    )


def _training_step(layer: nn.Module, x: Any) -> float:
    import time

    layer.zero_grad()
    start = time.perf_counter()
    layer(x)[0].sum().backward()
    return time.perf_counter() - start


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [["cell", "parameters", "state"]]
    measured = any("train_ms" in row for row in rows)
    if measured:
        lines[0] += ["ms", "x nn.LSTM"]
    for row in rows:
        lines.append([row["cell"], f"{row['parameters']:,}", f"{row['state_size']:,}"])
        if measured:
            known = "train_ms" in row
            lines[-1] += [f"{row['train_ms']:.1f}", f"{row['train_ratio_to_nn_lstm_fp32']:.2f}"] if known else ["", ""]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    papers = ["paper", *(row["paper"] for row in rows)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:]), paper])
        for line, paper in zip(lines, papers, strict=True)
    )
