"""Words coloured by what they contribute: for a terminal, and in signs where there is none."""

from __future__ import annotations

import os
from typing import Any

from nlp_lstm.cli._terminal import _VISIBLE, is_terminal

# Backgrounds of the 256-colour palette, from weak to strong; blue and orange look different to all eyes.
_FOR, _AGAINST = (195, 153, 111, 75), (223, 216, 214, 208)
_RESET = "\x1b[0m"


def wants_colour(stream: object) -> bool:
    """Whether a person sits at the other end who has not asked for none (https://no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def coloured(explanation: Any) -> str:
    """Give the text with its words on blue (for the label) or orange (against it), and no other control character."""
    return "".join(map(_colour, explanation.words, explanation.strengths()))


def _colour(word: str, strength: float) -> str:
    visible = word.translate(_VISIBLE)
    level = round(abs(strength) * len(_FOR))
    if not level:
        return visible
    text = visible.lstrip(" ")
    background = (_FOR if strength > 0 else _AGAINST)[level - 1]
    return f"{visible[: len(visible) - len(text)]}\x1b[30;48;5;{background}m{text}{_RESET}"


def in_brackets(explanation: Any) -> str:
    """Give the text with each word's contribution in brackets after it: `not[-0.61] bad[+0.94]`."""
    pairs = zip(explanation.words, explanation.contributions, strict=True)
    return " ".join(f"{' '.join(word.split())}[{contribution:+.2f}]" for word, contribution in pairs if word.strip())
