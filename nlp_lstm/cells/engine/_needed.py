"""What of a trace a step computes, where it has each number from, and what of a step forward the one back reads."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable
from typing import Any

import torch
from torch.fx import Node

from nlp_lstm.cells.engine._columns import seen_through
from nlp_lstm.cells.engine._stages import shape
from nlp_lstm.cells.engine._tape import Unsupported
from nlp_lstm.cells.engine._trace import Trace

_aten = torch.ops.aten
_SPLITS: tuple[Any, ...] = (_aten.split.Tensor, _aten.split_with_sizes.default)


class Needed:
    """A trace, looked at from its results.

    `factors` says of each product what it is made of, `sites` its site and whether the matrix is transposed there,
    `biases` of each sum of a product and a parameter which they are: one call makes both. `fixed` are the nodes that
    depend on weights alone, `gradients` those that depend on the gradients that come in.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace, self.rows = trace, trace.rows
        self.factors = {site.product: site.factor for site in trace.sites}
        self.factors |= {site.factor_gradient: site.product_gradient for site in trace.sites}
        self.sites = {site.product: (index, False) for index, site in enumerate(trace.sites)}
        self.sites |= {site.factor_gradient: (index, True) for index, site in enumerate(trace.sites)}
        self.fixed: set[Node] = set(trace.weights)
        for node in trace.graph.nodes:
            if node.op == "call_function" and node not in self.factors and set(node.all_input_nodes) <= self.fixed:
                self.fixed.add(node)
        self.gradients: set[Node] = {trace.output_gradient, *trace.state_gradients}
        for node in trace.graph.nodes:
            if not self.gradients.isdisjoint(node.all_input_nodes):
                self.gradients.add(node)
        self.biases = {node: pair for node in trace.graph.nodes for pair in self._biased(node)}

    def _biased(self, node: Node) -> list[tuple[Node, Node]]:
        if node.target is not _aten.add.Tensor or node.kwargs:
            return []
        found = []
        for product, bias in (node.args, node.args[::-1]):
            if isinstance(product, Node) and isinstance(bias, Node) and product in self.factors and bias in self.fixed:
                users = [user for user in product.users if user.op != "output"]
                if users == [node] and shape(bias) == shape(product)[1:]:
                    found.append((product, bias))
        return found

    def inputs(self, node: Node, given: Collection[Node]) -> list[Node]:
        """List what is read to compute a node, where the `given` are in memory."""
        product = self.biases[node][0] if node in self.biases else node
        if product in self.factors:
            return [self.factors[product]]
        source, _ = self.root(node, given)
        return node.all_input_nodes if source is node else [source]

    def order(self, wanted: Iterable[Node], given: Collection[Node]) -> list[Node]:
        """List, in order, what must be computed for the wanted nodes."""
        found: set[Node] = set()
        waiting = list(wanted)
        while waiting:
            node = waiting.pop()
            if node not in found and node not in given and node not in self.fixed:
                found.add(node)
                waiting += self.inputs(node, given)
        return [node for node in self.trace.graph.nodes if node in found]

    def kept(self, forward: Iterable[Node], back: Iterable[Node], given: Collection[Node]) -> list[Node]:
        """List what a step computes for `forward` that the one back reads; the `given` are kept anyway."""
        made = set(self.order(forward, given=(self.trace.projected, *self.trace.states)))
        made |= {user for node in made for user in node.users if user.target is operator.getitem}
        found: dict[Node, None] = {}
        seen: set[Node] = set()
        waiting = list(back)
        while waiting:
            node = waiting.pop()
            source, _ = self.root(node, given)
            if node in seen or source in given or source in self.fixed:
                continue
            seen.add(node)
            if source in made and has_rows(source, self.rows):
                found[source] = None
            else:
                waiting += self.inputs(node, given)
        return list(found)

    def root(self, node: Node, given: Collection[Node]) -> tuple[Node, int]:
        """Give the node that a view shows columns of, and from which column on; for no view, itself."""
        start = 0
        while node not in given and node not in self.fixed:
            if node.target is operator.getitem and node.args[0].target not in _SPLITS:  # type: ignore[union-attr]
                break
            try:
                seen = seen_through(node, self.rows)
            except (Unsupported, AssertionError):
                break
            if seen is None or not self.is_matrix(node) or not self.is_matrix(seen[0]):
                break
            if seen[1] + shape(node)[1] > shape(seen[0])[1]:  # a column that is repeated
                break
            node, start = seen[0], start + seen[1]
        return node, start

    def is_matrix(self, node: Node) -> bool:
        """Whether a node is one tensor (rows, columns)."""
        return has_rows(node, self.rows) and len(shape(node)) == 2


def has_rows(node: Node, rows: int) -> bool:
    """Whether a node is one tensor (rows, ...)."""
    return "tensor_meta" in node.meta and shape(node)[:1] == (rows,)
