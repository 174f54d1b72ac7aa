"""A step of plain torch as a flat list of calls, each of which writes where its result is to be."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch.fx import Graph, GraphModule, Node
from torch.fx.node import map_arg

from nlp_lstm.cells.engine._columns import summands
from nlp_lstm.cells.engine._graphs import on_any_strides, with_kind, with_rows
from nlp_lstm.cells.engine._in_place import in_place
from nlp_lstm.cells.engine._needed import Needed, has_rows
from nlp_lstm.cells.engine._places import Places
from nlp_lstm.cells.engine._sides import Side
from nlp_lstm.cells.engine._stages import Buffer, Stages, shape
from nlp_lstm.cells.engine._step import Input, Multiply, Place, Step, Total
from nlp_lstm.cells.engine._tape import Unsupported

_aten = torch.ops.aten
_INCOMING = ("output_gradient", "carried")
_CLEARED = ("product_gradient", "projected_gradient")  # what is added up over rows later
Carried = tuple[Buffer, Buffer, int]
"""Memory before and after a step that keeps what it holds once a sequence has ended, and its columns."""


class StepWriter:
    """Writes one step of a side; `low` tells memory whose numbers have fewer bits than all else."""

    def __init__(self, needed: Needed, stages: Stages, side: Side, low: Callable[[Buffer], bool]) -> None:
        self.needed, self.stages, self.low, self.given = needed, stages, low, side.given
        self.graph = Graph()
        self.end = self.graph.placeholder("unused")
        self.inputs: dict[Input, Node] = {}
        self.values: dict[Node, Node] = {}
        targets = [target for target in side.targets if target[0].name != "weight_gradient"]
        self.sums = [one for target in side.targets if target not in targets for one in self._sums(*target)]
        self.written = dict(targets)
        self.ragged = False
        self.cleared: dict[Node, Node] = {}
        self.zeros: set[Buffer] = set()
        wanted = [node for _, node in targets] + [node for _, nodes in self.sums for node in nodes]
        self.order = needed.order(wanted, side.given)
        self.places = Places(needed, side.given, self.order, wanted)
        self.waiting = [target for target in targets if low(target[0]) or not self.places.settle(*target)]
        for node in reversed(self.order):
            self.places.settle_parts(node)

    def write(self, carried: list[Carried], ragged: bool) -> Step:
        """Write the step, for sequences of different lengths where it is `ragged`."""
        self._begin(carried, ragged)
        for node in self.order:
            if self.places.root(node)[0] is node:
                self._compute(node)
            else:
                self.places.release(node)
        for buffer, _ in list(self.waiting):
            self._copy(buffer)
        for buffer, node in self.written.items():
            if ragged and buffer.name in _CLEARED:
                self.zeros.add(buffer)
                self._call("masked_fill_", self._input(self.places.within(buffer, node)), self._input("ended"), 0.0)
        for total, nodes in self.sums:
            self._add(total, nodes)
        for before, after, width in carried if ragged else ():
            place = self._input(Place(after, 0, width))
            self._call(torch.where, self._input("ended"), self._input(Place(before, 0, width)), place, out=place)
        self.graph.output(())
        return Step(list(self.inputs), GraphModule(torch.nn.Module(), self.graph).forward)

    def _begin(self, carried: list[Carried], ragged: bool) -> None:
        self.ragged = ragged
        for node, buffer in self.given.items():
            if self.low(buffer) and any(node in self.needed.inputs(one, self.given) for one in self.order):
                self.values[node] = self._call("float", self._read(node))
            if ragged and buffer.name in _INCOMING:  # what no gradient comes into gives none
                self.values[node] = self._call("masked_fill", self._read(node), self._input("ended"), 0.0)
        for _, after, width in carried:
            if after not in self.written:
                self._call("zero_", self._input(Place(after, 0, width)))

    def _input(self, one: Input) -> Node:
        if one not in self.inputs:
            with self.graph.inserting_before(self.end):
                self.inputs[one] = self.graph.placeholder(f"input_{len(self.inputs)}")
        return self.inputs[one]

    def _call(self, function: Any, *args: Any, **kwargs: Any) -> Node:
        write = self.graph.call_method if isinstance(function, str) else self.graph.call_function
        return write(function, args, kwargs)

    def _read(self, node: Node) -> Node:
        """Give what stands for a node of the trace in a call."""
        if node in self.needed.fixed:
            return self._input(node)
        if node not in self.values:
            source, start = self.places.root(node)
            if source in self.values:
                self.values[node] = self._call(torch.narrow, self.values[source], 1, start, shape(node)[1])
            else:
                place = self.places.of(node)
                assert place is not None
                return self._input(place)
        return self.values[node]

    def _clear(self, node: Node) -> Node:
        """Read what is added up over rows: 0 where a sequence has ended, since there it may be no number.

        A step back reads new states, which a sequence that has ended does not take.
        """
        source, _ = self.places.root(node)
        place = None if source in self.values else self.places.of(node)
        if not self.ragged or not has_rows(node, self.needed.rows) or (place and place.memory in self.zeros):
            return self._read(node)
        if node.meta["tensor_meta"].dtype.is_floating_point and node not in self.cleared:
            ended = self._call("view", self._input("ended"), (-1, *(1 for _ in shape(node)[1:])))
            self.cleared[node] = self._call("masked_fill", self._read(node), ended, 0.0)
        return self.cleared.get(node) or self._read(node)

    def _compute(self, node: Node) -> None:
        if node in self.needed.biases or node in self.needed.factors:
            self._multiply(node)
        elif node.target is _aten.cat.default and node in self.places.found:
            self._fill_parts(node)
        else:
            adds = node in self.needed.gradients and not has_rows(node, self.needed.rows)
            read = self._clear if adds else self._read
            args = with_rows(map_arg(node.args, read), self.needed.rows, lambda: self._input("rows"))
            kwargs = with_kind(map_arg(node.kwargs, read), self._input)
            function, name = in_place(node.target)
            if name is None or not self.needed.is_matrix(node):
                self._store(node, self._call(on_any_strides(node.target), *args, **kwargs))
            else:
                self.places.release(node)  # what is computed element by element may write over what it reads
                place = self.places.found.get(node) or self.places.scratch(node)
                self._call(function, *args, **kwargs, **{name: self._input(place)})

    def _multiply(self, node: Node) -> None:
        product, bias = self.needed.biases.get(node, (node, None))
        site, transposed = self.needed.sites[product]
        buffer = (self.stages.product_gradients if transposed else self.stages.factors)[site]
        self._copy(buffer)
        factor = self._input(Place(buffer, 0, shape(self.needed.factors[product])[-1]))
        value = self._call(operator.call, self._input(Multiply(site, transposed, bias)), factor)
        viewed = any(one is not node and self.places.root(one)[0] is node for one in self.order)
        if viewed and node not in self.places.found:  # columns of what is always in one place need no call
            self.places.scratch(node)
        self._store(node, value)

    def _store(self, node: Node, value: Node) -> None:
        if node in self.places.found:
            self._call("copy_", self._input(self.places.found[node]), value)
        else:
            self.values[node] = value

    def _fill_parts(self, node: Node) -> None:
        """Write what parts of a concatenation were not computed in place."""
        place = self.places.found[node]
        start = place.start
        for part in node.args[0]:  # type: ignore[union-attr]
            assert isinstance(part, Node)
            here = Place(place.memory, start, shape(part)[1])
            if self.places.found.get(part) != here:
                self._call("copy_", self._input(here), self._read(part))
            start += shape(part)[1]

    def _copy(self, buffer: Buffer) -> None:
        """Write what is to be in a memory, where it was not computed there."""
        for pair in [pair for pair in self.waiting if pair[0] == buffer]:
            self.waiting.remove(pair)
            self._call("copy_", self._input(self.places.within(buffer, pair[1])), self._read(pair[1]))

    def _sums(self, buffer: Buffer, node: Node) -> list[tuple[Total, list[Node]]]:
        """Say what adds up to the gradient of a weight: one node, or two that are multiplied."""
        size = math.prod(shape(node))
        try:
            parts = summands(node)
        except Unsupported:
            parts = []
        if not parts or any(not self.needed.is_matrix(part) or shape(part)[1] != size for part in parts):
            return [(Total(buffer.index, (size,)), [node])]
        total = Total(buffer.index, (self.needed.rows, size))
        return [(total, part.all_input_nodes if _is_product(part) else [part]) for part in parts]

    def _add(self, total: Total, nodes: list[Node]) -> None:
        place = self._input(Place(total))
        values = [self._clear(node) for node in nodes]
        if len(total.sizes) == 1:
            values = [self._call("reshape", value, -1) for value in values]
        self._call("addcmul_" if len(values) > 1 else "add_", place, *values)


def _is_product(node: Node) -> bool:
    """Whether a node is a product of two others, each element by its own, that one other takes."""
    return node.target is _aten.mul.Tensor and len(node.users) == 1 and len(node.all_input_nodes) == 2
