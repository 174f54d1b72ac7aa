"""A decoder small enough to try every sentence, and the trying: float64 NumPy, nothing shared with the searches."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

from nlp_lstm.decoding import BeamOptions

STATES = 101
END = 1


class TableDecoder:
    """Logits and attention that depend on all tokens so far: a state is a number below 101, which every token changes.

    `sources` are the lengths of the sources; the attention is 0 on padding. `starts` are the sentences' first numbers.
    """

    def __init__(self, seed: int, vocab: int, sources: Sequence[int], starts: Sequence[int] | None = None) -> None:
        random = numpy.random.default_rng(seed)
        logits = random.normal(0, 1.5, (STATES, vocab, vocab))
        self.vocab, self.sources = vocab, list(sources)
        self.starts = list(starts or range(0, 13 * len(sources), 13))
        self.logits = torch.tensor(logits, dtype=torch.float32)
        self.logarithms = logits - numpy.log(numpy.exp(logits).sum(axis=-1, keepdims=True))
        self.weights = random.gamma(0.3, 1.0, (STATES, 8))
        self.rows: list[int] = []

    def start(self) -> tuple[Tensor, Tensor]:
        """Return the first ids and the state, (batch, 2): the number and the length of the source."""
        state = torch.tensor([self.starts, self.sources]).T
        return torch.zeros(len(state), dtype=torch.int64), state

    def step(self, ids: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        self.rows.append(len(ids))
        number = (state[:, 0] * 31 + ids * 7 + 5) % STATES
        return self.logits[number, ids], torch.stack((number, state[:, 1]), dim=1)

    def select(self, state: Tensor, rows: Tensor) -> Tensor:
        return state[rows]

    def attention(self, state: Tensor) -> Tensor:
        width = max(self.sources)
        weights = torch.tensor(self.weights[:, :width])[state[:, 0]] * (torch.arange(width) < state[:, 1:])
        return (weights / weights.sum(dim=1, keepdim=True)).float()

    def numbers(self, sentence: int, tokens: Sequence[int]) -> list[int]:
        """Return the numbers of the states that the choice of each token, and of the one after them, is made in."""
        numbers, number = [], self.starts[sentence]
        for token in [0, *tokens]:
            number = (number * 31 + token * 7 + 5) % STATES
            numbers.append(number)
        return numbers

    def following(self, sentence: int, tokens: Sequence[int]) -> NDArray[numpy.float64]:
        """Return the log-probabilities of what may follow the tokens, (vocab,)."""
        last = tokens[-1] if tokens else 0
        return self.logarithms[self.numbers(sentence, tokens)[-1], last]

    def alone(self, sentence: int, tokens: Sequence[int]) -> tuple[float, NDArray[numpy.float64]]:
        """Return the log-probability of the tokens and the end, and the attention, (tokens + 1, source)."""
        numbers = self.numbers(sentence, tokens)
        total = self.logarithms[numbers, [0, *tokens], [*tokens, END]].sum()
        weights = self.weights[numbers, : self.sources[sentence]]
        return float(total), weights / weights.sum(axis=1, keepdims=True)


class Case(NamedTuple):
    """The conditions of one sentence."""

    limit: int
    prefix: Sequence[int] = ()
    required: Sequence[Sequence[int]] = ()

    def raised_limit(self, options: BeamOptions) -> int:
        return max(self.limit, options.min_length, len(self.prefix) + sum(map(len, {*map(tuple, self.required)})))


def contains(tokens: Sequence[int], phrase: Sequence[int]) -> bool:
    """Tell whether the phrase stands in the tokens without a gap."""
    return any(tuple(tokens[at : at + len(phrase)]) == tuple(phrase) for at in range(len(tokens) - len(phrase) + 1))


def repeats(tokens: Sequence[int], size: int, exempt: int) -> bool:
    """Tell whether an n-gram comes again, at an end that is not among the first, exempt tokens."""
    ngrams = [tuple(tokens[at : at + size]) for at in range(len(tokens) - size + 1)]
    return any(ngrams[at] in ngrams[:at] and at + size > exempt for at in range(len(ngrams)))


def is_allowed(tokens: Sequence[int], options: BeamOptions, case: Case, forbidden: Sequence[int]) -> bool:
    begun, size = len(case.prefix), options.no_repeat_ngram_size
    return (
        list(tokens[:begun]) == list(case.prefix)
        and options.min_length <= len(tokens)
        and set(tokens[begun:]).isdisjoint(forbidden)
        and all(contains(tokens, phrase) for phrase in case.required)
        and not (size and repeats(tokens, size, begun))
    )


def every_sentence(vocab: int, limit: int) -> Iterator[tuple[int, ...]]:
    tokens = [token for token in range(vocab) if token != END]
    return itertools.chain.from_iterable(itertools.product(tokens, repeat=length) for length in range(limit + 1))


def enumerate_best(
    decoder: TableDecoder, sentence: int, options: BeamOptions, case: Case, forbidden: Sequence[int] = ()
) -> list[tuple[list[int], float, float]]:
    """Return ids, score (Wu et al. 2016, equation 14) and log-probability of all allowed sentences, best first."""
    found = []
    for tokens in every_sentence(decoder.vocab, case.raised_limit(options)):
        if is_allowed(tokens, options, case, forbidden):
            total, attention = decoder.alone(sentence, tokens)
            normalizer = (5 + len(tokens) + 1) ** options.length_penalty / (5 + 1) ** options.length_penalty
            covered = sum(math.log(min(max(received, 1e-10), 1.0)) for received in attention.sum(axis=0))
            found.append((list(tokens), total / normalizer + options.coverage_penalty * covered, total))
    return sorted(found, key=lambda one: -one[1])
