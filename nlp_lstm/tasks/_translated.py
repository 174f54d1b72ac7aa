"""One translation with its score and attention, and how those of a long text's parts become one."""

from __future__ import annotations

from dataclasses import dataclass, field

from nlp_lstm.decoding import align


@dataclass(frozen=True)
class Translated:
    """One translation of a text.

    Attributes:
        text: the translation.
        score: what the translations of one text are ranked by, larger is better; see `BeamOptions`.
        log_probability: natural logarithm of the model's probability.
        source_words: the source between its spaces.
        target_words: the translation between its spaces, before unknown words were put back.
        attention: (target words, source words), the share of each source word; rows sum to less than 1 by what went
            to the end of the source.
        parts: in how many parts a long text was translated.
    """

    text: str
    score: float
    log_probability: float
    source_words: list[str] = field(default_factory=list, repr=False)
    target_words: list[str] = field(default_factory=list, repr=False)
    attention: list[list[float]] = field(default_factory=list, repr=False)
    parts: int = 1

    @property
    def alignment(self) -> list[tuple[int, int]]:
        """Pairs of (source word, target word), from 0: the source word that each target word attended to most."""
        return align(self.attention)


def joined(parts: list[list[Translated]]) -> list[Translated]:
    """Join the translations of the parts of a text: the best of each part, then the second best, and so on."""
    if len(parts) == 1:
        return parts[0]
    return [_side_by_side([part[rank] for part in parts]) for rank in range(min(map(len, parts)))]


def _side_by_side(parts: list[Translated]) -> Translated:
    sources = [word for part in parts for word in part.source_words]
    attention: list[list[float]] = []
    before = 0
    for part in parts:
        after = len(sources) - before - len(part.source_words)
        attention += [[*[0.0] * before, *row, *[0.0] * after] for row in part.attention]
        before += len(part.source_words)
    return Translated(
        " ".join(part.text for part in parts if part.text),
        sum(part.score for part in parts),
        sum(part.log_probability for part in parts),
        sources,
        [word for part in parts for word in part.target_words],
        attention,
        len(parts),
    )
