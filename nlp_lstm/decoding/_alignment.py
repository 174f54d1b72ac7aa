"""What attention says about which source token a target token stands for: words, pairs of places, and a text map."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nlp_lstm.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor

_SHADES = " ░▒▓█"
_ASCII_SHADES = " .:+#"
_LONGEST_LABEL = 20


def replace_unknown(
    target: Sequence[str],
    source: Sequence[str],
    attention: Tensor | Sequence[Sequence[float]],
    unknown: str,
    dictionary: Mapping[str, str] | None = None,
) -> list[str]:
    """Put the source token that got the most attention in the place of each unknown target token.

    `attention` is (target, source). Where the `dictionary` holds the source token, its translation is taken instead
    (Luong et al. 2015, "Addressing the Rare Word Problem in Neural Machine Translation"; Jean et al. 2015, "On Using
    Very Large Target Vocabulary for Neural Machine Translation", section 3.3). Without any source tokens the unknown
    ones stay.

    Raises:
        ShapeError: the attention does not fit the tokens.
    """
    translations = dictionary or {}
    places = {at: place for place, at in align(fitting_rows(attention, source, target))}
    return [
        translations.get(source[places[at]], source[places[at]]) if token == unknown and at in places else token
        for at, token in enumerate(target)
    ]


def align(attention: Tensor | Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """Pair each target token with the source token that got its most attention: (source, target) places from 0.

    `attention` is (target, source). Of equal weights the first counts. A row without any weight above 0 has no pair.
    """
    rows = _rows(attention)
    return [(row.index(max(row)), at) for at, row in enumerate(rows) if row and max(row) > 0]


def pharaoh(pairs: Sequence[tuple[int, int]]) -> str:
    """Write pairs of places in the Pharaoh format, `source-target` from 0 with blanks between: `0-0 2-1`."""
    return " ".join(f"{source}-{target}" for source, target in pairs)


def attention_between_words(
    attention: Tensor | Sequence[Sequence[float]], source_words: Sequence[int], target_words: Sequence[int]
) -> list[list[float]]:
    """Turn attention between pieces into attention between words: (target words, source words).

    `attention` is (target pieces, source pieces); `source_words` and `target_words` say which word, from 0, each piece
    belongs to, and -1 that it belongs to none, like the end of sentence. A word receives what its pieces receive
    together, and gives what its pieces give on average.

    Raises:
        ShapeError: the attention does not fit the pieces.
    """
    import numpy  # not before it is needed: listing the names of this package costs no import

    rows = numpy.array(fitting_rows(attention, source_words, target_words))
    source, target = numpy.array(source_words, dtype=int), numpy.array(target_words, dtype=int)
    receives = source[:, None] == numpy.arange(source.max(initial=-1) + 1)  # (pieces, words)
    gives = target == numpy.arange(target.max(initial=-1) + 1)[:, None]  # (words, pieces)
    shares = gives / gives.sum(axis=1, keepdims=True).clip(min=1)
    words: list[list[float]] = (shares @ rows.reshape(len(target), len(source)) @ receives).tolist()
    return words


def attention_text(
    source: Sequence[str],
    target: Sequence[str],
    attention: Tensor | Sequence[Sequence[float]],
    *,
    ascii_only: bool = False,
) -> str:
    """Draw attention for a terminal: a line a target token, and under each source token, written downwards, its share.

    `attention` is (target, source), from 0 to 1, in five steps: nothing below 0.2, then ░ ▒ ▓ █, the last from 0.8 on.
    With `ascii_only` the steps are . : + #, and letters outside ASCII are escaped. Control characters are replaced, so
    that text cannot command the terminal, and tokens of more than 20 columns are cut.

    Raises:
        ShapeError: the attention does not fit the tokens.
    """
    rows = fitting_rows(attention, source, target)
    shades = _ASCII_SHADES if ascii_only else _SHADES
    columns = [_letters(token, ascii_only) for token in source]
    labels = ["".join(_letters(token, ascii_only)) for token in target]
    margin = max(map(_width, labels), default=0)
    height = max(map(len, columns), default=0)
    hanging = [[""] * (height - len(column)) + column for column in columns]
    header = [" " * margin + " " + "".join(_fill(column[line]) for column in hanging) for line in range(height)]
    body = [
        " " * (margin - _width(label)) + label + " " + "".join(2 * _shade(weight, shades) for weight in row)
        for label, row in zip(labels, rows, strict=True)
    ]
    return "\n".join(line.rstrip() for line in [*header, *body])


def _shade(weight: float, shades: str) -> str:
    return shades[min(max(int(weight * len(shades)), 0), len(shades) - 1)]


def _letters(token: str, ascii_only: bool) -> list[str]:
    """Return what a token looks like, letter by letter; a mark that is drawn over a letter stays with it."""
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in token)
    if ascii_only:
        shown = shown.replace("\N{REPLACEMENT CHARACTER}", "?").encode("ascii", "backslashreplace").decode()
    letters: list[str] = []
    for letter in shown:
        if letters and unicodedata.combining(letter):
            letters[-1] += letter
        else:
            letters.append(letter)
    if _width(shown) <= _LONGEST_LABEL:
        return letters
    while sum(map(_width, letters)) >= _LONGEST_LABEL:
        letters.pop()
    return [*letters, "~" if ascii_only else "…"]


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def _fill(letter: str) -> str:
    return letter + " " * (2 - _width(letter))


def fitting_rows(
    attention: Tensor | Sequence[Sequence[float]], source: Sequence[object], target: Sequence[object]
) -> list[list[float]]:
    """Return the attention as lists; raise ShapeError where it is not (target, source)."""
    rows = _rows(attention)
    if len(rows) != len(target) or any(len(row) != len(source) for row in rows):
        given = (len(rows), len(rows[0]) if rows else 0)
        raise ShapeError(
            f"The attention has the shape {given}; it must be (target, source), here {(len(target), len(source))}."
        )
    return rows


def _rows(attention: Tensor | Sequence[Sequence[float]]) -> list[list[float]]:
    if hasattr(attention, "tolist"):
        rows: list[list[float]] = attention.tolist()
        return rows
    return [list(row) for row in attention]
