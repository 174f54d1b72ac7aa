"""Phrases that a sentence must contain: how far each hypothesis is, and which share of the beam it gets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Progress(NamedTuple):
    """How far hypotheses are, for each phrase of their sentence: (..., phrases).

    `matched` int64: how many tokens of the phrase, from its first, the hypothesis ends with; 0 where the phrase is met.
    `met` bool: whether the hypothesis contains the phrase. A place without a phrase is met from the start.
    """

    matched: Tensor
    met: Tensor


class RequiredPhrases:
    """The required phrases of a batch as automata (Knuth, Morris and Pratt 1977), one a phrase, all run at once.

    The number of tokens that a hypothesis still misses says which bank it belongs to. The beam is shared among the
    banks (Post and Vilar 2018, "Fast Lexically Constrained Decoding with Dynamic Beam Allocation", section 3), so that
    hypotheses with more of the phrases are not pushed out by those that avoid them, and cost is that of the beam.

    Attributes:
        totals: int64 (batch,), the tokens of all phrases of each sentence.
    """

    def __init__(self, required: Sequence[Sequence[Sequence[int]]], device: torch.device) -> None:
        # A phrase that is named twice is required once.
        phrases = [list(dict.fromkeys(map(tuple, sentence))) for sentence in required]
        most = max(map(len, phrases))
        longest = max(len(phrase) for sentence in phrases for phrase in sentence)
        padded = [[*sentence, *[()] * (most - len(sentence))] for sentence in phrases]
        tokens = [[[*phrase, *[-1] * (longest - len(phrase))] for phrase in sentence] for sentence in padded]
        self._tokens = torch.tensor(tokens, device=device)  # (batch, phrases, longest)
        self._lengths = torch.tensor([[len(phrase) for phrase in sentence] for sentence in padded], device=device)
        table = [[_automaton(phrase, longest) for phrase in sentence] for sentence in padded]
        self._next = torch.tensor(table, device=device)  # (batch, phrases, matched, kind of token)
        self.totals = self._lengths.sum(dim=1)

    def start(self) -> Progress:
        """Return the progress of one hypothesis a sentence before its first token."""
        return Progress(torch.zeros_like(self._lengths), self._lengths == 0)

    def wanted(self, sentence: Tensor, progress: Progress) -> Tensor:
        """Return the token that would bring each phrase on, int64 (rows, phrases); -1 for a phrase that is met."""
        tokens = self._tokens[sentence].gather(2, progress.matched[:, :, None])[:, :, 0]
        return tokens.masked_fill(progress.met, -1)

    def advance(self, sentence: Tensor, progress: Progress, tokens: Tensor) -> Progress:
        """Return the progress after each of several next tokens, int64 (rows, choices): (rows, choices, phrases)."""
        longest = self._tokens.shape[2]
        equal = self._tokens[sentence, None] == tokens[:, :, None, None]  # (rows, choices, phrases, longest)
        kind = equal.int().argmax(dim=-1).masked_fill(~equal.any(dim=-1), longest)
        phrase = torch.arange(self._tokens.shape[1], device=tokens.device)
        matched = self._next[sentence[:, None, None], phrase, progress.matched[:, None], kind]
        met = progress.met[:, None] | (matched == self._lengths[sentence, None])
        return Progress(matched.masked_fill(met, 0), met)

    def missing(self, sentence: Tensor, progress: Progress) -> Tensor:
        """Return how many more tokens bring all phrases in, one phrase after the other: int64 (rows, choices)."""
        lengths = self._lengths[sentence, None].masked_fill(progress.met, 0)
        return lengths.sum(dim=-1) - progress.matched.amax(dim=-1)


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


def _automaton(phrase: tuple[int, ...], longest: int) -> list[list[int]]:
    """Return the matched tokens after each matched number and kind of token: (longest, longest + 1), padded with 0.

    A token's kind is the first place where the phrase holds it; `longest` is the kind of all tokens it does not hold.
    """
    table = [[0] * (longest + 1) for _ in range(longest)]
    for matched in range(len(phrase)):
        for kind, token in enumerate(phrase):
            read = (*phrase[:matched], token)
            fits = (size for size in range(len(read), 0, -1) if read[len(read) - size :] == phrase[:size])
            table[matched][kind] = next(fits, 0)
    return table
