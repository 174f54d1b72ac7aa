"""What is alike in writing a piece of a step in any language: which columns are computed from which, by what names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch.fx import Node

from nlp_lstm.cells.engine._columns import Columns, is_row_sum, summands, width
from nlp_lstm.cells.engine._operations import constant_value, template
from nlp_lstm.cells.engine._stages import Buffer, Piece, shape
from nlp_lstm.cells.engine._tape import Unsupported

Place = tuple[Node, int, int]
"""Columns of a node: from an offset on, and how many."""


@dataclass
class Loop:
    """The columns of one width, computed together."""

    width: int
    lines: list[str] = field(default_factory=list)
    stores: list[str] = field(default_factory=list)
    names: dict[Place, str] = field(default_factory=dict)


class PieceWriter:
    """Writes what each target pulls in, each value once; a language says how to load, and how to name a number."""

    def __init__(self, piece: Piece, rows: int) -> None:
        self.piece = piece
        self.columns = Columns(piece.loads, rows)
        self.buffers: list[Buffer] = []
        self.sizes: list[int] = []
        self.count = 0
        self.loops: dict[int, Loop] = {}
        self.single = Loop(1)  # values that a row has one of

    # What a language says

    def load(self, buffer: Buffer, offset: int, loop: Loop) -> str:
        """Give the expression for columns of a buffer, from `offset` on."""
        raise NotImplementedError

    def assignment(self, name: str, text: str) -> str:
        """Give the line that gives an expression a name."""
        raise NotImplementedError

    def number(self, number: float) -> str:
        """Give the expression for a number."""
        raise NotImplementedError

    def operation(self, node: Node) -> tuple[str, list[Any]]:
        """Give the expression of a pointwise operation and what goes into it, nodes or numbers."""
        return template(node)

    def computed(self, place: Place, loop: Loop) -> None:
        """Take note that columns have been computed."""

    # What is written

    def parts(self, buffer: Buffer, node: Node) -> list[tuple[Buffer, Node, int, int]]:
        """List what a target takes: its buffer, a node, an offset in both, and a width. Raises Unsupported."""
        if buffer.name == "weight_gradient":
            return [(buffer, one, start, size) for one in summands(node) for start, size in self.columns.parts(one)]
        if shape(node)[:1] != (self.columns.rows,):
            raise Unsupported(f"a result of the shape {shape(node)}")
        return [(buffer, node, start, size) for start, size in self.columns.parts(node)]

    # What is computed

    def value(self, node: Node, offset: int, loop: Loop) -> str:
        """Give the name of what holds the node's columns from `offset` on in a loop."""
        if width(node) == 1:  # the same for every column beside it
            loop, offset = self.single, 0
        place = (node, offset, loop.width)
        if place not in loop.names:
            text = self.text(node, offset, loop)
            self.count += 1
            loop.lines.append(self.assignment(f"v{self.count}", text))
            loop.names[place] = f"v{self.count}"
            self.computed(place, loop)
        return loop.names[place]

    def text(self, node: Node, offset: int, loop: Loop) -> str:
        """Give the expression for the node's columns. Raises Unsupported."""
        if node in self.piece.loads:
            return self.load(self.piece.loads[node], offset, loop)
        if node.op != "call_function" or is_row_sum(node):
            raise Unsupported(f"the value of {node}")
        number = constant_value(node)
        if number is not None:
            return f"splat({self.number(number)})"
        source = self.columns.at(node, offset)
        if source is not None:
            return self.value(*source, loop) if source[0] is not node else f"splat({self.number(0.0)})"
        text, arguments = self.operation(node)
        return text.format(*(self._argument(one, offset, loop) for one in arguments))

    def _argument(self, argument: Any, offset: int, loop: Loop) -> str:
        return self.value(argument, offset, loop) if isinstance(argument, Node) else self.number(float(argument))

    # Names of what the function is given

    def loop_of(self, size: int) -> Loop:
        """Give the loop over so many columns."""
        return self.single if size == 1 else self.loops.setdefault(size, Loop(size))

    def pointer(self, buffer: Buffer) -> int:
        """Give the number of a buffer among those that the function is given."""
        if buffer not in self.buffers:
            self.buffers.append(buffer)
        return self.buffers.index(buffer)

    def size(self, size: int) -> str:
        """Give the name of a size."""
        if size not in self.sizes:
            self.sizes.append(size)
        return f"s{self.sizes.index(size)}"

    def plus(self, offset: int) -> str:
        """Give what is added to a place for an offset."""
        return f" + {self.size(offset)}" if offset else ""
