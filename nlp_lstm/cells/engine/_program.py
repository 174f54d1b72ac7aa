"""What is made of a cell once, for all calls with the same sizes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property, lru_cache, partial
from typing import Any

import torch
from torch import Tensor

from nlp_lstm.cells.engine._graphs import graph_function
from nlp_lstm.cells.engine._native import NativeStages
from nlp_lstm.cells.engine._plain import PlainStages
from nlp_lstm.cells.engine._stages import Buffer, Piece, Stages, cut
from nlp_lstm.cells.engine._tape import Unsupported
from nlp_lstm.cells.engine._trace import Trace, trace
from nlp_lstm.cells.engine._triton import TritonStages

Shapes = tuple[tuple[str, tuple[int, ...] | None], ...]
"""Names and shapes of weights; None for a weight that is None."""
_BUILDING = threading.RLock()


class Program:
    """A traced cell, its stages, and what runs them; each is made when it is first asked for."""

    def __init__(self, make: Callable[[bool], Trace], name: str) -> None:
        self.make, self.name = make, name
        self.trace = traced = make(False)
        self.stages = cut(traced)
        steps = [step for step in [*self.stages.forward, *self.stages.backward] if isinstance(step, Piece)]
        read = {buffer.index for step in steps for buffer in step.loads.values() if buffer.name == "weight"}
        self.vectors = [index in read for index in range(len(traced.weights))]
        self._native: dict[tuple[bool, bool], NativeStages | None] = {}
        self._triton: dict[Any, TritonStages | None] = {}

    @cached_property
    def plain_trace(self) -> Trace:
        """The trace in as few calls as there can be."""
        return self.make(True)

    @cached_property
    def plain(self) -> PlainStages:
        """The stages in pure torch."""
        return PlainStages(cut(self.plain_trace))

    @cached_property
    def plain_half(self) -> PlainStages:
        """The stages in pure torch, with factors in another precision."""
        return PlainStages(cut(self.plain_trace, own_factors=True), half=True)

    @cached_property
    def stages_half(self) -> Stages:
        """The stages, with a buffer for each product's factor."""
        return cut(self.trace, own_factors=True)

    def native(self, half: bool, projected_half: bool) -> NativeStages | None:
        """Give the stages in C++, where they can be had; `half` for bfloat16 products, `projected_half` that input."""
        key = half, projected_half
        if key not in self._native:
            self._native[key] = self._built(half, projected_half)
        return self._native[key]

    @property
    def native_step(self) -> NativeStages | None:
        """The stages in C++ for fp32, if they have been built before, for whatever sizes."""
        if (False, False) in self._native:
            return self._native[False, False]
        return self._loaded

    @cached_property
    def _loaded(self) -> NativeStages | None:
        return self._built(False, False, wait=False)

    def _built(self, half: bool, projected_half: bool, wait: bool = True) -> NativeStages | None:
        def is_half(buffer: Buffer) -> bool:
            if buffer.name in ("projected", "projected_gradient"):
                return projected_half
            return half and buffer.name in ("factor", "product_gradient")

        try:
            stages = NativeStages(self.stages_half if half else self.stages, is_half)
        except Unsupported:
            return None
        return stages if stages.build(self.name, wait) else None

    def triton(self, device: torch.device, low: torch.dtype | None, projected: torch.dtype) -> TritonStages | None:
        """Give the stages as Triton kernels, where they can be had; `low` for products in another precision.

        What fails for a reason that passes - memory that is full, a graph that is being captured - is tried again.
        """
        key = device, low, projected
        with _BUILDING:
            if key not in self._triton:
                if device.type == "cuda" and torch.cuda.is_current_stream_capturing():
                    return None
                try:
                    stages = TritonStages(self.stages if low is None else self.stages_half)
                    built = stages.build(self.name, *key)
                except Unsupported:
                    built = False
                except torch.OutOfMemoryError:
                    return None
                self._triton[key] = stages if built else None
        return self._triton[key]

    def matrices(self, weights: list[Tensor]) -> list[Tensor]:
        """Give the matrix of each product: a weight, or what the step makes of weights, with its gradient."""
        if self._derived is None:
            return [weights[self.trace.weights.index(site.weight)] for site in self.trace.sites]
        return list(self._derived(self.trace.rows, weights[0], *weights))

    @cached_property
    def _derived(self) -> Any:
        nodes = [site.weight for site in self.trace.sites]
        if all(node in self.trace.weights for node in nodes):
            return None
        return graph_function(self.trace.weights, nodes, self.trace.rows)


@lru_cache(maxsize=256)
def program(cell: Any, columns: int, widths: tuple[int, ...], shapes: Shapes) -> Program | None:
    """Trace a cell for the width of its projected input, those of its states, and its weights; None where it cannot."""
    try:
        return Program(partial(trace, cell, columns, widths, shapes), getattr(cell, "name", "cell"))
    except Exception:  # whatever a step does that cannot be traced, the loop runs it, or raises its error
        return None
