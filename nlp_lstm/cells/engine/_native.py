"""Stages as a program of the C++ time loop: built on this machine, called with tensors."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from nlp_lstm.cells.engine._compiler import compiled, compiled_before, identifier
from nlp_lstm.cells.engine._layout import Layout
from nlp_lstm.cells.engine._source import PieceSource, piece_source
from nlp_lstm.cells.engine._stages import Buffer, Memory, Piece, Product, Stages, Step, shape

_KINDS = {"weight": 0, "matrix": 0, "projected": 1, "state": 2}  # as `step` of time_loop.cpp calls them
_MADE = ("product", "factor")


@cache
def time_loop() -> ModuleType | None:
    """Give the operators of time_loop.cpp, or None where they cannot be built."""
    folder = Path(__file__).parent
    return compiled("time_loop", "".join((folder / name).read_text("utf-8") for name in ("vectors.h", "time_loop.cpp")))


def allocate(sizes: tuple[int, ...], like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Give memory that nothing was written to, of the type and on the device of `like`."""
    dtype = dtype or like.dtype
    loop = time_loop() if like.device.type == "cpu" else None
    return torch.empty(sizes, dtype=dtype, device=like.device) if loop is None else loop.allocate(sizes, dtype)


@cache
def multiplies_half() -> bool:
    """Tell whether the time loop can make products in bfloat16 on this processor."""
    loop = time_loop()
    return loop is not None and bool(loop.multiplies_half())


class NativeStages:
    """Stages in C++, for one precision; `programs` holds what the time loop knows of them.

    Raises Unsupported for an operation that there is no C++ for; `create` gives None where there is no compiler.
    """

    built = 0
    """How many have been built in this process."""

    def __init__(self, stages: Stages, is_half: Callable[[Buffer], bool]) -> None:
        self.stages = stages
        self.sources = {
            (backward, index): piece_source(
                f"{'backward' if backward else 'forward'}{index}", step, stages.trace.rows, is_half
            )
            for backward, steps in ((False, stages.forward), (True, stages.backward))
            for index, step in enumerate(steps)
            if isinstance(step, Piece)
        }
        self._kinds: tuple[list[int], list[int]] | None = None
        self._given: list[Memory] = []
        self.programs: dict[tuple[bool, bool], tuple[int, list[Memory]]] = {}
        self.addresses: list[int] = []

    def build(self, name: str, wait: bool = True) -> bool:
        """Compile; False where that cannot be done, or has not been done before where there is no time to `wait`."""
        loop = time_loop()
        header = Path(__file__).with_name("vectors.h").read_text(encoding="utf-8")
        text = "\n".join([header, *(source.text for source in self.sources.values()), ""])
        get = compiled if wait else compiled_before
        module = get(identifier(name), text) if loop is not None else None
        if loop is None or module is None:
            return False
        library = next(path for path in torch.ops.loaded_libraries if Path(path).stem == module.name)
        functions = ctypes.CDLL(library)
        for backward in (False, True):
            for reverse in (False, True):
                self.programs[backward, reverse] = self._create(loop, functions, backward, reverse)
        NativeStages.built += 1
        return True

    def run(self, backward: bool, layout: Layout, buffers: Mapping[Memory, Tensor], lengths: Tensor | None) -> None:
        """Run over all steps, in place in the buffers."""
        loop = time_loop()
        assert loop is not None
        program, used = self.programs[backward, layout.reverse]
        sizes, descends = (layout.time, layout.batch), layout.descends(backward)
        loop.run(program, [buffers[one] for one in used], *sizes, descends, lengths, layout.threads)

    def step(self, tensors: Mapping[Memory, Tensor], rows: int) -> list[Tensor]:
        """Make one step without a gradient, in fp32; give the new states. `tensors` are (batch, width), or weights."""
        loop = time_loop()
        assert loop is not None
        program, used = self.programs[False, False]
        if self._kinds is None:
            self._kinds = [_KINDS.get(name, 3) for name, _ in used], [self._width(memory) for memory in used]
            self._given = [one for one, kind in zip(used, self._kinds[0], strict=True) if kind != 3]
        given = [tensors[one] for one in self._given]
        results: list[Tensor] = loop.step(program, *self._kinds, given, rows, torch.get_num_threads())
        order = [index for name, index in self._given if name == "state"]
        return [results[order.index(index)] for index in range(len(order))]

    def _width(self, memory: Memory) -> int:
        name, index = memory
        sites = self.stages.trace.sites
        return shape(sites[index].product if name == "product" else sites[index].factor)[-1] if name in _MADE else 0

    def _create(
        self, loop: ModuleType, functions: ctypes.CDLL, backward: bool, reverse: bool
    ) -> tuple[int, list[Memory]]:
        writer = _Description(self.stages, backward, reverse)
        steps = self.stages.steps(backward)
        sources = [source for (side, _), source in self.sources.items() if side == backward]
        names = [source.text.split("(", 1)[0].split()[-1] for source in sources]
        for name, source, piece in zip(names, sources, (s for s in steps if isinstance(s, Piece)), strict=True):
            address = ctypes.cast(getattr(functions, name), ctypes.c_void_p).value
            assert address is not None
            writer.piece(address, source, piece)
        numbers = [number for source in sources for number in source.numbers]
        return loop.create(writer.whole(steps), numbers), writer.memories


