"""What values may be where a program holds a row of the batch: checked here, since a GPU would not complain."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch.fx import Node

from nlp_lstm.cells.engine._operations import RESHAPING, constant_value
from nlp_lstm.cells.engine._stages import kind, shape
from nlp_lstm.cells.engine._tape import Unsupported

_aten = torch.ops.aten
_ON_TRUTH = {
    *(_aten.logical_not.default, _aten.logical_and.default, _aten.logical_or.default),
    *(_aten.bitwise_not.default, _aten.bitwise_and.Tensor, _aten.bitwise_or.Tensor),
}
_CONDITIONS: dict[Any, int] = {_aten.where.self: 0, _aten.masked_fill.Scalar: 1, _aten.masked_fill.Tensor: 1}
_CONVERSIONS = {_aten._to_copy.default, torch.ops.prims.convert_element_type.default}
_SUMS = {_aten.add.Tensor, _aten.sub.Tensor}
_LINEAR: dict[Any, set[int]] = {  # operations, and the arguments in each of which alone they are linear
    **{one: {0} for one in (*RESHAPING, *_CONVERSIONS, _aten.neg.default, _aten.slice_backward.default)},
    **{one: {0, 1} for one in (_aten.mul.Tensor, _aten.mul.Scalar)},
    **{one: {0} for one in (_aten.div.Tensor, _aten.div.Scalar)},
}


def source(node: Node) -> Node:
    """Give the first argument."""
    first = node.args[0]
    assert isinstance(first, Node)
    return first


def summed(node: Node, rows: int) -> set[int]:
    """Give the dimensions that a node sums (rows, columns) over; none where it is no such sum."""
    if node.target is not _aten.sum.dim_IntList or len(shape(source(node))) != 2 or shape(source(node))[0] != rows:
        return set()
    return {place % 2 for place in node.args[1]}  # type: ignore[union-attr, operator, misc]


def check_row(node: Node, rows: int) -> None:
    """Raise Unsupported for what is no row of fp32 for each row of the batch, or for all, nor a truth about one."""
    if "tensor_meta" not in node.meta:  # the two results of an operation, of which one is taken
        return
    leading = shape(node)[:-1]
    if shape(node) == (rows,) or any(size != 1 and (place, size) != (0, rows) for place, size in enumerate(leading)):
        raise Unsupported(f"a value of the shape {shape(node)}")
    kinds = [kind(node), *(kind(one) for one in node.all_input_nodes if node.target is _aten.cat.default)]
    if kinds[0] not in (torch.float32, torch.bool) or len(set(kinds)) > 1:
        raise Unsupported(f"numbers of {kinds}")
    if kinds[0] == torch.bool and constant_value(node) is not None:
        raise Unsupported("a constant truth")


def check_arguments(node: Node) -> None:
    """Raise Unsupported where an operation takes truths for numbers, or numbers for truths."""
    condition = _CONDITIONS.get(node.target)
    for place, one in enumerate(node.args):
        if isinstance(one, Node):
            expected = torch.bool if node.target in _ON_TRUTH or place == condition else torch.float32
            if kind(one) != expected and node.target not in _CONVERSIONS:
                raise Unsupported(f"{node.target} of {kind(one)}")
    if node.target in _CONVERSIONS and kind(node) != torch.float32:
        raise Unsupported(f"a conversion to {kind(node)}")


class BatchSums:
    """The sums over the batch in what a piece computes from its loads: allowed in gradients of parameters alone."""

    def __init__(self, loads: Collection[Node], rows: int) -> None:
        self.rows = rows
        self._found = dict.fromkeys(loads, False)

    def check_none(self, node: Node) -> None:
        """Raise Unsupported where a node depends on such a sum."""
        if self._within(node):
            raise Unsupported("a sum over the batch")

    def check_linear(self, node: Node) -> None:
        """Raise Unsupported unless a node is linear in such sums: then what each row alone gives adds up to it."""
        if 0 in summed(node, self.rows):
            self.check_none(source(node))
            return
        among = {place: one for place, one in enumerate(node.args) if isinstance(one, Node) and self._within(one)}
        both = node.target in _SUMS and len(among) == 2
        if not both and not (len(among) == 1 and among.keys() <= _LINEAR.get(node.target, set())):
            raise Unsupported(f"the gradient of a parameter by {node.target}")
        for one in among.values():
            self.check_linear(one)

    def _within(self, node: Node) -> bool:
        if node not in self._found:
            below = [self._within(one) for one in node.all_input_nodes]
            self._found[node] = any(below) or 0 in summed(node, self.rows)
        return self._found[node]
