"""Pictures of a classifier's scores: the confusion matrix and the reliability plot (the `plot` extra)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_lstm.errors import UsageError
from nlp_lstm.evaluation._classification import ClassificationScores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_NUMBERS = 20  # labels up to which the cells of the matrix hold their counts


def require_matplotlib() -> None:
    """Raise UsageError with the command that installs matplotlib where it is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UsageError("Pictures need matplotlib, which is not installed: pip install 'nlp-lstm[plot]'") from None


def save_pictures(scores: ClassificationScores, folder: str | Path) -> list[Path]:
    """Write `confusion.png` (not for several labels at once) and `reliability.png` into `folder`, which is made.

    Returns the files. Raises UsageError where matplotlib is missing.
    """
    require_matplotlib()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    figures = {"reliability": reliability_figure(scores)}
    if scores.confusion is not None:
        figures["confusion"] = confusion_figure(scores)
    files = []
    for name, figure in sorted(figures.items()):
        file = folder / f"{name}.png"
        save_figure(figure, file)
        files.append(file)
    return files


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure of matplotlib under a temporary name of the same ending, then rename: whole or not at all."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        figure.savefig(temporary, dpi=150)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def confusion_figure(scores: ClassificationScores) -> Figure:
    """Draw the confusion matrix: a row for each gold label, coloured by the share of the row.

    Raises UsageError where matplotlib is missing, or where an item may have several labels.
    """
    if scores.confusion is None:
        raise UsageError("Items with several labels have no confusion matrix; draw the reliability plot alone.")
    size = max(4.0, 1.5 + 0.45 * len(scores.labels))
    figure = _new_figure(size + 0.8, size)
    axes = figure.add_subplot()
    shares = scores.confusion / scores.confusion.sum(axis=1, keepdims=True).clip(min=1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, label="share of the gold label")
    places = range(len(scores.labels))
    axes.set_xticks(places, scores.labels, rotation=45, ha="right")
    axes.set_yticks(places, scores.labels)
    axes.set(xlabel="predicted", ylabel="gold")
    if len(scores.labels) <= _MOST_NUMBERS:
        for row in places:
            for column in places:
                colour = "white" if shares[row, column] > 0.5 else "black"
                count = f"{scores.confusion[row, column]:,}"
                axes.text(column, row, count, ha="center", va="center", color=colour, fontsize=8)
    return figure


def reliability_figure(scores: ClassificationScores) -> Figure:
    """Draw accuracy against confidence in each bin (Guo et al. 2017, figure 1); on the diagonal they are equal.

    Raises UsageError where matplotlib is missing.
    """
    figure = _new_figure(4.6, 4.2)
    axes = figure.add_subplot()
    lows = [each.low for each in scores.calibration]
    widths = [each.high - each.low for each in scores.calibration]
    heights = [each.accuracy for each in scores.calibration]
    axes.bar(lows, heights, widths, align="edge", edgecolor="black", color="tab:blue", label="accuracy")
    axes.plot([each.confidence for each in scores.calibration], heights, "o", color="black", label="mean confidence")
    axes.plot([0, 1], [0, 1], "--", color="gray")
    error = next(score.value for score in scores.scores if score.name == "ece")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy", title=f"ECE {error:.3f}, n={scores.n:,}")
    axes.legend(loc="upper left")
    return figure


def _new_figure(width: float, height: float) -> Figure:
    """Start a figure that is drawn to memory: no window, and none of pyplot's state."""
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
