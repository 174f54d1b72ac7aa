"""What the sentences of a batch may contain, laid on the scores of each step; no model is looked into."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any, Required, TypedDict, TypeVar

import torch
from torch import Tensor

from nlp_lstm.decoding._beam_options import BeamOptions
from nlp_lstm.decoding._required import AnyOf, RequiredPhrases, ways_of
from nlp_lstm.errors import ShapeError, UsageError

# A short source can have a translation of many times its length; so many tokens are always granted beyond the ratio.
GRANTED_LENGTH = 10
_RATIO = 2.0

Items = TypeVar("Items", bound="Sequence[Any] | Tensor | None")


class Conditions(TypedDict, total=False):
    """What a search needs to know of the sentences, beside the options; all but `eos_id` may be left out.

    - `eos_id`: the id that ends a sentence. It never stands in a hypothesis.
    - `forbidden_ids`: ids that no sentence may contain, like those of padding and of the beginning of sentence.
    - `prefixes`: the tokens that each sentence must begin with; they are exempt from all other rules.
    - `required`: the phrases, each of one token or more, that each sentence must contain, and `AnyOf` for one that
      can be written in several ways; they may overlap, but a hypothesis is given up once it has no room for those it
      misses one after the other.
    - `source_lengths`, int64 (batch,): lengths of the source, where it has padding. The attention is cut to them.
    - `min_lengths`, `max_lengths`, int64 (batch,): limits of length that replace those of the options.

    A limit that leaves too little room for the minimum length, the prefix and the required phrases is raised to it.
    """

    eos_id: Required[int]
    forbidden_ids: Sequence[int]
    prefixes: Sequence[Sequence[int]] | None
    required: Sequence[Sequence[Sequence[int] | AnyOf]] | None
    source_lengths: Tensor | None
    min_lengths: Tensor | None
    max_lengths: Tensor | None


class Rules:
    """The conditions and options of one search as tensors.

    Attributes:
        limits: int64 (batch,), the most tokens that each sentence may have.
        phrases: The required phrases; None where no sentence has any.
    """

    def __init__(self, ids: Tensor, options: BeamOptions, conditions: Conditions) -> None:
        if ids.dim() != 1 or ids.dtype != torch.int64:
            raise ShapeError(f"The ids are {ids.dtype} of the shape {tuple(ids.shape)}; they must be int64 (batch,).")
        self.options, self.eos_id = options, conditions["eos_id"]
        self.source_lengths = _one_each("source_lengths", conditions.get("source_lengths"), ids)
        forbidden = sorted(set(conditions.get("forbidden_ids", ())) - {self.eos_id})
        self._forbidden = torch.tensor(forbidden, dtype=torch.int64, device=ids.device)
        prefixes = _one_each("prefixes", conditions.get("prefixes"), ids) or [()] * len(ids)
        required = _one_each("required", conditions.get("required"), ids) or [()] * len(ids)
        self._check_ids(prefixes, required, forbidden)
        self.phrases = RequiredPhrases(required, ids.device) if any(required) else None
        self._prefixes = _padded(prefixes, ids.device)
        self._longest_prefix = self._prefixes.shape[1]
        needed = torch.tensor([len(prefix) for prefix in prefixes], device=ids.device)
        if self.phrases is not None:
            needed += self.phrases.totals
        minimums = _one_each("min_lengths", conditions.get("min_lengths"), ids)
        self._minimums = torch.full_like(ids, options.min_length) if minimums is None else minimums
        self._highest_minimum = int(self._minimums.max()) if len(ids) else 0
        limits = _limits(ids, options, conditions, self.source_lengths)
        self.limits = limits.maximum(needed).maximum(self._minimums)
        self._lowest_limit = int(self.limits.min()) if len(ids) else 0

    def _check_ids(
        self,
        prefixes: Sequence[Sequence[int]],
        required: Sequence[Sequence[Sequence[int] | AnyOf]],
        forbidden: list[int],
    ) -> None:
        if any(self.eos_id in prefix for prefix in prefixes):
            raise UsageError("A forced prefix contains the end of sentence; leave it out, nothing can follow it.")
        for ways in map(ways_of, chain.from_iterable(required)):
            if not ways or not all(ways):
                raise UsageError("A required phrase has no tokens; leave it out.")
            for way in ways:
                if not {self.eos_id, *forbidden}.isdisjoint(way):
                    raise UsageError(
                        f"The required phrase of the ids {list(way)} contains an id that no sentence may contain "
                        f"({[self.eos_id, *forbidden]}); a word that the vocabulary lacks cannot be required."
                    )

    def apply(self, scores: Tensor, sentence: Tensor, history: Tensor | None, length: int) -> Tensor:
        """Set to minus infinity, in place, what may not come next; return which rows the limit cuts, bool (rows,).

        `scores` is (rows, vocab), `sentence` int64 (rows,), and `history` int64 (rows, length): the tokens so far,
        needed only to keep n-grams from coming twice. A row is cut where it must end, though without the limit a
        token was likelier than the end.
        """
        cut = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
        begun = None
        if length < self._longest_prefix:
            forced = self._prefixes[sentence, length]
            begun = (forced >= 0).nonzero()[:, 0]
            forced = forced[begun]
            kept = scores[begun, forced]
        scores.index_fill_(1, self._forbidden, -math.inf)
        if length < self._highest_minimum:
            scores[(self._minimums[sentence] > length).nonzero()[:, 0], self.eos_id] = -math.inf
        size = self.options.no_repeat_ngram_size
        if history is not None and 0 < size <= length:
            _forbid_repeats(scores, history, size)
        if length >= self._lowest_limit:
            rows = (self.limits[sentence] <= length).nonzero()[:, 0]
            end = scores[rows, self.eos_id]
            cut[rows] = scores[rows].amax(dim=1) > end
            scores[rows] = -math.inf
            scores[rows, self.eos_id] = end
        if begun is not None:
            scores[begun] = -math.inf
            scores[begun, forced] = kept
        return cut


def _forbid_repeats(scores: Tensor, history: Tensor, size: int) -> None:
    windows = history.unfold(1, size, 1)  # (rows, length - size + 1, size)
    last = history[:, history.shape[1] - size + 1 :]  # (rows, size - 1)
    row, place = (windows[:, :, :-1] == last[:, None]).all(dim=-1).nonzero(as_tuple=True)
    scores[row, windows[row, place, -1]] = -math.inf


def _limits(ids: Tensor, options: BeamOptions, conditions: Conditions, source_lengths: Tensor | None) -> Tensor:
    limits = _one_each("max_lengths", conditions.get("max_lengths"), ids)
    if limits is not None:
        return limits
    ratio, most = options.max_length_ratio, options.max_length
    if source_lengths is not None and (ratio is not None or most is None):
        limits = (source_lengths * (_RATIO if ratio is None else ratio)).ceil().long() + GRANTED_LENGTH
        return limits if most is None else limits.clamp(max=most)
    if most is None:
        raise UsageError("Nothing says where a sentence must end; give --max-length, or the lengths of the sources.")
    return torch.full_like(ids, most)


def _padded(prefixes: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    longest = max(map(len, prefixes), default=0)
    rows = [[*prefix, *[-1] * (longest - len(prefix))] for prefix in prefixes]
    return torch.tensor(rows, dtype=torch.int64, device=device).view(len(prefixes), longest)


def _one_each(name: str, items: Items, ids: Tensor) -> Items:
    if items is not None and len(items) != len(ids):
        raise ShapeError(f"There are {len(items)} {name} for {len(ids)} sentences; give one for each.")
    return items
