"""Tables for a terminal, and the flat object of several scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nlp_lstm.evaluation._score import Score, finite_or_none, interval_to_json


def text_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a table: the first column to the left, the others to the right, two spaces between."""
    cells = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return [
        "  ".join(
            text.ljust(width) if column == 0 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def scores_to_json(task: str, n: int, scores: Sequence[Score], signature: str) -> dict[str, object]:
    """Return what every kind of scores has in common, as one flat object; a number that is not finite is null."""
    return {
        "task": task,
        "n": n,
        **{score.name: finite_or_none(score.value) for score in scores},
        "confidence_interval": {
            score.name: interval_to_json(score.confidence_interval)
            for score in scores
            if score.confidence_interval is not None
        },
        "signature": signature,
    }


def one_line(text: str, longest: int = 200) -> str:
    """Return the text in one line, white space joined, and no longer than a reader looks at."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) <= 1 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
