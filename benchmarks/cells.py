"""Speed of every cell: a training step, a pass forward and a single step, beside torch's own LSTM of the same sizes.

All take turns in one process; what counts is the ratio to the LSTM of torch.nn in fp32 (below 1: quicker), since
milliseconds change with what else the machine does. Rows in bf16 run under autocast: bfloat16 products, fp32 states.
Ragged rows have sequences of half to all the steps, and torch's LSTM gets them packed.

With --json one list is printed, an object for each cell, shape and precision; each carries machine, versions and seed.
Those of (1, 1, 512, 512) in fp32 have the single step as well, from a state as in generation, beside nn.LSTMCell.

With --comparisons N nothing is timed: N random small cases, over cells, sizes up to 17, lengths, directions, biases and
states, are run by the engine in fp32 and by the readable loop in float64, and output, states and all gradients are
compared. The exit code is 1 if one differs by more than rounding can explain; --json prints one object here.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from _common import format_table, new_parser, print_result
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from nlp_lstm.cells import CELLS, recurrent_layer

TRAINING = [(70, 20, 400, 1150), (35, 20, 200, 200), (128, 64, 256, 512), (50, 64, 128, 128), (256, 32, 128, 256)]
RAGGED, PEAK = (128, 64, 256, 512), (128, 64, 256, 512)
SINGLE = (1, 1, 512, 512)
SINGLE_ROUNDS = 20  # for each round of the others: it takes microseconds
SMALL, SMALL_SINGLE = [(4, 3, 5, 6)], (1, 1, 8, 8)
LARGEST = 17  # size in a comparison
SAME = 20  # comparisons in a row with one cell and its sizes, which must be traced first
KINKED = {"rnn_relu", "slstm"}  # a gradient that jumps where rounding decides which of two values is larger
Case = tuple[str, str]
"""A cell's name and a precision."""


