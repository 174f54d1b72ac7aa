"""Stages in pure torch, for where there is no compiler, other devices and other types of numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node

from nlp_lstm.cells.engine._products import prepared
from nlp_lstm.cells.engine._stages import Buffer, Memory, Piece, Product, Stages, shape, touched

Parts = dict[Buffer, Tensor]
"""What each buffer holds at a step."""
_ALONG = {"state", "product", "factor"}  # what steps forward make
_BACK = {"output_gradient", "carried", "product_gradient", "factor_gradient", "projected_gradient"}
_INCOMING = ("output_gradient", "carried")


class PlainStages:
    """Stages run by torch's own operations, in the same memory as `NativeStages`."""

    def __init__(self, stages: Stages) -> None:
        self.stages = stages
        self.pieces = {
            (backward, index): _PlainPiece(step, stages.trace.rows, _BACK if backward else _ALONG)
            for backward, steps in ((False, stages.forward), (True, stages.backward))
            for index, step in enumerate(steps)
            if isinstance(step, Piece)
        }

    def run(
        self,
        backward: bool,
        reverse: bool,
        buffers: Mapping[Memory, Tensor],
        sizes: tuple[int, int],
        lengths: Tensor | None,
        threads: int,
    ) -> None:
        """Run over all steps; as `NativeStages.run`."""
        steps = self.stages.backward if backward else self.stages.forward
        kept = _kept(self.stages, backward)
        written = {buffer for step in steps for buffer in (step.targets if isinstance(step, Piece) else [step.result])}
        slots = {buffer: self.stages.slot(buffer, reverse) for step in steps for buffer in touched(step)}
        slots |= {buffer: self.stages.slot(buffer, reverse) for pair in kept for buffer in pair}
        memory = {one: (tensor,) if tensor.dim() == 1 else tensor.unbind() for one, tensor in buffers.items()}
        multiply = {one: _multiplier(one, buffers, sizes[1]) for one in steps if isinstance(one, Product)}
        ahead = {
            index: self.pieces[backward, index].run_ahead(buffers, slots, sizes)
            for index, step in enumerate(steps)
            if isinstance(step, Piece)
        }
        for t in range(sizes[0]) if reverse == backward else reversed(range(sizes[0])):
            at = {}
            for buffer, (shift, period) in slots.items():
                parts = memory[buffer.name, buffer.index]
                at[buffer] = parts[(t + shift) % period if period and len(parts) > 1 else 0]
            before = dict(at)
            ended = None if lengths is None else (t >= lengths).unsqueeze(1)
            if backward and ended is not None:  # what no gradient comes into gives none
                at |= {b: at[b].masked_fill(ended, 0.0) for b in at if b.name in _INCOMING and not b.next}
            for _, target in kept:
                if target not in written:
                    at[target].zero_()
            for index, step in enumerate(steps):
                if isinstance(step, Product):
                    _store(at[step.result], multiply[step](at[step.factor]), step.accumulate)
                else:
                    self.pieces[backward, index].run(at, sizes[1], [one[t] for one in ahead[index]])
            for source, target in kept:
                if ended is not None:
                    at[target].copy_(torch.where(ended, before[source], at[target]))


def _kept(stages: Stages, backward: bool) -> list[tuple[Buffer, Buffer]]:
    """List the buffers that keep what they hold once a sequence has ended: before and after a step."""
    names = [("carried" if backward else "state", index) for index in range(len(stages.trace.states))]
    names += [] if backward else [("factor", index) for index in stages.copies()]
    return [(Buffer(*name), Buffer(*name, next=True)) for name in names]


def _multiplier(step: Product, buffers: Mapping[Memory, Tensor], rows: int) -> Callable[[Tensor], Tensor]:
    factor = buffers[step.factor.name, step.factor.index]
    matrix = buffers["matrix", step.site].to(factor.dtype)
    weight = matrix.t() if step.transposed else matrix
    size = weight.shape[1]
    function = prepared(weight, rows)
    return function if size == factor.shape[-1] else lambda x: function(x[:, :size])


def _store(target: Tensor, value: Tensor, accumulate: bool) -> None:
    if accumulate:
        target.add_(value)
    else:
        target.copy_(value)


