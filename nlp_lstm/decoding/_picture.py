"""Attention as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nlp_lstm.decoding._alignment import fitting_rows
from nlp_lstm.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

# Inches for each token, and beside them for the labels; and the tokens of a side that still make a file.
_CELL, _MARGIN, _MOST = 0.35, 1.5, 400


def attention_picture(
    source: Sequence[str], target: Sequence[str], attention: Tensor | Sequence[Sequence[float]]
) -> Figure:
    """Draw attention as a figure of matplotlib, one row a target token, darker for more; `figure.savefig` writes it.

    `attention` is (target, source), from 0 to 1. No window is opened, and the figure needs not be closed.

    Raises:
        ShapeError: the attention does not fit the tokens.
        UsageError: matplotlib is not installed; a side has more than 400 tokens.
    """
    rows = fitting_rows(attention, source, target)
    if max(len(source), len(target)) > _MOST:
        raise UsageError(
            f"A picture of {len(source):,} source and {len(target):,} target tokens is too large; a side may have "
            f"{_MOST}. Take a shorter text."
        )
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError(
            'A picture needs matplotlib, which is not installed; run `pip install "nlp-lstm[plot]"`.'
        ) from error
    figure = Figure(
        figsize=(_MARGIN + _CELL * len(source), _MARGIN + _CELL * len(target)), layout="constrained", dpi=150
    )
    axes = figure.add_subplot()
    if source and target:
        axes.imshow(rows, cmap="Greys", vmin=0.0, vmax=1.0, aspect="equal")
    # A token may hold a $, which must not begin a formula.
    axes.set_xticks(range(len(source)), source, rotation=90, parse_math=False)
    axes.set_yticks(range(len(target)), target, parse_math=False)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_xlabel("source")
    axes.xaxis.set_label_position("top")
    axes.set_ylabel("target")
    return figure
