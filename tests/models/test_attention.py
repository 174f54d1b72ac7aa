"""Every attention against the equations of its paper, written out in NumPy one query and one position at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from nlp_lstm.errors import UsageError
from nlp_lstm.models import Attention, build_attention

BATCH, QUERIES, POSITIONS, QUERY, MEMORY = 3, 4, 5, 6, 8
NAMES = ("dot", "general", "concat", "additive", "multi-head")
Score = Callable[[np.ndarray, np.ndarray], float]


def weight(module: Attention, name: str) -> np.ndarray:
    return dict(module.named_parameters())[name].detach().double().numpy()


def score_of(name: str, module: Attention) -> Score:
    """The score of one query and one position as the paper writes it."""
    if name == "dot":  # Luong et al. 2015, equation 8: h_t . h_s
        return lambda q, h: float(q @ h)
    if name == "general":  # h_t . W_a h_s
        return lambda q, h: float(q @ (weight(module, "key.weight") @ h))
    v = weight(module, "score.weight")[0]
    if name == "concat":  # v . tanh(W_a [h_t; h_s])
        joined = np.concatenate([weight(module, "query.weight"), weight(module, "key.weight")], axis=1)
        return lambda q, h: float(v @ np.tanh(joined @ np.concatenate([q, h])))
    w, u, b = (weight(module, part) for part in ("query.weight", "key.weight", "key.bias"))
    return lambda q, h: float(v @ np.tanh(w @ q + u @ h + b))  # Bahdanau et al. 2015, appendix A.1.2


def attend(scores: np.ndarray, values: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    exponentials = np.exp(scores[:length])
    weights = np.zeros(len(scores))
    weights[:length] = exponentials / exponentials.sum()
    return weights, sum(weights[i] * values[i] for i in range(length))


def inputs(query_size: int) -> tuple[Tensor, Tensor, Tensor, list[int]]:
    lengths = [5, 2, 1]
    mask = torch.arange(POSITIONS) < torch.tensor(lengths)[:, None]
    return torch.randn(BATCH, QUERIES, query_size), torch.randn(BATCH, POSITIONS, MEMORY), mask, lengths


@pytest.mark.parametrize("name", ["dot", "general", "concat", "additive"])
def test_weights_and_context_are_those_of_the_equations(name: str) -> None:
    size = MEMORY if name == "dot" else QUERY
    module = build_attention(name, size, MEMORY)
    query, memory, mask, lengths = inputs(size)
    context, weights = module(query, *module.prepare(memory), mask)
    score = score_of(name, module)
    assert context.shape == (BATCH, QUERIES, module.context_size)
    for row in range(BATCH):
        for step in range(QUERIES):
            q, h = query[row, step].double().numpy(), memory[row].double().numpy()
            expected, average = attend(np.array([score(q, one) for one in h]), h, lengths[row])
            np.testing.assert_allclose(weights[row, step].detach().numpy(), expected, atol=1e-5)
            np.testing.assert_allclose(context[row, step].detach().numpy(), average, atol=1e-5)


def test_multi_head_attention_is_that_of_each_head_mixed() -> None:
    heads, width = 3, 2
    module = build_attention("multi-head", QUERY, MEMORY, heads=heads)
    query, memory, mask, lengths = inputs(QUERY)
    context, weights = module(query, *module.prepare(memory), mask)
    w_q, w_k, w_v, w_o = (weight(module, f"{part}.weight") for part in ("query", "key", "value", "mix"))
    for row in range(BATCH):
        for step in range(QUERIES):
            q, h = query[row, step].double().numpy(), memory[row].double().numpy()
            joined, shares = [], np.zeros(POSITIONS)
            for head in range(heads):
                part = slice(head * width, (head + 1) * width)
                scores = np.array([(w_q @ q)[part] @ (w_k @ one)[part] / np.sqrt(width) for one in h])
                one_head, average = attend(scores, np.array([(w_v @ one)[part] for one in h]), lengths[row])
                joined.append(average)
                shares += one_head / heads
            np.testing.assert_allclose(weights[row, step].detach().numpy(), shares, atol=1e-5)
            np.testing.assert_allclose(context[row, step].detach().numpy(), w_o @ np.concatenate(joined), atol=1e-5)


@pytest.mark.parametrize("name", ["additive", "concat"])
def test_coverage_enters_the_score_as_in_equation_11(name: str) -> None:
    module = build_attention(name, QUERY, MEMORY, coverage=True)
    query, memory, mask, lengths = inputs(QUERY)
    keys, values = module.prepare(memory)
    coverage = torch.rand(BATCH, POSITIONS)
    _, weights = module(query[:, :1], module.cover(keys, coverage), values, mask)
    v, w, u, w_c = (weight(module, f"{part}.weight") for part in ("score", "query", "key", "coverage"))
    b = weight(module, "key.bias") if name == "additive" else 0.0
    for row in range(BATCH):
        q, h = query[row, 0].double().numpy(), memory[row].double().numpy()
        scores = [
            v[0] @ np.tanh(w @ q + u @ one + w_c[:, 0] * float(covered) + b)
            for one, covered in zip(h, coverage[row], strict=True)
        ]
        expected, _ = attend(np.array(scores), h, lengths[row])
        np.testing.assert_allclose(weights[row, 0].detach().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_masked_changes_nothing(name: str) -> None:
    size = MEMORY if name == "dot" else QUERY
    module = build_attention(name, size, MEMORY, heads=2)
    query, memory, mask, _ = inputs(size)
    results = []
    for filler in (0.0, 1e4):
        filled = memory.masked_fill(~mask.unsqueeze(-1), filler)
        results.append(module(query, *module.prepare(filled), mask))
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)
    assert (results[0][1][~mask.unsqueeze(1).expand(-1, QUERIES, -1)] == 0).all()


def test_an_unknown_attention_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no attention named 'dots'. Did you mean 'dot'\?"):
        build_attention("dots", 4, 4)
