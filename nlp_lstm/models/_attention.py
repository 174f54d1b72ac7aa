"""Attention: which positions of a memory matter to a query, and what stands there."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nlp_lstm.errors import unknown_name


class Attention(nn.Module):
    """Scores every position of a memory for each query, and averages what stands there by the softmax of the scores.

    queries (batch, queries, query_size) and memory (batch, positions, memory_size) -> context (batch, queries,
    context_size). `prepare` makes of the memory what every query needs, once.
    """

    context_size: int

    def prepare(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Give the keys that queries are held against and the values that are averaged, (batch, positions, ...)."""
        return memory, memory

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """Score every position for every query, (batch, queries, positions)."""
        raise NotImplementedError

    def forward(self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the context and the weights (batch, queries, positions), which sum to one over the positions.

        `mask` (batch, positions) is true where a position may be seen; each row needs one.
        """
        weights = _softmax(self.scores(query, keys), mask.unsqueeze(1))
        return torch.bmm(weights.to(values.dtype), values), weights


def _softmax(scores: Tensor, mask: Tensor) -> Tensor:
    return scores.float().masked_fill(~mask, -math.inf).softmax(dim=-1)


class DotAttention(Attention):
    """score(h_t, h_s) = h_t . h_s (Luong et al. 2015, equation 8, dot); both must have one size."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.context_size = size

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        return torch.bmm(query, keys.transpose(1, 2))


class GeneralAttention(DotAttention):
    """score(h_t, h_s) = h_t . W_a h_s (Luong et al. 2015, equation 8, general)."""

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__(memory_size)
        self.key = nn.Linear(memory_size, query_size, bias=False)

    def prepare(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        return self.key(memory), memory


class AdditiveAttention(Attention):
    """score(s, h) = v . tanh(W s + U h + w c) (Bahdanau et al. 2015, appendix A.1.2).

    c is the position's coverage, the sum of the weights of earlier steps, and w c stands there only with `coverage`
    (See et al. 2017, equation 11). The query is the state after the step's input is read, not the one before it.
    """

    def __init__(self, query_size: int, memory_size: int, coverage: bool = False) -> None:
        super().__init__()
        self.context_size = memory_size
        self.query = nn.Linear(query_size, query_size, bias=False)
        self.key = nn.Linear(memory_size, query_size)
        self.score = nn.Linear(query_size, 1, bias=False)
        self.coverage = nn.Linear(1, query_size, bias=False) if coverage else None

    def prepare(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        return self.key(memory), memory

    def cover(self, keys: Tensor, coverage: Tensor) -> Tensor:
        """Give the keys that say how much attention their positions got: coverage (batch, positions)."""
        assert self.coverage is not None
        covered: Tensor = keys + self.coverage(coverage.unsqueeze(-1))
        return covered

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        hidden = self.query(query).unsqueeze(2) + keys.unsqueeze(1)  # (batch, queries, positions, size)
        scores: Tensor = self.score(hidden.tanh()).squeeze(-1)
        return scores


class ConcatAttention(AdditiveAttention):
    """score(h_t, h_s) = v . tanh(W_a [h_t; h_s]) (Luong et al. 2015, equation 8, concat): as additive, without bias."""

    def __init__(self, query_size: int, memory_size: int, coverage: bool = False) -> None:
        super().__init__(query_size, memory_size, coverage)
        self.key = nn.Linear(memory_size, query_size, bias=False)


class MultiHeadAttention(Attention):
    """Several scaled dot products side by side, each of its own part of the features (Vaswani et al. 2017, 3.2).

    The weights are the mean over the heads.
    """

    def __init__(self, query_size: int, memory_size: int, heads: int) -> None:
        super().__init__()
        self.context_size, self.heads = query_size, heads
        self.query = nn.Linear(query_size, query_size, bias=False)
        self.key = nn.Linear(memory_size, query_size, bias=False)
        self.value = nn.Linear(memory_size, query_size, bias=False)
        self.mix = nn.Linear(query_size, query_size, bias=False)

    def prepare(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        return self.key(memory), self.value(memory)

    def forward(self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        q, k, v = self._split(self.query(query)), self._split(keys), self._split(values)
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])  # (batch, heads, queries, positions)
        weights = _softmax(scores, mask[:, None, None])
        context = (weights.to(v.dtype) @ v).transpose(1, 2).flatten(2)
        return self.mix(context), weights.mean(dim=1)

    def _split(self, x: Tensor) -> Tensor:
        split: Tensor = x.unflatten(2, (self.heads, -1)).transpose(1, 2)  # (batch, heads, length, size / heads)
        return split


def build_attention(name: str, query_size: int, memory_size: int, heads: int = 1, coverage: bool = False) -> Attention:
    """Build the attention of that name: dot, general, concat, additive or multi-head.

    Raises UsageError for another name.
    """
    if name == "multi-head":
        return MultiHeadAttention(query_size, memory_size, heads)
    if name in ("additive", "concat"):
        kind = AdditiveAttention if name == "additive" else ConcatAttention
        return kind(query_size, memory_size, coverage)
    if name == "dot":
        return DotAttention(memory_size)
    if name == "general":
        return GeneralAttention(query_size, memory_size)
    raise unknown_name("attention", name, ("dot", "general", "concat", "additive", "multi-head"))
