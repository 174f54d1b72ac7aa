"""How long a translator's texts are: what training has seen is what it reads at once and may write."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from nlp_lstm.decoding import GRANTED_LENGTH, LARGEST_RATIO

_SHORTEST, _LONGEST = 100, 1_000_000
_LEAST_RATIO = 1.0
"""Also a model that has seen short targets alone may write as many tokens as it reads."""


@dataclass(frozen=True)
class LengthLimits:
    """The lengths of a translator's texts, in tokens.

    Attributes:
        longest_source: A text of more is translated in parts.
        target_ratio: A translation has at most so many for each token of its source, plus 10; None leaves it to the
            options of a search.
        longest_target: A translation has at most so many, plus 10; likewise.

    Raises ValueError for a value that is no number, or out of range.
    """

    longest_source: int = _SHORTEST
    target_ratio: float | None = None
    longest_target: int | None = None

    def __post_init__(self) -> None:
        require_whole(self.longest_source, "longest_source", _SHORTEST, _LONGEST)
        ratio = self.target_ratio
        known = isinstance(ratio, int | float) and not isinstance(ratio, bool)
        if ratio is not None and not (known and 0 < ratio <= LARGEST_RATIO):
            raise ValueError(
                f"target_ratio is {reprlib.repr(ratio)}, and must be above 0 and at most {LARGEST_RATIO:,.0f}"
            )
        if self.longest_target is not None:
            require_whole(self.longest_target, "longest_target", 1, _LONGEST)

    def raised(self, lengths: Iterable[tuple[int, int]]) -> Self:
        """Return limits that no pair of training exceeds, given as `TokenizedPairs.lengths`, and none below these."""
        source_limit = self.longest_source
        ratio, longest = max(_LEAST_RATIO, self.target_ratio or 0.0), self.longest_target or 1
        for source, target in lengths:
            source_limit = max(source_limit, source)
            written = target - 2  # a target counts its beginning and its end, which no limit does
            ratio, longest = max(ratio, (written - GRANTED_LENGTH) / source), max(longest, written)
        return replace(
            self,
            longest_source=min(source_limit, _LONGEST),
            target_ratio=min(ratio, LARGEST_RATIO),
            longest_target=min(longest, _LONGEST),
        )


def require_whole(value: object, name: str, smallest: int, largest: int) -> int:
    """Return a setting that is a whole number in a range; raises ValueError where it is anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or not smallest <= value <= largest:
        raise ValueError(
            f"{name} is {reprlib.repr(value)}, and must be a whole number from {smallest:,} to {largest:,}"
        )
    return value