class _Description:
    """What `create` of time_loop.cpp reads, in its order."""

    def __init__(self, stages: Stages, backward: bool, reverse: bool) -> None:
        self.stages, self.backward, self.reverse = stages, backward, reverse
        self.memories: list[Memory] = []
        self.pieces: list[int] = []

    def slot(self, buffer: Buffer) -> list[int]:
        """Give the number of a buffer's memory, and which part of it a step means."""
        return [self._memory((buffer.name, buffer.index)), *self.stages.slot(buffer, self.reverse)]

    def _memory(self, memory: Memory) -> int:
        if memory not in self.memories:
            self.memories.append(memory)
        return self.memories.index(memory)

    def piece(self, address: int, source: PieceSource, piece: Piece) -> None:
        """Add a piece."""
        slots = [number for buffer in source.buffers for number in self.slot(buffer)]
        results = [
            number
            for buffer, node in piece.targets.items()
            if buffer.name != "weight_gradient"
            for number in (source.buffers.index(buffer), shape(node)[-1])
        ]
        self.pieces += [address, len(source.buffers), *slots, len(source.sizes), *source.sizes]
        self.pieces += [len(source.numbers), source.scratch, len(results) // 2, *results]

    def whole(self, steps: list[Step]) -> list[int]:
        """Give the description."""
        products = [step for step in steps if isinstance(step, Product)]
        pieces = len(steps) - len(products)
        written = [pieces, *self.pieces, len(products)]
        for product in products:
            weight = self._memory(("matrix", product.site))
            written += [*self.slot(product.factor), *self.slot(product.result), weight]
            written += [int(product.transposed), int(product.accumulate)]
        return written + self._order(steps) + self._carries(steps)

    def _order(self, steps: list[Step]) -> list[int]:
        order, counts = [len(steps)], {True: 0, False: 0}
        before: Step | None = None
        for step in steps:
            product = isinstance(step, Product)
            alike = before is not None and product == isinstance(before, Product)
            waits = not alike or (
                isinstance(before, Product) and isinstance(step, Product) and step.factor == before.result
            )
            order += [int(product), int(waits), counts[product]]
            counts[product] += 1
            before = step
        return order

    def _carries(self, steps: list[Step]) -> list[int]:
        written = {buffer for step in steps if isinstance(step, Piece) for buffer in step.targets}
        written |= {step.result for step in steps if isinstance(step, Product)}
        sizes = [shape(node)[-1] for node in self.stages.trace.states]
        name = "carried" if self.backward else "state"
        pairs = [(Buffer(name, index), Buffer(name, index, next=True), size) for index, size in enumerate(sizes)]
        if not self.backward:
            for index in self.stages.copies():
                size = shape(self.stages.trace.sites[index].factor)[-1]
                pairs.append((Buffer("factor", index), Buffer("factor", index, next=True), size))
        carries = [len(pairs)]
        for source, target, size in pairs:
            carries += [*self.slot(source), *self.slot(target), size, int(target in written)]
        return carries
