"""The options of sampling, checked when they are made."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nlp_lstm.errors import UsageError


@dataclass(frozen=True)
class SamplingOptions:
    """How the next token is drawn; the defaults draw from the model's own distribution.

    Attributes:
        temperature: Divides the logits: below 1 sharper, above 1 flatter, 0 always takes the likeliest token.
        top_k: Keep the k likeliest tokens; 0 keeps all.
        top_p: Keep the smallest set of likeliest tokens that holds this much probability; 1 keeps all.
        min_p: Keep tokens at least this fraction as likely as the likeliest one; 0 keeps all.
        repetition_penalty: Makes recent tokens less likely when above 1, likelier when below; 1 leaves them alone.
        repetition_window: How many of the last tokens count as recent.

    Raises:
        UsageError: options out of range; the message names every one of them by its flag.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    repetition_window: int = 256

    def __post_init__(self) -> None:
        # Comparisons with NaN are false, so each rule states what is allowed and not what is forbidden.
        rules = (
            ("--temperature", self.temperature, 0 <= self.temperature < math.inf, "0 (greedy) or a positive number"),
            ("--top-k", self.top_k, is_whole(self.top_k) and self.top_k >= 0, "0 (off) or a positive whole number"),
            ("--top-p", self.top_p, 0 < self.top_p <= 1, "above 0 and at most 1 (off)"),
            ("--min-p", self.min_p, 0 <= self.min_p <= 1, "from 0 (off) to 1"),
            (
                "--repetition-penalty",
                self.repetition_penalty,
                0 < self.repetition_penalty < math.inf,
                "a positive number, 1 for off",
            ),
            (
                "--repetition-window",
                self.repetition_window,
                is_whole(self.repetition_window) and self.repetition_window >= 1,
                "a positive whole number",
            ),
        )
        faults = [f"{flag} is {given!r}; it must be {allowed}." for flag, given, holds, allowed in rules if not holds]
        if faults:
            raise UsageError(" ".join(faults))


def is_whole(value: object) -> bool:
    """Tell whether a value is an int; True and False are none here."""
    return isinstance(value, int) and not isinstance(value, bool)
