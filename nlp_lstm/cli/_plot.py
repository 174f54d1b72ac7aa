"""`nlp-lstm plot`: the curves of one or several runs, as text or as a picture."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path

from nlp_lstm.cli._options import new_parser, parse
from nlp_lstm.cli._terminal import note, write
from nlp_lstm.errors import RunFolderError, UsageError
from nlp_lstm.training import metrics_lines

_WIDTH, _HEIGHT = 64, 16
_MARKS = "ox+*#@%&"
_NAMES = ("step", "epoch", "seconds", "train_loss", "valid_loss", "learning_rate", "items_per_second")

Curve = list[tuple[float, float]]


def run(arguments: list[str]) -> int:
    """Read metrics.jsonl of the runs and draw one value over another."""
    parser = new_parser(
        "plot", "RUN... [options]", "Draw what training wrote down, of one run or several side by side."
    )
    parser.add_argument("runs", metavar="RUN", type=str, nargs="+", help="run folders that `nlp-lstm train` wrote")
    parser.add_argument("--x", type=str, default="seconds", help=f"one of {', '.join(_NAMES)} (default: seconds)")
    parser.add_argument("--y", type=str, default="valid_loss", help="one of the same (default: valid_loss)")
    parser.add_argument("--output", type=str, metavar="FILE", help="draw a picture, .png, .svg or .pdf (extra `plot`)")
    options = parse(parser, arguments)
    for flag in ("x", "y"):
        if options[flag] not in _NAMES:
            raise UsageError(
                f"--{flag} {options[flag]} is nothing that a run writes down. Allowed: {', '.join(_NAMES)}."
            )
    if len(options["runs"]) > len(_MARKS):
        raise UsageError(f"{len(options['runs'])} runs are too many to tell apart; give at most {len(_MARKS)}.")
    curves = {name: read_curve(Path(name), options["x"], options["y"]) for name in options["runs"]}
    if options["output"] is None:
        write(draw_text(curves, options["x"], options["y"]))
    else:
        draw_picture(curves, options["x"], options["y"], Path(options["output"]))
        note(f"The picture is in {options['output']}.")
    return 0


def read_curve(folder: Path, x: str, y: str) -> Curve:
    """Read the points that a run wrote down; raises RunFolderError where there are none or the file is damaged."""
    with contextlib.suppress(OSError):  # a name that cannot be looked up cannot be read either, which says why
        if not folder.exists():
            raise RunFolderError(f"There is no run folder {folder}. Name one that `nlp-lstm train` wrote.")
    path, curve = folder / "metrics.jsonl", []
    for number, line in enumerate(metrics_lines(folder), start=1):
        try:
            values = json.loads(line)
            point = float(values[x]), float(values[y])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            given = line.rstrip()[:60]
            raise RunFolderError(f"{path}, line {number}, has no numbers for {x} and {y}: {given!r}.") from None
        if all(map(math.isfinite, point)):
            curve.append(point)
    if not curve:
        raise RunFolderError(f"{path} has no line yet: the first is written after the first validation.")
    return curve


def draw_text(curves: dict[str, Curve], x: str, y: str) -> str:
    """Draw curves with characters, one mark a run, with both axes labelled and a legend."""
    points = [point for curve in curves.values() for point in curve]
    (left, right), (low, high) = _ends([point[0] for point in points]), _ends([point[1] for point in points])
    grid = [[" "] * _WIDTH for _ in range(_HEIGHT)]
    for mark, curve in zip(_MARKS, curves.values(), strict=False):
        for across, up in curve:
            grid[_cell(-up, -high, -low, _HEIGHT)][_cell(across, left, right, _WIDTH)] = mark
    labels = {0: f"{high:.4g}", _HEIGHT - 1: f"{low:.4g}"}
    lines = [f"{labels.get(row, ''):>10} |{''.join(cells)}".rstrip() for row, cells in enumerate(grid)]
    ends = f"{left:.4g}", f"{right:.4g}"
    lines += [" " * 11 + "+" + "-" * _WIDTH, " " * 12 + ends[0] + ends[1].rjust(_WIDTH - len(ends[0]))]
    lines += [f"{y} over {x}"]
    for mark, (name, curve) in zip(_MARKS, curves.items(), strict=False):
        best = min(curve, key=lambda point: point[1])
        lines.append(f"  {mark} {name}: {len(curve)} points, lowest {best[1]:.4g} at {best[0]:.4g}")
    return "\n".join(lines) + "\n"


def draw_picture(curves: dict[str, Curve], x: str, y: str, path: Path) -> None:
    """Draw curves to a picture file; raises UsageError where matplotlib is missing or does not know the ending."""
    try:
        import matplotlib
    except ImportError:
        raise UsageError(
            "A picture needs matplotlib: pip install 'nlp-lstm[plot]'. Without --output it is text."
        ) from None
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    from nlp_lstm.evaluation import save_figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for name, curve in curves.items():
        axes.plot(*zip(*curve, strict=True), marker=".", label=name)
    axes.set_xlabel(x.replace("_", " "))
    axes.set_ylabel(y.replace("_", " "))
    axes.grid(alpha=0.3)
    axes.legend()
    try:
        save_figure(figure, path)
    except ValueError as error:  # an ending that it does not know
        raise UsageError(f"--output {path}: {error}. Give a name that ends in .png, .svg or .pdf.") from None


def _cell(value: float, low: float, high: float, cells: int) -> int:
    """Which of so many cells between two ends a value is in; by halves, since the whole distance may be infinite."""
    distance = high / 2 - low / 2
    return round((value / 2 - low / 2) / distance * (cells - 1)) if distance else cells // 2


def _ends(values: list[float]) -> tuple[float, float]:
    """The smallest and the largest value, apart even where they are one."""
    low, high = min(values), max(values)
    return (low, high) if low < high else (low - 0.5, high + 0.5)
