"""C++ for a piece of a step: one pass over each row wherever the equations allow it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx import Node

from nlp_lstm.cells.engine._columns import Columns, is_row_sum, summands
from nlp_lstm.cells.engine._operations import EXPENSIVE, constant_value, template
from nlp_lstm.cells.engine._stages import Buffer, Piece, shape
from nlp_lstm.cells.engine._tape import Unsupported

_aten = torch.ops.aten
_INLINE_NUMBERS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
Place = tuple[Node, int, int]
"""Columns of a node: from an offset on, and how many."""


@dataclass(frozen=True)
class PieceSource:
    """The text of a function, and what it is to be called with; see `Piece` in time_loop.cpp.

    The text names no size, so that one compiled function serves all of a cell's sizes.
    """

    text: str
    buffers: list[Buffer]
    sizes: list[int]
    numbers: list[float]
    scratch: int
    """Floats that a thread needs beside."""


@dataclass
class _Loop:
    """One pass of the columns of one width, in one pass over the row."""

    width: int
    lines: list[str] = field(default_factory=list)
    stores: list[str] = field(default_factory=list)
    names: dict[Place, str] = field(default_factory=dict)


def piece_source(name: str, piece: Piece, rows: int, is_half: Callable[[Buffer], bool]) -> PieceSource:
    """Write the function `name` for a piece; `is_half` says which buffers hold bfloat16. Raises Unsupported."""
    kept: set[Place] = set()
    while True:
        writer = _Writer(piece, rows, is_half, kept)
        text = writer.write(name)
        again = {place for place, passes in writer.computed.items() if len(passes) > 1} - kept
        if not again:
            break
        kept |= again
    unread = kept - writer.read_again
    if unread:
        writer = _Writer(piece, rows, is_half, kept - unread)
        text = writer.write(name)
    return PieceSource(text, writer.buffers, writer.sizes, writer.numbers, writer.scratch)


class _Writer:
    """Writes what each target pulls in. A row is gone over once, and once more for each sum over it that is needed."""

    def __init__(self, piece: Piece, rows: int, is_half: Callable[[Buffer], bool], kept: set[Place]) -> None:
        self.piece, self.is_half, self.kept = piece, is_half, kept
        self.columns = Columns(piece.loads, rows)
        self.buffers: list[Buffer] = []
        self.sizes: list[int] = []
        self.numbers: list[float] = []
        self.scratch = 0
        self.places: dict[Place, int] = {}  # in the scratch memory
        self.computed: dict[Place, set[int]] = {}
        self.read_again: set[Place] = set()
        self.count = 0
        self.number = 0  # of the pass over the row
        self.loops: dict[int, _Loop] = {}
        self.single = _Loop(1)  # values that a row has one of
        self.sums: dict[Node, str] = {}

    def write(self, name: str) -> str:
        """Give the whole function."""
        stores = [store for buffer, node in self.piece.targets.items() for store in self._stores(buffer, node)]
        sums = self.columns.row_sums([node for _, node, *_ in stores])
        last = max([self.columns.level(node) for _, node, *_ in stores], default=0)
        body: list[str] = []
        for self.number in range(last + 1):
            self.loops, self.single.lines, self.single.stores = {}, [], []
            closing = []
            for node in sums:
                if self.columns.level(node) == self.number + 1:
                    closing += self._sum(node)
            for buffer, node, start, size in stores:
                if self.columns.level(node) == self.number:
                    self._store(buffer, node, start, size)
            body += [*self.single.lines, *(line for loop in self.loops.values() for line in self._loop(loop))]
            body += [*self.single.stores, *closing]
        pointers = [
            f"auto* p{index} = reinterpret_cast<{self._element(buffer)}*>(data[{index}]) + r * row[{index}];"
            for index, buffer in enumerate(self.buffers)
        ]
        sizes = [f"  const int64_t s{index} = size[{index}];" for index in range(len(self.sizes))]
        numbers = [f"  const float k{index} = number[{index}];" for index in range(len(self.numbers))]
        head = (
            f'extern "C" void {name}(char* const* data, const int64_t* row, const int64_t* size, const float* number, '
            "float* scratch, int64_t begin, int64_t end) {"
        )
        lines = [head, *sizes, *numbers, "  for (int64_t r = begin; r < end; ++r) {"]
        return "\n".join([*lines, *("    " + line for line in [*pointers, *body]), "  }", "}"])

    def _element(self, buffer: Buffer) -> str:
        return "bfloat16" if self.is_half(buffer) else "float"

    def _loop(self, loop: _Loop) -> list[str]:
        width = self._size(loop.width)
        inside = ["  " + line for line in [*loop.lines, *loop.stores]]
        return [
            "{",
            "auto columns = [&](int64_t j, auto part) __attribute__((always_inline)) {",
            *inside,
            "};",
            "int64_t j = 0;",
            f"for (; j + LANES <= {width}; j += LANES) columns(j, Full{{}});",
            f"if (j < {width}) columns(j, Part{{{width} - j}});",
            "}",
        ]

    # What is written

    def _stores(self, buffer: Buffer, node: Node) -> list[tuple[Buffer, Node, int, int]]:
        """List what a target takes: its buffer, a node, an offset in both, and a width."""
        if buffer.name == "weight_gradient":
            return [(buffer, one, start, size) for one in summands(node) for start, size in self.columns.parts(one)]
        if shape(node)[:1] != (self.columns.rows,):
            raise Unsupported(f"a result of the shape {shape(node)}")
        return [(buffer, node, start, size) for start, size in self.columns.parts(node)]

    def _store(self, buffer: Buffer, node: Node, start: int, size: int) -> None:
        loop = self._loop_of(size)
        value = self._value(node, start, loop)
        place = f"p{self._pointer(buffer)}{self._plus(start)}"
        function, end = ("store_one", "") if loop is self.single else ("store", ", part")
        if loop is not self.single:
            place += " + j"
        if buffer.name == "weight_gradient":
            value = f"{value} + {'load_one' if loop is self.single else 'load'}({place}{end})"
        loop.stores.append(f"{function}({place}, {value}{end});")

    def _sum(self, node: Node) -> list[str]:
        """Write the sum over each row of a node's argument; give the lines that close it."""
        name = self.sums[node] = f"sum{len(self.sums)}"
        source: Node = node.args[0]  # type: ignore[assignment]
        self.single.lines.append(f"Vector {name} = splat(0.0f);")
        parts = self.columns.parts(source)
        alone = [f"{name} = sum_of_lanes({name});"] if any(width > 1 for _, width in parts) else []
        for start, width in parts:
            loop = self._loop_of(width)
            value = self._value(source, start, loop)
            if loop is self.single:
                alone.append(f"{name} += {value};")
            else:
                loop.lines.append(f"{name} += only({value}, part);")
        if node.target is _aten.mean.dim:
            alone.append(f"{name} = {name} / float({self._size(shape(source)[-1])});")
        return alone

    # What is computed

    def _value(self, node: Node, offset: int, loop: _Loop) -> str:
        """Give the name of what holds the node's columns from `offset` on in a loop."""
        if node in self.sums:
            return self.sums[node]
        if loop is not self.single and (shape(node) or (1,))[-1] == 1:
            loop, offset = self.single, 0
        place = (node, offset, loop.width)
        if place not in loop.names:
            loop.names[place] = self._named(self._text(node, offset, loop), loop)
            if node.target in EXPENSIVE and loop is not self.single:
                self.computed.setdefault(place, set()).add(self.number)
                if place in self.kept and place not in self.places:
                    self.places[place] = self.scratch
                    self.scratch += loop.width
                    loop.lines.append(f"store({self._kept(place)}, {loop.names[place]}, part);")
        return loop.names[place]

    def _kept(self, place: Place) -> str:
        return f"scratch{self._plus(self.places[place])} + j"

    def _named(self, text: str, loop: _Loop) -> str:
        self.count += 1
        loop.lines.append(f"auto v{self.count} = {text};")
        return f"v{self.count}"

    def _text(self, node: Node, offset: int, loop: _Loop) -> str:
        if node in self.piece.loads:
            at = f"p{self._pointer(self.piece.loads[node])}{self._plus(offset)}"
            return f"load_one({at})" if loop is self.single else f"load({at} + j, part)"
        place = (node, offset, loop.width)
        if place in self.places:
            self.read_again.add(place)
            return f"load({self._kept(place)}, part)"
        if node.op != "call_function" or is_row_sum(node):
            raise Unsupported(f"the value of {node}")
        number = constant_value(node)
        if number is not None:
            return f"splat({self._number(number)})"
        source = self.columns.at(node, offset)
        if source is not None:
            return self._value(*source, loop) if source[0] is not node else "splat(0.0f)"
        text, arguments = template(node)
        return text.format(*(self._argument(one, offset, loop) for one in arguments))

    def _argument(self, argument: Any, offset: int, loop: _Loop) -> str:
        return self._value(argument, offset, loop) if isinstance(argument, Node) else self._number(float(argument))

    # Names of what the function is given

    def _loop_of(self, width: int) -> _Loop:
        return self.single if width == 1 else self.loops.setdefault(width, _Loop(width))

    def _pointer(self, buffer: Buffer) -> int:
        if buffer not in self.buffers:
            self.buffers.append(buffer)
        return self.buffers.index(buffer)

    def _size(self, size: int) -> str:
        if size not in self.sizes:
            self.sizes.append(size)
        return f"s{self.sizes.index(size)}"

    def _plus(self, offset: int) -> str:
        return f" + {self._size(offset)}" if offset else ""

    def _number(self, number: float) -> str:
        if number in _INLINE_NUMBERS:
            return f"{number}f"
        if number not in self.numbers:
            self.numbers.append(number)
        return f"k{self.numbers.index(number)}"
