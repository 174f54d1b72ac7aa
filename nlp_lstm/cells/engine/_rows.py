"""Numbers of rows that stand for a batch in a trace: every size that says so, and no other, is to follow the batch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection
from typing import Any

from torch.fx import Graph, Node

from nlp_lstm.cells.engine._tape import Unsupported

_ROWS = (5, 7, 11, 13, 17, 19, 23, 29, 31)
_ATTEMPTS = 4


def with_distinct_rows(record: Callable[[int], Graph], sizes: Collection[int]) -> tuple[int, Graph]:
    """Record a graph with a number of rows that is no other size in it.

    Recorded with another number it must be the same but for that number: a half of 10 columns is 5, and would pass for
    5 rows. Raises Unsupported where there is no such number, or where an operation takes the number of rows as such.
    """
    numbers = [number for number in _ROWS if number not in sizes][: _ATTEMPTS + 1]
    following = map(record, numbers[1:])
    graph = record(numbers[0])
    for (rows, other_rows), other in zip(itertools.pairwise(numbers), following, strict=True):
        found = _described(graph, rows)
        if found == _described(other, other_rows):
            if any(value == "rows" for *_, arguments, options in found for value in (*arguments, *options.values())):
                raise Unsupported("an operation that takes the number of rows of a batch")
            return rows, graph
        graph = other
    raise Unsupported("sizes that do not follow from those of its inputs")


def _described(graph: Graph, rows: int) -> list[Any]:
    """Say what a graph does, with a word for the number of rows."""
    metas = [node.meta.get("tensor_meta") for node in graph.nodes]
    shapes = [None if meta is None else _marked(list(meta.shape), rows) for meta in metas]
    return [
        (node.name, str(node.target), shape, _marked(node.args, rows), _marked(node.kwargs, rows))
        for node, shape in zip(graph.nodes, shapes, strict=True)
    ]


def _marked(value: Any, rows: int) -> Any:
    if isinstance(value, (list, tuple)):
        return [_marked(one, rows) for one in value]
    if isinstance(value, dict):
        return {name: _marked(one, rows) for name, one in value.items()}
    if isinstance(value, int) and not isinstance(value, bool):
        return "rows" if value == rows else value
    return value.name if isinstance(value, Node) else repr(value)
