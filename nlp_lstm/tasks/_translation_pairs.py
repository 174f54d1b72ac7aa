"""Pairs of texts as token ids, and batches of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from nlp_lstm.data import PairSplit
from nlp_lstm.errors import DataError
from nlp_lstm.models import PairBatch
from nlp_lstm.tasks._translation_search import pad_rows
from nlp_lstm.tokenization import SubwordSampler, Tokenizer

Pair = tuple[Sequence[int], Sequence[int]]
"""Source ids up to the end of the text, and target ids from its beginning to its end."""


class TokenizedPairs:
    """The pairs of a split as a model reads them: each source with its end, each target with its beginning and end.

    With `subword_sampling` above 0 a batch can cut words at random; see `SubwordSampler`. Raises DataError where there
    are no pairs.
    """

    def __init__(self, pairs: PairSplit, source: Tokenizer, target: Tokenizer, subword_sampling: float = 0.0) -> None:
        if not len(pairs):
            raise DataError(f"There are no pairs in the {pairs.name} split. Check --data, --min-words and --max-words.")
        self.pairs, self.source, self.target = pairs, source, target
        self.ids: list[Pair] = [
            self._pair(*both)
            for both in zip(source.encode_batch(pairs.sources), target.encode_batch(pairs.targets), strict=True)
        ]
        self._samplers: tuple[SubwordSampler, SubwordSampler] | None = None
        if subword_sampling:
            sampler = SubwordSampler(source, subword_sampling)
            other = sampler if target is source else SubwordSampler(target, subword_sampling)
            self._samplers = sampler, other

    @property
    def lengths(self) -> list[tuple[int, int]]:
        """Tokens of each pair's source and target."""
        return [(len(source), len(target)) for source, target in self.ids]

    def batch(self, places: Iterable[int], generator: np.random.Generator | None = None) -> PairBatch:
        """Lay pairs side by side; with a generator, words are cut as it draws where sampling is on."""
        if self._samplers is None or generator is None:
            chosen = [self.ids[place] for place in places]
        else:
            source, target = self._samplers
            chosen = [
                self._pair(
                    source.sample(self.pairs.sources[place], generator),
                    target.sample(self.pairs.targets[place], generator),
                )
                for place in places
            ]
        sources, targets = zip(*chosen, strict=True)
        return PairBatch(*pad_rows(sources), *pad_rows(targets))

    def _pair(self, source: list[int], target: list[int]) -> Pair:
        return [*source, self.source.eos_id], [self.target.bos_id, *target, self.target.eos_id]
