"""A score: never a bare number, but one with its unit, its uncertainty and how it came about."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

_KEY_BREAKERS = re.compile(r"[:|\s]+")
_VALUE_BREAKERS = re.compile(r"[|\s]+")


@dataclass(frozen=True)
class Score:
    """One number that says what it is.

    Attributes:
        name: What was measured, as in `--json`: "bits_per_char".
        value: The number; it may be infinite.
        unit: "bits", "nats per token"; empty for a number without one.
        n: How many observations it rests on.
        confidence_interval: The ends of its 95 % interval, or None where none can be given.
        signature: What decides the number, as `signature` writes it.
    """

    name: str
    value: float
    unit: str
    n: int
    confidence_interval: tuple[float, float] | None
    signature: str

    def __str__(self) -> str:
        return f"{self.brief()} | {self.signature}"

    def brief(self) -> str:
        """Return the line without the signature: `bits_per_char 1.930 bits (95 % CI 1.913-1.947, n=111,540)`."""
        number = _number_format(self.value)
        interval = ""
        if self.confidence_interval is not None:
            low, high = self.confidence_interval
            interval = f"95 % CI {low:{number}}-{high:{number}}, "
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.name} {self.value:{number}}{unit} ({interval}n={self.n:,})"

    def to_json(self) -> dict[str, object]:
        """Return an object that strict JSON can hold: a number that is not finite becomes null."""
        return {
            "name": self.name,
            "value": finite_or_none(self.value),
            "unit": self.unit,
            "n": self.n,
            "confidence_interval": interval_to_json(self.confidence_interval),
            "signature": self.signature,
        }


def signature(parts: Mapping[str, object]) -> str:
    """Join what decides a score as `key:value|key:value|version:...`, the version last.

    The form is sacrebleu's (Post 2018, "A Call for Clarity in Reporting BLEU Scores"). White space and bars inside
    a key or a value become underscores, and so do colons inside a key, so that a signature always splits again.
    """
    ordered = sorted(parts.items(), key=lambda part: part[0] == "version")
    return "|".join(f"{_KEY_BREAKERS.sub('_', key)}:{_VALUE_BREAKERS.sub('_', str(value))}" for key, value in ordered)


def finite_or_none(value: float) -> float | None:
    """Return the value, or None where JSON has no number for it."""
    return value if math.isfinite(value) else None


def interval_to_json(interval: tuple[float, float] | None) -> list[float | None] | None:
    """Return the ends as a list, or None where there is no interval."""
    return None if interval is None else [finite_or_none(end) for end in interval]


def _number_format(value: float) -> str:
    """Return the format for a value and its interval: about four digits, and no more than the value has sense."""
    size = abs(value)
    if not math.isfinite(size):
        return ""
    if size >= 1e6 or 0 < size < 1e-3:
        return ".3e"
    return ",.1f" if size >= 100 else ".2f" if size >= 10 else ".3f"
