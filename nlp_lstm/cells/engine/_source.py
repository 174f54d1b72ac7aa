"""C++ for a piece of a step: one pass over each row wherever the equations allow it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.fx import Node

from nlp_lstm.cells.engine._operations import EXPENSIVE
from nlp_lstm.cells.engine._stages import Buffer, Piece, shape
from nlp_lstm.cells.engine._writing import Loop, PieceWriter, Place

_aten = torch.ops.aten
_INLINE_NUMBERS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)


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


def piece_source(name: str, piece: Piece, rows: int, is_half: Callable[[Buffer], bool]) -> PieceSource:
    """Write the function `name` for a piece; `is_half` says which buffers hold bfloat16. Raises Unsupported."""
    kept: set[Place] = set()
    while True:
        writer = _Writer(piece, rows, is_half, kept)
        text = writer.write(name)
        again = {place for place, passes in writer.passes.items() if len(passes) > 1} - kept
        if not again:
            break
        kept |= again
    unread = kept - writer.read_again
    if unread:
        writer = _Writer(piece, rows, is_half, kept - unread)
        text = writer.write(name)
    return PieceSource(text, writer.buffers, writer.sizes, writer.numbers, writer.scratch)


class _Writer(PieceWriter):
    """Writes a function. A row is gone over once, and once more for each sum over it that is needed."""

    def __init__(self, piece: Piece, rows: int, is_half: Callable[[Buffer], bool], kept: set[Place]) -> None:
        super().__init__(piece, rows)
        self.is_half, self.kept = is_half, kept
        self.numbers: list[float] = []
        self.scratch = 0
        self.places: dict[Place, int] = {}  # in the scratch memory
        self.passes: dict[Place, set[int]] = {}  # in which a value is computed
        self.read_again: set[Place] = set()
        self.turn = 0  # the number of the pass over the row
        self.sums: dict[Node, str] = {}

    def write(self, name: str) -> str:
        """Give the whole function."""
        stores = [store for buffer, node in self.piece.targets.items() for store in self.parts(buffer, node)]
        sums = self.columns.row_sums([node for _, node, *_ in stores])
        last = max([self.columns.level(node) for _, node, *_ in stores], default=0)
        body: list[str] = []
        for self.turn in range(last + 1):
            self.loops, self.single.lines, self.single.stores = {}, [], []
            closing = []
            for node in sums:
                if self.columns.level(node) == self.turn + 1:
                    closing += self._sum(node)
            for buffer, node, start, size in stores:
                if self.columns.level(node) == self.turn:
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

    def _loop(self, loop: Loop) -> list[str]:
        width = self.size(loop.width)
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

    def _store(self, buffer: Buffer, node: Node, start: int, size: int) -> None:
        loop = self.loop_of(size)
        value = self.value(node, start, loop)
        place = f"p{self.pointer(buffer)}{self.plus(start)}"
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
            loop = self.loop_of(width)
            value = self.value(source, start, loop)
            if loop is self.single:
                alone.append(f"{name} += {value};")
            else:
                loop.lines.append(f"{name} += only({value}, part);")
        if node.target is _aten.mean.dim:
            alone.append(f"{name} = {name} / float({self.size(shape(source)[-1])});")
        return alone

    # What is computed

    def value(self, node: Node, offset: int, loop: Loop) -> str:
        """Give the name of what holds columns; a sum over the row has its own."""
        return self.sums.get(node) or super().value(node, offset, loop)

    def computed(self, place: Place, loop: Loop) -> None:
        """Keep for a later pass what takes long to compute and is needed there."""
        if place[0].target in EXPENSIVE and loop is not self.single:
            self.passes.setdefault(place, set()).add(self.turn)
            if place in self.kept and place not in self.places:
                self.places[place] = self.scratch
                self.scratch += loop.width
                loop.lines.append(f"store({self._kept(place)}, {loop.names[place]}, part);")

    def _kept(self, place: Place) -> str:
        return f"scratch{self.plus(self.places[place])} + j"

    def text(self, node: Node, offset: int, loop: Loop) -> str:
        """Give the expression for columns, which may be read from where an earlier pass has kept them."""
        place = (node, offset, loop.width)
        if place in self.places and node not in self.piece.loads:
            self.read_again.add(place)
            return f"load({self._kept(place)}, part)"
        return super().text(node, offset, loop)

    def load(self, buffer: Buffer, offset: int, loop: Loop) -> str:
        """Give the expression for columns of a buffer."""
        at = f"p{self.pointer(buffer)}{self.plus(offset)}"
        return f"load_one({at})" if loop is self.single else f"load({at} + j, part)"

    def assignment(self, name: str, text: str) -> str:
        """Give the line that gives an expression a name."""
        return f"auto {name} = {text};"

    def number(self, number: float) -> str:
        """Give the expression for a number: those that are no part of every cell come as arguments."""
        if number in _INLINE_NUMBERS:
            return f"{number}f"
        if number not in self.numbers:
            self.numbers.append(number)
        return f"k{self.numbers.index(number)}"
