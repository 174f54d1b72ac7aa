"""Back pointers: what each step appended to which hypothesis, read out once at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate

import torch
from torch import Tensor


@dataclass(frozen=True)
class Hypothesis:
    """A finished sentence.

    Attributes:
        ids: The tokens, without the end of sentence.
        score: What the hypotheses of a sentence are ranked by; see BeamOptions.
        log_probability: Natural logarithm of the probability of the tokens and the end of sentence.
        attention: fp32 (tokens, source length), the attention with which each token was chosen; None for a decoder
            without one.
        cut: Whether the limit of length ended it, where a token was likelier than the end.
    """

    ids: list[int]
    score: float
    log_probability: float
    attention: Tensor | None = field(default=None, compare=False)
    cut: bool = False


class Trace:
    """The steps of a search. Each has its own rows; `parents` says which row of the step before each one extends."""

    def __init__(self) -> None:
        self._parents: list[Tensor] = []
        self._tokens: list[Tensor] = []
        self._attention: list[Tensor] = []

    def append(self, parents: Tensor, tokens: Tensor, attention: Tensor | None) -> None:
        """Note a step: parents and tokens, int64 (rows,), and the attention of the rows before, (rows, source)."""
        self._parents.append(parents)
        self._tokens.append(tokens)
        if attention is not None:
            self._attention.append(attention)

    def read(
        self, ends: list[tuple[int, int]], source_lengths: list[int] | None
    ) -> list[tuple[list[int], Tensor | None]]:
        """Return ids and attention of the hypotheses that end at (number of tokens, row), in the order given.

        `source_lengths`, one a hypothesis, cut the attention.
        """
        parents = [step.tolist() for step in self._parents]
        tokens = [step.tolist() for step in self._tokens]
        all_ids, paths = [], []
        for length, row in ends:
            ids, path = [], []
            for step in range(length - 1, -1, -1):
                ids.append(tokens[step][row])
                row = parents[step][row]
                path.append(row)
            all_ids.append(ids[::-1])
            paths.append(path[::-1])
        attention = self._read_attention(paths) if self._attention else [None] * len(ends)
        if source_lengths is not None:
            attention = [
                None if weights is None else weights[:, :length]
                for weights, length in zip(attention, source_lengths, strict=True)
            ]
        return list(zip(all_ids, attention, strict=True))

    def _read_attention(self, paths: list[list[int]]) -> list[Tensor | None]:
        starts = [0, *accumulate(len(step) for step in self._attention)]
        places = [starts[step] + row for path in paths for step, row in enumerate(path)]
        weights = torch.cat(self._attention).float()[torch.tensor(places, dtype=torch.int64)]
        return list(weights.split([len(path) for path in paths]))
