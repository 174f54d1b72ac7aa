"""Triton for a piece of a step: a program for each row of the batch, which holds all of the row's columns at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Node

from nlp_lstm.cells.engine._columns import is_row_sum, width
from nlp_lstm.cells.engine._kinds import BatchSums, check_arguments, check_row, source, summed
from nlp_lstm.cells.engine._operations import template
from nlp_lstm.cells.engine._stages import Buffer, Piece, Stages, shape
from nlp_lstm.cells.engine._tape import Unsupported
from nlp_lstm.cells.engine._writing import Loop, PieceWriter

_aten = torch.ops.aten
_MORE = {torch.ops.prims.div.default: "({0} / {1})"}
_WIDEST = 8192  # columns of a row that a program can hold
HEAD = "from nlp_lstm.cells.engine._row_functions import *"
"""What stands before the functions."""


@dataclass(frozen=True)
class TritonSource:
    """The text of a function, and what it is to be called with, in this order, after `lengths` and the time.

    Each buffer is its memory with, but for a weight, the distance between its parts (not for `weight_gradient`) and
    between its rows, and the shift of `Stages.slot`. `sizes` follow, and for each of `widths` the power of 2 that holds
    it. The text names no size but in the gradient of a mean, so that one module serves all sizes of most cells.
    """

    text: str
    buffers: list[Buffer]
    sizes: list[int]
    widths: list[int]


def triton_source(name: str, piece: Piece, stages: Stages, kept: Mapping[Buffer, Buffer]) -> TritonSource:
    """Write the function `name` for a piece. Raises Unsupported.

    In rows whose sequence has ended every result is 0, but that a buffer in `kept` gets what the one it names holds.
    """
    return _Writer(piece, stages, kept).write(name)


class _Writer(PieceWriter):
    """Writes a function as a flat list of lines: what is loaded and computed, then what is stored."""

    def __init__(self, piece: Piece, stages: Stages, kept: Mapping[Buffer, Buffer]) -> None:
        super().__init__(piece, stages.trace.rows)
        self.stages, self.kept = stages, kept
        self.lines = self.single.lines
        self.stores: list[str] = []

    def write(self, name: str) -> TritonSource:
        """Give the whole function."""
        sums = BatchSums(self.piece.loads, self.columns.rows)
        for buffer, node in self.piece.targets.items():
            if buffer.name == "weight_gradient":
                sums.check_linear(node)
            elif shape(node)[:1] != (self.columns.rows,):
                raise Unsupported(f"a result of the shape {shape(node)}")
            else:
                sums.check_none(node)
            for start, size in self.columns.parts(node):
                self._store(buffer, node, start, size)
        widths = list(self.loops)
        parameters, places = ["lengths", "t"], []
        for index, buffer in enumerate(self.buffers):
            given, place = self._place(index, buffer)
            parameters += given
            places += place
        loops = [(number, self.size(one)) for number, one in enumerate(widths)]
        parameters += [f"s{index}: tl.constexpr" for index in range(len(self.sizes))]
        parameters += [f"b{number}: tl.constexpr" for number, _ in loops]
        body = [
            "row = tl.program_id(0).to(tl.int64)",
            "time = t.to(tl.int64)",
            "ended = time >= tl.load(lengths + row) if lengths is not None else False",
            *places,
            *(line for number, size in loops for line in _columns(number, size)),
            *self.lines,
            *self.stores,
        ]
        # A time and a shift that is 0 or 1 is no reason to compile again.
        plain = [one for one in parameters if one == "t" or one.startswith("shift")]
        head = [f"@triton.jit(do_not_specialize={plain!r})", f"def {name}({', '.join(parameters)}):"]
        return TritonSource("\n".join([*head, *("    " + line for line in body)]), self.buffers, self.sizes, widths)

    def _place(self, index: int, buffer: Buffer) -> tuple[list[str], list[str]]:
        """Give the parameters that say where a buffer is, and the line that goes to the row."""
        if buffer.name == "weight":
            return [f"p{index}"], []
        _, period = self.stages.slot(buffer, False)
        if period == 0:  # a part for each row
            return [f"p{index}", f"row{index}"], [f"p{index} += row * row{index}"]
        part = f"((time + shift{index}) % 2)" if period == 2 else f"(time + shift{index})"
        parameters = [f"p{index}", f"step{index}", f"row{index}", f"shift{index}"]
        return parameters, [f"p{index} += {part} * step{index} + row * row{index}"]

    # What is written

    def _store(self, buffer: Buffer, node: Node, start: int, size: int) -> None:
        loop = self.loop_of(size)
        value = self.value(node, start, loop)
        old = self.load(self.kept[buffer], start, loop) if buffer in self.kept else "0.0"
        value = f"{value} if lengths is None else choose(ended, {old}, {value})"
        place = f"p{self.pointer(buffer)}{self.plus(start)}"
        if buffer.name == "weight_gradient":
            value = f"{self.load(buffer, start, loop)} + ({value})"
        if loop is self.single:
            self.stores.append(f"store_one({place}, {value})")
        else:
            number = self._number_of(loop)
            self.stores.append(f"store({place} + j{number}, {value}, m{number})")

    # What is computed

    def loop_of(self, size: int) -> Loop:
        """Give the loop over so many columns; all have one list of lines. Raises Unsupported for too many columns."""
        if size > _WIDEST:
            raise Unsupported(f"a row of {size} columns")
        loop = super().loop_of(size)
        loop.lines = self.lines
        return loop

    def _number_of(self, loop: Loop) -> int:
        return list(self.loops).index(loop.width)

    def text(self, node: Node, offset: int, loop: Loop) -> str:
        """Give the expression for columns, or for a sum over the row."""
        check_row(node, self.columns.rows)
        if node in self.piece.loads:
            return super().text(node, offset, loop)
        over = summed(node, self.columns.rows)
        if over == {0}:  # over the batch, which is summed up at the end
            return self.value(source(node), offset, loop)
        if is_row_sum(node) or over == {0, 1}:
            return self._sum(node)
        return super().text(node, offset, loop)

    def _sum(self, node: Node) -> str:
        added = []
        for start, size in self.columns.parts(source(node)):
            loop = self.loop_of(size)
            value = self.value(source(node), start, loop)
            added.append(value if loop is self.single else f"sum_of_row({value}, m{self._number_of(loop)})")
        total = f"({' + '.join(added)})"
        return f"{total} / {self.size(width(source(node)))}" if node.target is _aten.mean.dim else total

    def load(self, buffer: Buffer, offset: int, loop: Loop) -> str:
        """Give the expression for columns of a buffer."""
        place = f"p{self.pointer(buffer)}{self.plus(offset)}"
        if loop is self.single:
            return f"load_one({place})"
        number = self._number_of(loop)
        return f"load({place} + j{number}, m{number})"

    def operation(self, node: Node) -> tuple[str, list[Any]]:
        """Give the expression of a pointwise operation: that of C++, but for the letter behind a number."""
        check_arguments(node)
        text, arguments = (_MORE[node.target], list(node.args)) if node.target in _MORE else template(node)
        return text.replace(".0f", ".0"), arguments

    def assignment(self, name: str, text: str) -> str:
        """Give the line that gives an expression a name."""
        return f"{name} = {text}"

    def number(self, number: float) -> str:
        """Give the expression for a number."""
        return repr(number) if math.isfinite(number) else f'float("{number}")'


def _columns(number: int, size: str) -> list[str]:
    return [f"j{number} = tl.arange(0, b{number})", f"m{number} = j{number} < {size}"]
