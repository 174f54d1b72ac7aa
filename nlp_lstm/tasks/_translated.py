"""One translation with its score and what its words attended to, and how those of a long text's parts become one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import NamedTuple

from nlp_lstm.decoding import align


class Attended(NamedTuple):
    """The words of a source and of its translation, and the share of each source word: `weights` (target, source)."""

    source_words: list[str]
    target_words: list[str]
    weights: list[list[float]]


@dataclass(frozen=True)
class Translated:
    """One translation of a text.

    Attributes:
        text: the translation.
        score: what the translations of one text are ranked by, larger is better; see `BeamOptions`.
        log_probability: natural logarithm of the model's probability.
        parts: in how many parts a long text was translated.
        cut: whether the limit of length ended it, or one of its parts; see `Hypothesis`.
        views: gives what the words of each part attended to, which takes longer than the text, and is asked for by
            the properties alone.
    """

    text: str
    score: float
    log_probability: float
    parts: int = 1
    cut: bool = False
    views: tuple[Callable[[], Attended], ...] = field(default=(), repr=False, compare=False)

    @cached_property
    def _attended(self) -> list[Attended]:
        return [view() for view in self.views]

    @property
    def source_words(self) -> list[str]:
        """The source between its spaces."""
        return [word for part in self._attended for word in part.source_words]

    @property
    def target_words(self) -> list[str]:
        """The translation between its spaces, before unknown words were put back."""
        return [word for part in self._attended for word in part.target_words]

    @property
    def attention(self) -> list[list[float]]:
        """The share of each source word, (target words, source words).

        Rows sum to less than 1 by what went to the end of the source. Words of one part attend to no other part.
        """
        width, before = len(self.source_words), 0
        attention: list[list[float]] = []
        for part in self._attended:
            after = width - before - len(part.source_words)
            attention += [[*[0.0] * before, *row, *[0.0] * after] for row in part.weights]
            before += len(part.source_words)
        return attention

    @property
    def alignment(self) -> list[tuple[int, int]]:
        """Pairs of (source word, target word), from 0: the source word that each target word attended to most."""
        pairs: list[tuple[int, int]] = []
        sources = targets = 0
        for part in self._attended:
            pairs += [(source + sources, target + targets) for source, target in align(part.weights)]
            sources, targets = sources + len(part.source_words), targets + len(part.target_words)
        return pairs


def joined(parts: list[list[Translated]]) -> list[Translated]:
    """Join the translations of the parts of a text: the best of each part, then the second best, and so on.

    Where one part has none, the text has none: what is left of it would be taken for all of it.
    """
    if len(parts) == 1:
        return parts[0]
    if any(math.isinf(part[0].score) for part in parts):
        views = tuple(partial(_source_alone, view) for part in parts for view in part[0].views)
        return [Translated("", -math.inf, -math.inf, len(parts), views=views)]
    return [_side_by_side([part[rank] for part in parts]) for rank in range(min(map(len, parts)))]


def _side_by_side(parts: list[Translated]) -> Translated:
    return Translated(
        " ".join(part.text for part in parts if part.text),
        sum(part.score for part in parts),
        sum(part.log_probability for part in parts),
        len(parts),
        any(part.cut for part in parts),
        tuple(view for part in parts for view in part.views),
    )


def _source_alone(view: Callable[[], Attended]) -> Attended:
    return Attended(view().source_words, [], [])
