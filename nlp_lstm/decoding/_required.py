"""Phrases that a sentence must contain: how far each hypothesis is, and which share of the beam it gets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class AnyOf:
    """A required phrase that can be written in several ways, of which one is enough.

    Attributes:
        ways: The tokens of each way, one or more.
    """

    ways: tuple[tuple[int, ...], ...]


def ways_of(phrase: Sequence[int] | AnyOf) -> tuple[tuple[int, ...], ...]:
    """Return the tokens of each way to write a phrase, no way twice."""
    return tuple(dict.fromkeys(phrase.ways)) if isinstance(phrase, AnyOf) else (tuple(phrase),)


class Progress(NamedTuple):
    """How far hypotheses are, for each way to write each phrase of their sentence: (..., ways).

    `matched` int64: how many tokens of the way, from its first, the hypothesis ends with; 0 where the phrase is met.
    `met` bool: whether the hypothesis contains the phrase. A place without a phrase is met from the start.
    """

    matched: Tensor
    met: Tensor


class RequiredPhrases:
    """The required phrases of a batch as automata (Knuth, Morris and Pratt 1977), one a way to write one, all at once.

    The number of tokens that a hypothesis still misses says which bank it belongs to. The beam is shared among the
    banks (Post and Vilar 2018, "Fast Lexically Constrained Decoding with Dynamic Beam Allocation", section 3), so that
    hypotheses with more of the phrases are not pushed out by those that avoid them, and cost is that of the beam.

    Attributes:
        totals: int64 (batch,), the tokens of all phrases of each sentence, each in its shortest way.
    """

    def __init__(self, required: Sequence[Sequence[Sequence[int] | AnyOf]], device: torch.device) -> None:
        # A phrase that is named twice is required once.
        phrases = [list(dict.fromkeys(map(ways_of, sentence))) for sentence in required]
        ways = [[way for phrase in sentence for way in phrase] for sentence in phrases]
        most = max(map(len, ways))
        longest = max(len(way) for sentence in ways for way in sentence)
        padded = [[*sentence, *[()] * (most - len(sentence))] for sentence in ways]
        tokens = [[[*way, *[-1] * (longest - len(way))] for way in sentence] for sentence in padded]
        self._tokens = torch.tensor(tokens, device=device)  # (batch, ways, longest)
        self._lengths = torch.tensor([[len(way) for way in sentence] for sentence in padded], device=device)
        table = [[_automaton(way, longest) for way in sentence] for sentence in padded]
        self._next = torch.tensor(table, device=device)  # (batch, ways, matched, kind of token)
        numbers = [[number for number, phrase in enumerate(sentence) for _ in phrase] for sentence in phrases]
        filled = torch.tensor([[*row, *range(most, 2 * most - len(row))] for row in numbers], device=device)
        self._same = filled[:, :, None] == filled[:, None, :]  # which ways are those of one phrase
        self._shortest = self._lengths[:, None].masked_fill(~self._same, longest).amin(dim=2)
        self._first = self._same.int().argmax(dim=2) == torch.arange(most, device=device)
        self.totals = (self._shortest * self._first).sum(dim=1)

    def start(self) -> Progress:
        """Return the progress of one hypothesis a sentence before its first token."""
        return Progress(torch.zeros_like(self._lengths), self._lengths == 0)

    def wanted(self, sentence: Tensor, progress: Progress) -> Tensor:
        """Return the token that would bring each phrase on, int64 (rows, ways); -1 for a phrase that is met."""
        tokens = self._tokens[sentence].gather(2, progress.matched[:, :, None])[:, :, 0]
        return tokens.masked_fill(progress.met, -1)

    def advance(self, sentence: Tensor, progress: Progress, tokens: Tensor) -> Progress:
        """Return the progress after each of several next tokens, int64 (rows, choices): (rows, choices, ways)."""
        longest = self._tokens.shape[2]
        equal = self._tokens[sentence, None] == tokens[:, :, None, None]  # (rows, choices, ways, longest)
        kind = equal.int().argmax(dim=-1).masked_fill(~equal.any(dim=-1), longest)
        way = torch.arange(self._tokens.shape[1], device=tokens.device)
        matched = self._next[sentence[:, None, None], way, progress.matched[:, None], kind]
        complete = matched == self._lengths[sentence, None]
        met = progress.met[:, None] | (complete[:, :, None] & self._same[sentence, None]).any(dim=-1)
        return Progress(matched.masked_fill(met, 0), met)

    def missing(self, sentence: Tensor, progress: Progress) -> Tensor:
        """Return how many more tokens bring all phrases in, one phrase after the other: int64 (rows, choices)."""
        shortest = self._shortest[sentence, None].masked_fill(progress.met, 0)
        # What is begun already saves tokens, unless another way is shorter from its beginning.
        saved = shortest - self._lengths[sentence, None] + progress.matched
        return (shortest * self._first[sentence, None]).sum(dim=-1) - saved.amax(dim=-1).clamp(min=0)


def share_beam(totals: Tensor, missing: Tensor, beam_size: int) -> Tensor:
    """Choose candidates from all banks in turn, the best of each first: indices, int64 (batch, beam_size).

    `totals` (batch, candidates) are log-probabilities, minus infinity for none; `missing` int64 of the same shape
    names the banks. In each turn the bank that misses least comes first. A bank that runs out leaves its places to
    the others.
    """
    totals, order = totals.sort(dim=1, descending=True, stable=True)
    missing = missing.gather(1, order)
    banks = int(missing.max()) + 1
    turn = torch.nn.functional.one_hot(missing, banks).cumsum(dim=1).gather(2, missing[:, :, None])[:, :, 0]
    place = (turn * banks + missing).masked_fill(totals == -math.inf, torch.iinfo(torch.int64).max)
    return order.gather(1, place.sort(dim=1, stable=True).indices[:, :beam_size])


@lru_cache(maxsize=1024)  # most sentences of a search, and those after it, require the same
def _automaton(phrase: tuple[int, ...], longest: int) -> tuple[tuple[int, ...], ...]:
    """Return the matched tokens after each matched number and kind of token: (longest, longest + 1), padded with 0.

    A token's kind is the first place where the phrase holds it; `longest` is the kind of all tokens it does not hold.
    """
    table = [[0] * (longest + 1) for _ in range(longest)]
    for matched in range(len(phrase)):
        for kind, token in enumerate(phrase):
            read = (*phrase[:matched], token)
            fits = (size for size in range(len(read), 0, -1) if read[len(read) - size :] == phrase[:size])
            table[matched][kind] = next(fits, 0)
    return tuple(map(tuple, table))
