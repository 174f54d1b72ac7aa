"""What `nlp-lstm translate` says on stderr about lines that are not translated as they stand."""

from __future__ import annotations

import math
from typing import Any

from nlp_lstm.cli._terminal import note
from nlp_lstm.tasks import control_characters


class Notes:
    """Notes on lines as they come, and at the end on what many lines may have; `search` is a `Search`."""

    def __init__(self, search: Any) -> None:
        self._search = search
        self._cut, self._first_cut = 0, 0  # how many lines, and the number of the first
        self._control, self._first_control = 0, 0  # how many characters, and the number of their first line

    def add(self, number: int, line: str, best: Any) -> None:
        """Look at a line and its best translation."""
        if best.parts > 1:
            note(f"Line {number:,} is {longer(best.parts, self._search)}")
        if math.isinf(best.score):
            note(f"Line {number:,}: no translation meets the conditions; the line is left empty.")
        if best.cut:
            self._cut, self._first_cut = self._cut + 1, self._first_cut or number
        if count := control_characters(line):
            self._control, self._first_control = self._control + count, self._first_control or number

    def close(self) -> None:
        """Say what was counted."""
        if self._cut:
            counted = "1 translation was" if self._cut == 1 else f"{self._cut:,} translations were"
            note(
                f"{counted} cut at the limit of length, the first in line {self._first_cut:,}. "
                "--max-length N or --max-length-ratio X raises it."
            )
        if self._control:
            noun, verb = ("character", "was") if self._control == 1 else ("characters", "were")
            note(f"{self._control:,} control {noun} {verb} read as a space, the first in line {self._first_control:,}.")


def longer(parts: int, search: Any) -> str:
    """Say that a text was translated in parts, and what was asked of which."""
    asked = {"--prefix": bool(search.prefix), "--required": bool(search.required)}
    flags = [flag for flag, given in asked.items() if given]
    of_first = f" {' and '.join(flags)} {'were' if len(flags) > 1 else 'was'} asked of the first." if flags else ""
    return f"longer than what the model was trained on; it was translated in {parts} parts.{of_first}"
