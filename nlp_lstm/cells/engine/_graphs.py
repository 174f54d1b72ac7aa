"""Parts of a trace as functions of their own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch.fx import Graph, GraphModule, Node


def graph_function(inputs: list[Node], outputs: list[Node], rows: int) -> Callable[..., Any]:
    """Make a function of (number of rows, a tensor, inputs...) out of the part of a graph that lies between.

    What is made without an input has the device of that tensor and, where the trace says fp32, its type of numbers.
    """
    graph = Graph()
    number, like = graph.placeholder("rows"), graph.placeholder("like")
    own = {name: graph.call_function(getattr, (like, name)) for name in ("device", "dtype")}
    copies: dict[Node, Node] = {node: graph.placeholder(f"input_{index}") for index, node in enumerate(inputs)}
    needed = _between(outputs, inputs)
    for node in outputs[0].graph.nodes if outputs else ():
        if node in needed:
            copies[node] = graph.node_copy(node, lambda one: copies[one])
            copies[node].args = with_rows(copies[node].args, rows, lambda: number)
            copies[node].kwargs = with_kind(copies[node].kwargs, lambda name: own[name])
            copies[node].target = on_any_strides(node.target)
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


def with_kind(options: Mapping[str, Any], own: Callable[[str], Node]) -> dict[str, Any]:
    """Put the device, and the type of numbers, of a run wherever options name those of the trace."""
    found = dict(options)
    if found.get("device") is not None:
        found["device"] = own("device")
    if found.get("dtype") is torch.float32:
        found["dtype"] = own("dtype")
    return found


def on_any_strides(target: Any) -> Any:
    """Give an operation that copies where one can take no view: the trace has left out copies."""
    return torch.reshape if target in (torch.ops.aten.view.default, torch.ops.aten._unsafe_view.default) else target