class _PlainPiece:
    """A piece in two: what waits for other steps, and what can be computed for all steps ahead."""

    def __init__(self, piece: Piece, rows: int, changing: set[str]) -> None:
        self.piece = piece
        late: set[Node] = {node for node, buffer in piece.loads.items() if buffer.name in changing}
        graph = next(iter(piece.targets.values())).graph
        reached = _between(list(piece.targets.values()), piece.loads)
        for node in graph.nodes:
            if node in reached and any(one in late for one in node.all_input_nodes):
                late.add(node)
        users = {node: [user for user in node.users if user in reached] for node in reached}
        self.ahead = [
            node
            for node in graph.nodes
            if node in reached
            and node not in late
            and _spans(node, rows)
            and (node in piece.targets.values() or any(user in late for user in users[node]))
        ]
        self.first = [node for node in piece.loads if node not in late]
        self.early = graph_function(self.first, self.ahead, rows)
        read = _between(list(piece.targets.values()), {*piece.loads, *self.ahead}, inside=False)
        self.loads = [node for node in piece.loads if node in read]
        self.function = graph_function([*self.loads, *self.ahead], list(piece.targets.values()), rows)

    def run_ahead(
        self, buffers: Mapping[Memory, Tensor], slots: Mapping[Buffer, tuple[int, int]], sizes: tuple[int, int]
    ) -> list[tuple[Tensor, ...]]:
        """Compute, for all steps, what no step changes; give for each result what it is at each step."""
        if not self.ahead:
            return []
        inputs = []
        for node in self.first:
            buffer = self.piece.loads[node]
            memory = buffers[buffer.name, buffer.index]
            shift = slots[buffer][0]
            rows = memory if memory.dim() == 1 else memory[shift : shift + sizes[0]].flatten(0, 1)
            inputs.append(_read(node, rows))
        return [one.unflatten(0, sizes).unbind() for one in self.early(sizes[0] * sizes[1], *inputs)]

    def run(self, at: Parts, rows: int, ahead: list[Tensor]) -> None:
        """Compute a step's targets."""
        values = self.function(rows, *(_read(node, at[self.piece.loads[node]]) for node in self.loads), *ahead)
        for buffer, value in zip(self.piece.targets, values, strict=True):
            if buffer.name == "weight_gradient":
                at[buffer].add_(value.reshape(-1))
            else:
                at[buffer][:, : value.shape[1]].copy_(value)


def _spans(node: Node, rows: int) -> bool:
    return "tensor_meta" in node.meta and shape(node)[:1] == (rows,)


def _read(node: Node, memory: Tensor) -> Tensor:
    """Give what memory holds of a node: without what factors of products are filled up with, and not in 16 bits."""
    if memory.dtype not in (torch.bfloat16, torch.float16):
        return memory
    return memory.float() if memory.dim() == 1 else memory[:, : shape(node)[-1]].float()


def _between(outputs: list[Node], inputs: Any, inside: bool = True) -> set[Node]:
    """Find the nodes that lie between, the outputs with them; the inputs that are read, where not `inside`."""
    found: set[Node] = set()
    read: set[Node] = set()
    waiting = list(outputs)
    while waiting:
        node = waiting.pop()
        if node in inputs:
            read.add(node)
        elif node not in found:
            found.add(node)
            waiting += node.all_input_nodes
    return found if inside else read


def graph_function(inputs: list[Node], outputs: list[Node], rows: int) -> Callable[..., Any]:
    """Make a function of (number of rows, inputs...) out of the part of a graph that lies between."""
    graph = Graph()
    number = graph.placeholder("rows")
    copies: dict[Node, Node] = {node: graph.placeholder(f"input_{index}") for index, node in enumerate(inputs)}
    needed = _between(outputs, copies)
    for node in outputs[0].graph.nodes if outputs else ():
        if node in needed:
            copies[node] = graph.node_copy(node, lambda one: copies[one])
            copies[node].args = _with_rows(copies[node].args, rows, number)
    graph.output([copies[node] for node in outputs])
    return GraphModule(torch.nn.Module(), graph)


def _with_rows(argument: Any, rows: int, number: Node, inside: bool = False) -> Any:
    """Put the number of rows wherever a size says that of the trace."""
    if isinstance(argument, (tuple, list)):
        return type(argument)(_with_rows(one, rows, number, inside or isinstance(argument, list)) for one in argument)
    return number if inside and argument == rows and isinstance(argument, int) else argument
