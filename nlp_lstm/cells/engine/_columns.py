"""Where the columns of a node in a piece's graph come from: through views, concatenations and sums over a row."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Collection, Sequence

import torch
from torch.fx import Node

from nlp_lstm.cells.engine._operations import RESHAPING
from nlp_lstm.cells.engine._stages import shape
from nlp_lstm.cells.engine._tape import Unsupported

_aten = torch.ops.aten
_SPLITS = {_aten.split.Tensor, _aten.split_with_sizes.default}


def width(node: Node) -> int:
    """Give the number of columns; a number alone has one."""
    return (shape(node) or (1,))[-1]


def is_row_sum(node: Node) -> bool:
    """Whether a node is a sum or mean over each row."""
    if node.target not in (_aten.sum.dim_IntList, _aten.mean.dim):
        return False
    dimensions = len(shape(_source(node)))
    return dimensions == 2 and list(node.args[1]) in ([-1], [1])  # type: ignore[arg-type]


def summands(node: Node) -> list[Node]:
    """List the nodes whose sums over all rows add up to a parameter's gradient. Raises Unsupported for another form."""
    if node.target in RESHAPING:
        return summands(_source(node))
    if node.target is _aten.add.Tensor and not node.kwargs:
        return [one for argument in node.args if isinstance(argument, Node) for one in summands(argument)]
    if node.target is _aten.sum.dim_IntList:
        dimensions, source = list(node.args[1]), _source(node)  # type: ignore[arg-type]
        if dimensions == [0] or (dimensions == [0, 1] and width(source) == 1):
            return [source]
    raise Unsupported(f"the gradient of a parameter by {node.target}")


def seen_through(node: Node, rows: int) -> tuple[Node, int] | None:
    """Give what a view shows, and from which column on; None where the node is no view."""
    if node.target is operator.getitem:
        return _part(node)
    if node.target is _aten.slice.Tensor:
        source = _source(node)
        if shape(source) == shape(node):
            return source, 0
        start = node.args[2] if len(node.args) > 2 else 0
        assert isinstance(start, int)
        if _is_last(node, 1, source) and (len(node.args) < 5 or node.args[4] == 1):
            return source, max(0, start + width(source)) if start < 0 else start
    if node.target in RESHAPING:
        source = _source(node)
        as_many_rows = shape(source)[:1] == (rows,) or shape(node)[:1] != (rows,)
        if width(source) == width(node) or (as_many_rows and width(source) == 1):
            return source, 0
    return None


def _part(node: Node) -> tuple[Node, int]:
    source, index = node.args
    assert isinstance(source, Node)
    assert isinstance(index, int)
    if source.target is _aten.log_sigmoid_forward.default and index == 0:
        return source, 0
    if source.target in _SPLITS:
        whole, sizes = _source(source), source.args[1]
        if _is_last(source, 2, whole):
            return whole, index * sizes if isinstance(sizes, int) else sum(sizes[:index])  # type: ignore[index, arg-type]
    raise Unsupported(f"a part of {source.target}")


def _source(node: Node) -> Node:
    source = node.args[0]
    assert isinstance(source, Node)
    return source


def _is_last(node: Node, position: int, source: Node) -> bool:
    """Whether the dimension that the argument at `position` names is the last."""
    dimension = node.args[position] if len(node.args) > position else 0
    return dimension in (-1, len(shape(source)) - 1)


class Columns:
    """The graph of one piece, seen column by column; `loads` are the nodes that are read from memory."""

    def __init__(self, loads: Collection[Node], rows: int) -> None:
        self.loads, self.rows = loads, rows
        self._levels: dict[Node, int] = {}

    def level(self, node: Node) -> int:
        """Give how many passes over a row must come before the node can be computed."""
        if node in self.loads:
            return 0
        if node not in self._levels:
            below = max((self.level(one) for one in node.all_input_nodes), default=0)
            self._levels[node] = below + is_row_sum(node)
        return self._levels[node]

    def row_sums(self, nodes: Sequence[Node]) -> list[Node]:
        """List the sums over a row that computing the nodes needs."""
        found: dict[Node, None] = {}
        seen: set[Node] = set()
        waiting = list(nodes)
        while waiting:
            node = waiting.pop()
            if node not in seen and node not in self.loads:
                seen.add(node)
                if is_row_sum(node):
                    found[node] = None
                waiting += node.all_input_nodes
        return list(found)

    def parts(self, node: Node) -> list[tuple[int, int]]:
        """Cut a node's columns where their source changes: offsets and widths."""
        cuts = sorted(self._cuts(node) | {0, width(node)})
        return [(start, end - start) for start, end in itertools.pairwise(cuts)]

    def _cuts(self, node: Node) -> set[int]:
        if node in self.loads or is_row_sum(node) or width(node) == 1 or node.op != "call_function":
            return set()
        if node.target is _aten.cat.default:
            found: set[int] = set()
            position = 0
            for one in node.args[0]:  # type: ignore[union-attr]
                assert isinstance(one, Node)
                found |= {position} | {position + cut for cut in self._cuts(one)}
                position += width(one)
            return found
        if node.target is _aten.slice_backward.default:
            inner, start = _source(node), node.args[3]
            assert isinstance(start, int)
            return {start, start + width(inner)} | {start + cut for cut in self._cuts(inner)}
        view = seen_through(node, self.rows)
        if view is not None:
            return {cut - view[1] for cut in self._cuts(view[0]) if view[1] < cut < view[1] + width(node)}
        return {cut for one in node.all_input_nodes if width(one) == width(node) for cut in self._cuts(one)}

    def at(self, node: Node, offset: int) -> tuple[Node, int] | None:
        """Give the node and its column that a column of a view or a concatenation is; None for no such node.

        A column that nothing stands behind gives the node itself: it is 0.
        """
        if node.target is _aten.cat.default:
            position = 0
            for one in node.args[0]:  # type: ignore[union-attr]
                assert isinstance(one, Node)
                if offset < position + width(one):
                    return one, offset - position
                position += width(one)
        if node.target is _aten.slice_backward.default:
            inner, start = _source(node), node.args[3]
            assert isinstance(start, int)
            return (inner, offset - start) if start <= offset < start + width(inner) else (node, offset)
        view = seen_through(node, self.rows)
        return None if view is None else (view[0], view[1] + offset)
