"""Parts of a trace as functions of their own."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch.fx import Graph, GraphModule, Node


def graph_function(inputs: list[Node], outputs: list[Node], rows: int) -> Callable[..., Any]:
    """Make a function of (number of rows, inputs...) out of the part of a graph that lies between."""
    graph = Graph()
    number = graph.placeholder("rows")
    copies: dict[Node, Node] = {node: graph.placeholder(f"input_{index}") for index, node in enumerate(inputs)}
    needed = _between(outputs, inputs)
    for node in outputs[0].graph.nodes if outputs else ():
        if node in needed:
            copies[node] = graph.node_copy(node, lambda one: copies[one])
            copies[node].args = with_rows(copies[node].args, rows, lambda: number)
    graph.output([copies[node] for node in outputs])
    return GraphModule(torch.nn.Module(), graph)


def _between(outputs: list[Node], inputs: Collection[Node]) -> set[Node]:
    """Find the nodes that lie between, the outputs with them."""
    found: set[Node] = set()
    waiting = list(outputs)
    while waiting:
        node = waiting.pop()
        if node not in found and node not in inputs:
            found.add(node)
            waiting += node.all_input_nodes
    return found


def with_rows(argument: Any, rows: int, number: Callable[[], Node], inside: bool = False) -> Any:
    """Put the number of rows wherever a size says that of the trace."""
    if isinstance(argument, (tuple, list)):
        inside = inside or isinstance(argument, list)
        return type(argument)(with_rows(one, rows, number, inside) for one in argument)
    return number() if inside and argument == rows and isinstance(argument, int) else argument
