"""Where a step of plain torch writes each result: where it is to be in the end, or memory that is used again."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Node

from nlp_lstm.cells.engine._needed import Needed
from nlp_lstm.cells.engine._stages import Buffer, kind, shape
from nlp_lstm.cells.engine._step import Place, Scratch

_aten = torch.ops.aten


class Places:
    """The places of the results of one step; `order` is what it computes, `wanted` what is read after its end."""

    def __init__(self, needed: Needed, given: dict[Node, Buffer], order: list[Node], wanted: list[Node]) -> None:
        self.needed, self.given, self.order = needed, given, order
        self.found: dict[Node, Place] = {}
        self._computed = {node for node in order if self.root(node)[0] is node}
        self._free: dict[Any, list[Scratch]] = {}
        self._count = 0
        self._ends = self._last_reads(wanted)

    def root(self, node: Node) -> tuple[Node, int]:
        """Give the node that a view shows columns of, and from which column on."""
        return self.needed.root(node, self.given)

    def settle(self, buffer: Buffer, node: Node) -> bool:
        """Let a node be computed in the memory where it is to be in the end; False where that cannot be."""
        if node not in self._computed or node in self.found or kind(node) != torch.float32:  # that of all memory
            return False
        self.found[node] = self.within(buffer, node)
        return True

    def within(self, memory: Buffer, node: Node) -> Place:
        """Give the place in a memory that holds a node from its first column on."""
        return Place(memory, 0, shape(node)[1] if self.needed.is_matrix(node) else None)

    def settle_parts(self, node: Node) -> None:
        """Let the parts of a concatenation be computed in place."""
        along = node.args[1] if len(node.args) > 1 else 0
        if node.target is not _aten.cat.default or not self.needed.is_matrix(node) or along not in (1, -1):
            return
        parts: Any = node.args[0]
        place = self.found.get(node) or self.scratch(node)
        start = place.start
        for part in parts:
            alone = part not in self.found and parts.count(part) == 1
            if part in self._computed and alone and kind(part) == kind(node):
                self.found[part] = Place(place.memory, start, shape(part)[1])
            start += shape(part)[1]

    def scratch(self, node: Node) -> Place:
        """Give a node memory that is free."""
        key = tuple(shape(node)), kind(node)
        if self._free.get(key):
            memory = self._free[key].pop()
        else:
            self._count += 1
            memory = Scratch(self._count, *key)
        self.found[node] = Place(memory, 0, shape(node)[-1])
        return self.found[node]

    def of(self, node: Node) -> Place | None:
        """Give the place of a node, a view of a node, or what is given, if it has one."""
        source, start = self.root(node)
        place = self.within(self.given[source], source) if source in self.given else self.found.get(source)
        if source is node or place is None:
            return place
        return Place(place.memory, place.start + start, shape(node)[1])

    def release(self, node: Node) -> None:
        """Let memory be used again that nothing reads after a node is computed."""
        for one in self._ends.get(node, ()):
            place = self.found.get(one)
            if place is not None and isinstance(place.memory, Scratch):
                self._free.setdefault((place.memory.sizes, place.memory.dtype), []).append(place.memory)

    def _is_repeated(self, read: Node, node: Node) -> bool:
        """Whether a view of one column is read for each column of a node, which then may not be written over it."""
        source, _ = self.root(read)
        return source is not read and shape(read)[1] == 1 != shape(node)[-1]

    def _last_reads(self, wanted: list[Node]) -> dict[Node, list[Node]]:
        last: dict[Node, Node] = {}
        held = {self.root(node)[0] for node in wanted}
        for node in self.order:
            read = [self.root(one)[0] for one in self.needed.inputs(node, self.given)]
            last |= dict.fromkeys(read, node)
            if node.target is _aten.cat.default:  # its parts may be part of its memory
                held |= {node, *read}
            elif node in self._computed and torch.Tag.pointwise not in getattr(node.target, "tags", ()):
                held |= set(read)  # the result may be another view
            else:
                held |= {self.root(one)[0] for one in node.all_input_nodes if self._is_repeated(one, node)}
        ends: dict[Node, list[Node]] = {}
        for node, end in last.items():
            if node not in held:
                ends.setdefault(end, []).append(node)
        return ends
