"""Operations written down as they run: the graph computes, of other numbers, what the program did."""

from __future__ import annotations

import pytest
import torch
from torch.fx import GraphModule
from torch.nn import functional as F

from nlp_lstm.cells.engine._tape import Tape, Unsupported

aten = torch.ops.aten


def record(program, *examples, decompositions=None):
    tape = Tape(decompositions or {})
    tape.take(examples)
    with tape:
        tape.give(program(*examples))
    return tape.graph


def operations(graph):
    return [node.target for node in graph.nodes if node.op == "call_function"]


def with_its_gradient(x, weight):
    x = x.requires_grad_()
    left, right = (x @ weight.t()).tanh().chunk(2, dim=-1)
    (gradient,) = torch.autograd.grad((left * right.sigmoid() + left[:, :1].exp()).sum(), x)
    return [left, None, gradient]


def test_the_graph_computes_what_the_program_did_and_its_gradient(seed):
    graph = record(with_its_gradient, torch.zeros(3, 4), torch.zeros(6, 4))
    generator = torch.Generator().manual_seed(seed)
    x, weight = torch.randn(3, 4, generator=generator), torch.randn(6, 4, generator=generator)
    with torch.no_grad():
        found = GraphModule({}, graph)(x, weight)
    expected = with_its_gradient(x.clone(), weight)
    assert found[1] is None
    assert torch.allclose(found[0], expected[0])
    assert torch.allclose(found[2], expected[2])
    assert found[2].abs().min() > 0


def test_nodes_know_shape_and_type_of_each_result():
    graph = record(lambda x: [part > 0 for part in x.split([1, 3], dim=-1)], torch.zeros(2, 4))
    first, second = graph.output_node().args[0]
    assert [tuple(one.meta["tensor_meta"].shape) for one in (first, second)] == [(2, 1), (2, 3)]
    assert first.meta["tensor_meta"].dtype == torch.bool


def test_an_operation_is_written_as_those_that_it_is_made_of():
    def silu(x):
        return x * torch.sigmoid(x)

    graph = record(lambda x: [F.silu(x)], torch.zeros(2, 4), decompositions={aten.silu.default: silu})
    assert operations(graph) == [aten.sigmoid.default, aten.mul.Tensor]
    assert operations(record(lambda x: [F.silu(x)], torch.zeros(2, 4))) == [aten.silu.default]


@pytest.mark.parametrize("decide", [lambda x: x if x.sum() > 0 else -x, lambda x: x * x.max().item()])
def test_a_decision_by_what_a_tensor_holds_is_refused(decide):
    with pytest.raises(Unsupported, match="by what a tensor holds"):
        record(lambda x: [decide(x)], torch.zeros(2, 4))


def test_a_tensor_from_elsewhere_is_no_input():
    elsewhere = torch.ones(4)
    graph = record(lambda x: [x + elsewhere], torch.zeros(2, 4))
    assert [node.op for node in graph.nodes] == ["placeholder", "get_attr", "call_function", "output"]