@dataclass(frozen=True)
class Problem:
    """Sizes (time, batch, input, hidden), and whether the sequences are of different lengths."""

    shape: tuple[int, int, int, int]
    ragged: bool = False

    def inputs(self) -> tuple[Tensor, Tensor | None]:
        """Draw an input that needs a gradient, and the lengths."""
        steps, batch, size, _ = self.shape
        x = torch.randn(steps, batch, size, requires_grad=True)
        return x, torch.randint((steps + 1) // 2, steps + 1, (batch,)) if self.ragged else None


def forward(layer: nn.Module, x: Tensor, lengths: Tensor | None, precision: str) -> Tensor:
    """Run a layer over whole sequences."""
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        if lengths is None:
            output: Tensor = layer(x)[0]
        elif isinstance(layer, nn.LSTM):
            output = layer(pack_padded_sequence(x, lengths, enforce_sorted=False))[0].data
        else:
            output = layer(x, lengths=lengths)[0]
    return output


def train(layer: nn.Module, x: Tensor, lengths: Tensor | None, precision: str) -> None:
    """Run forward and backward to the input and all parameters."""
    output = forward(layer, x, lengths, precision)
    output.backward(torch.ones_like(output))


def in_turn(actions: dict[Case, Callable[[], object]], rounds: int) -> dict[Case, list[float]]:
    """Time each action once a round, in milliseconds; a first round warms up and is not counted."""
    times: dict[Case, list[float]] = {case: [] for case in actions}
    for number in range(rounds + 1):
        for case, action in actions.items():
            start = time.perf_counter()
            action()
            if number:
                times[case].append(1000 * (time.perf_counter() - start))
    return times


def measure(problem: Problem, cells: list[str], backend: str, rounds: int) -> list[dict[str, Any]]:
    """Time all cells, and torch's LSTM, at one problem."""
    _, _, size, hidden = problem.shape
    layers: dict[str, nn.Module] = {"nn.LSTM": nn.LSTM(size, hidden)}
    layers |= {name: recurrent_layer(name, size, hidden, backend=backend) for name in cells}
    x, lengths = problem.inputs()
    cases = [(name, precision) for name in layers for precision in ("fp32", "bf16")]
    trained = in_turn({case: lambda c=case: train(layers[c[0]], x, lengths, c[1]) for case in cases}, rounds)
    with torch.no_grad():
        passed = in_turn({case: lambda c=case: forward(layers[c[0]], x, lengths, c[1]) for case in cases}, rounds)
    median = {case: (statistics.median(trained[case]), statistics.median(passed[case])) for case in cases}
    base = median["nn.LSTM", "fp32"]
    return [
        {
            "cell": name,
            "shape": list(problem.shape),
            "ragged": problem.ragged,
            "dtype": precision,
            "backend": "torch" if name == "nn.LSTM" else backend,
            "train_ms": median[name, precision][0],
            "train_ms_range": [min(trained[name, precision]), max(trained[name, precision])],
            "forward_ms": median[name, precision][1],
            "train_ratio_to_nn_lstm_fp32": median[name, precision][0] / base[0],
            "forward_ratio_to_nn_lstm_fp32": median[name, precision][1] / base[1],
            "products_gflops": 6 * products(layers[name], problem.shape) / median[name, precision][0] / 1e6,
        }
        for name, precision in cases
    ]


def products(layer: nn.Module, shape: tuple[int, int, int, int]) -> int:
    """Count multiplications in the matrices of a pass over a whole input; a training step makes three times as many."""
    return shape[0] * shape[1] * sum(p.numel() for p in layer.parameters() if p.dim() == 2)


def bf16_peak() -> float:
    """Measure the products of a large square matrix in bfloat16, in GFLOP/s."""
    x = torch.randn(2048, 2048).bfloat16()
    times = in_turn({("peak", "bf16"): lambda: x @ x}, 10)
    return 2 * 2048**3 / statistics.median(times["peak", "bf16"]) / 1e6


def single_step(cells: list[str], size: int, repeats: int) -> dict[str, dict[str, float]]:
    """Time one step of one sequence without a gradient, as in generation, in microseconds; nn.LSTM's is nn.LSTMCell."""
    x, reference = torch.randn(1, 1, size), nn.LSTMCell(size, size)
    h = torch.zeros(1, size)
    actions: dict[Case, Callable[[], object]] = {("nn.LSTM", "fp32"): lambda: reference(x[0], (h, h))}
    for name in cells:
        layer = recurrent_layer(name, size, size).eval()
        with torch.inference_mode():
            _, state = layer(x)
        actions[name, "fp32"] = lambda layer=layer, state=state: layer(x, state)
    with torch.inference_mode():
        times = in_turn(actions, repeats)
    median = {name: 1000 * statistics.median(values) for (name, _), values in times.items()}
    base = median["nn.LSTM"]
    return {name: {"step_us": us, "step_ratio_to_nn_lstm_cell": us / base} for name, us in median.items()}


def compare(cells: list[str], count: int, seed: int) -> dict[str, Any]:
    """Compare the engine with the readable loop in random cases."""
    chance = random.Random(seed)
    failures: list[dict[str, Any]] = []
    kinks, worst = 0, 0.0
    for number in range(count):
        if number % SAME == 0:
            layer = {"cell": chance.choice(cells), "bias": chance.random() < 0.8}
            sizes = [chance.randint(1, LARGEST), chance.randint(1, LARGEST)]
        case = {
            **layer,
            "shape": [chance.randint(1, LARGEST), chance.randint(1, LARGEST), *sizes],
            "bidirectional": chance.random() < 0.5,
            "ragged": chance.random() < 0.5,
            "seed": seed + number,
        }
        error = difference(case)
        if error > 1 and case["cell"] in KINKED and difference({**case, "seed": -case["seed"]}) <= 1:
            kinks += 1
        elif not error <= 1:
            failures.append({**case, "error": error})
        else:
            worst = max(worst, error)
    return {"count": count, "failures": failures, "next_to_a_kink": kinks, "worst": worst}


def difference(case: dict[str, Any]) -> float:
    """Give the largest difference from the loop in float64, in units of what rounding explains.

    That is 1e-4 of the largest value, or 100 times what the loop itself loses in fp32.
    """
    exact, loop, fast = (results(case, *way) for way in (("loop", True), ("loop", False), ("fused", False)))
    worst = 0.0
    for one, two, three in zip(exact, loop, fast, strict=True):
        allowed = max(1e-4 * (1 + one.abs().max().item()), 100 * (two - one).abs().max().item())
        error = (three - one).abs().max().item() / allowed
        worst = error if error != error else max(worst, error)
    return worst


def results(case: dict[str, Any], backend: str, double: bool) -> list[Tensor]:
    """Run a case; give output, states and all gradients in float64."""
    generator = torch.Generator().manual_seed(abs(case["seed"]) + (case["seed"] < 0))
    steps, batch, size, hidden = case["shape"]
    dtype = torch.float64 if double else torch.float32

    def normal(*sizes: int) -> Tensor:
        return torch.randn(sizes, generator=generator).to(dtype).requires_grad_()

    layer = recurrent_layer(
        case["cell"], size, hidden, bias=case["bias"], bidirectional=case["bidirectional"], backend=backend, dtype=dtype
    )
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(normal(*parameter.shape) / hidden**0.5)
    x = normal(steps, batch, size)
    states = [normal(layer.directions, batch, width) for width in layer.cell.state_sizes(hidden).values()]
    given = [one.abs() + 1 if name == "n" else one for name, one in zip(layer.cell.state_names, states, strict=True)]
    lengths = torch.randint(1, steps + 1, (batch,), generator=generator) if case["ragged"] else None
    if lengths is not None:
        x = x.detach().masked_fill((torch.arange(steps)[:, None] >= lengths)[..., None], torch.nan).requires_grad_()
    output, end = layer(x, tuple(given) if len(given) > 1 else given[0], lengths=lengths)
    outputs = [output, *(end if isinstance(end, tuple) else (end,))]
    cotangents = [torch.randn(one.shape, generator=generator).to(dtype) for one in outputs]
    inputs = [x, *states, *layer.parameters()]
    gradients = torch.autograd.grad(outputs, inputs, cotangents, allow_unused=True)
    found = [*outputs, *(torch.zeros_like(i) if g is None else g for i, g in zip(inputs, gradients, strict=True))]
    return [one.detach().double() for one in found]


def time_all(arguments: argparse.Namespace, cells: list[str]) -> tuple[list[dict[str, Any]], str]:
    """Time all problems; give a row for each cell, problem and precision, and the tables."""
    training, single = (SMALL, SMALL_SINGLE) if arguments.smoke else (TRAINING, SINGLE)
    problems = [*map(Problem, training), Problem(single)]
    problems.append(Problem(SMALL[0] if arguments.smoke else RAGGED, ragged=True))
    rounds = 1 if arguments.smoke else arguments.rounds
    rows = []
    for problem in problems:
        print(f"measuring {problem.shape}{' ragged' if problem.ragged else ''}", file=sys.stderr)
        repeats = rounds * SINGLE_ROUNDS if problem.shape == SINGLE else rounds
        rows += measure(problem, cells, arguments.backend, repeats)
    peak = bf16_peak()
    steps = single_step(cells, single[2], 5 if arguments.smoke else 300)
    for row in rows:
        row["seed"] = arguments.seed
        shape = tuple(row["shape"])
        if row["dtype"] == "bf16" and shape == PEAK and not row["ragged"]:
            row |= {"share_of_bf16_peak": row["products_gflops"] / peak, "bf16_peak_gflops": peak}
        if row["dtype"] == "fp32" and shape == single:
            row |= steps[row["cell"]]
    return rows, tables(rows, summary(rows, cells, training), peak)


def summary(rows: list[dict[str, Any]], cells: list[str], training: list[tuple[int, int, int, int]]) -> list[list[Any]]:
    """Give each cell's median ratio of a training step over the shapes, without the ragged rows, in fp32 and bf16."""
    return [
        [
            name,
            *(
                statistics.median(
                    row["train_ratio_to_nn_lstm_fp32"]
                    for row in rows
                    if (row["cell"], row["dtype"], row["ragged"]) == (name, dtype, False)
                    and tuple(row["shape"]) in training
                )
                for dtype in ("fp32", "bf16")
            ),
        ]
        for name in ("nn.LSTM", *cells)
    ]


def tables(rows: list[dict[str, Any]], medians: list[list[Any]], peak: float) -> str:
    """Lay the result out."""
    lines = [
        [
            f"{' '.join(map(str, row['shape']))}{' ragged' if row['ragged'] else ''}  {row['cell']} {row['dtype']}",
            row["train_ms"],
            f"{row['train_ms_range'][0]:.4g}-{row['train_ms_range'][1]:.4g}",
            row["train_ratio_to_nn_lstm_fp32"],
            row["forward_ms"],
            row["forward_ratio_to_nn_lstm_fp32"],
            row.get("share_of_bf16_peak"),
        ]
        for row in rows
    ]
    header = ["time batch input hidden", "train ms", "range", "ratio", "forward ms", "ratio", "of bf16 peak"]
    steps = [[row["cell"], row["step_us"], row["step_ratio_to_nn_lstm_cell"]] for row in rows if "step_us" in row]
    steps[0][0] = "nn.LSTMCell"
    return "\n\n".join(
        [
            format_table(header, lines),
            f"bf16 products of 2048 x 2048: {peak:.0f} GFLOP/s",
            format_table(["training step, median of the shapes", "fp32", "bf16"], medians),
            format_table(["single step", "microseconds", "ratio"], steps),
        ]
    )


def main() -> int:
    """Measure or compare, and print."""
    parser = new_parser(__doc__)
    parser.add_argument("--cells", nargs="+", choices=list(CELLS), metavar="CELL", help="which cells (default: all)")
    parser.add_argument("--backend", default="fused", choices=["auto", "fused", "loop"], help="default: fused")
    parser.add_argument("--rounds", type=int, default=5, help="times each is measured (default: 5)")
    parser.add_argument("--comparisons", type=int, default=0, metavar="N", help="compare N random cases, time nothing")
    parser.add_argument("--threads", type=int, help="processor threads (default: what torch takes)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, inputs and cases (default: 0)")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    cells = arguments.cells or list(CELLS)
    if arguments.comparisons:
        found = compare(cells, arguments.comparisons, arguments.seed)
        result: Any = {"seed": arguments.seed, "comparisons": found}
        failed = len(found["failures"])
        table = f"{found['count']:,} comparisons, {failed} failures, {found['next_to_a_kink']} next to a kink"
        table = "\n".join([table, *(str(failure) for failure in found["failures"][:20])])
    else:
        failed = 0
        result, table = time_all(arguments, cells)
    print_result("cells", torch.get_num_threads(), result, table, arguments.json)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
