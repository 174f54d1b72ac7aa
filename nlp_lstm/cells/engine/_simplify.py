"""Fewer operations for the same numbers, where each is a call: for stages in pure torch."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Graph, Node

_aten = torch.ops.aten


def simplify(graph: Graph) -> None:
    """Compute in a graph nothing twice, and a product that is added, together with the sum."""
    _merge_equal(graph)
    for node in list(graph.nodes):
        _add_product(graph, node)
    graph.eliminate_dead_code()


def _merge_equal(graph: Graph) -> None:
    found: dict[Any, Node] = {}
    for node in list(graph.nodes):
        if node.op == "call_function":
            first = found.setdefault((node.target, str(node.args), str(node.kwargs)), node)
            if first is not node:
                node.replace_all_uses_with(first)
                graph.erase_node(node)


def _add_product(graph: Graph, node: Node) -> None:
    """Make x + a * b one operation, where nothing else takes a * b."""
    if node.target not in (_aten.add.Tensor, _aten.sub.Tensor) or node.kwargs or len(node.all_input_nodes) < 2:
        return
    minus = node.target is _aten.sub.Tensor
    pairs = [node.args] if minus else sorted((node.args, node.args[::-1]), key=lambda pair: str(pair[1]), reverse=True)
    for other, product in pairs:
        assert isinstance(product, Node)
        alone = product.target is _aten.mul.Tensor and len(product.users) == 1
        if alone and _same_kind(node, other, *product.args):
            with graph.inserting_before(node):
                arguments = (other, *product.args)
                sum_node = graph.call_function(_aten.addcmul.default, arguments, {"value": -1} if minus else {})
            sum_node.meta = dict(node.meta)
            node.replace_all_uses_with(sum_node)
            graph.erase_node(node)
            graph.erase_node(product)
            return


def _same_kind(*nodes: Any) -> bool:
    """Whether all are tensors with one type of numbers, with a point."""
    kinds = {node.meta["tensor_meta"].dtype if isinstance(node, Node) else None for node in nodes}
    return len(kinds) == 1 and all(kind is not None and kind.is_floating_point for kind in kinds)
