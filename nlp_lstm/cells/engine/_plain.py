"""Stages in pure torch, for where there is no compiler, other devices and other types of numbers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from nlp_lstm.cells.engine._calls import StepWriter
from nlp_lstm.cells.engine._graphs import graph_function
from nlp_lstm.cells.engine._layout import Layout, at_steps, ended_at_steps
from nlp_lstm.cells.engine._needed import Needed
from nlp_lstm.cells.engine._products import prepared
from nlp_lstm.cells.engine._sides import Side, backward_side, carried, forward_side, kept_nodes
from nlp_lstm.cells.engine._stages import Buffer, Memory, Stages, shape
from nlp_lstm.cells.engine._step import Input, Multiply, Place, Scratch, Step, Total

_LOW = {"projected", "factor", "product_gradient", "projected_gradient"}


class PlainStages:
    """Stages run by torch's own operations, in the same memory as `NativeStages`; `half` for factors with fewer bits.

    A step is a flat list of calls that write where their results are to be, in memory that is the same for all steps or
    cut up before the first, since at many sizes a call takes longer than its arithmetic. What the step back reads of
    the one forward is kept (`stages.kept`), not computed again.
    """

    def __init__(self, stages: Stages, half: bool = False) -> None:
        self.half = half
        self.needed = Needed(stages.trace)
        self.forward, backward = forward_side(stages, half), backward_side(stages, half)
        self.stages = replace(stages, kept=kept_nodes(self.needed, self.forward, backward))
        kept = [(Buffer("kept", index), node) for index, node in enumerate(self.stages.kept or ())]
        self.keeping = Side(self.forward.given, [*self.forward.targets, *kept])
        self.backward = Side(backward.given | {node: buffer for buffer, node in kept}, backward.targets)
        self._steps: dict[tuple[bool, bool, bool], Step] = {}

    def step(self, backward: bool, keep: bool, ragged: bool) -> Step:
        """Give a step: forwards (with what is kept for the way back, or without) or backwards."""
        key = backward, keep, ragged
        if key not in self._steps:
            side = self.backward if backward else self.keeping if keep else self.forward
            writer = StepWriter(self.needed, self.stages, side, lambda buffer: self.half and buffer.name in _LOW)
            self._steps[key] = writer.write(carried(self.stages, backward), ragged)
        return self._steps[key]

    @torch.inference_mode()  # there is no gradient to note, which makes a call quicker
    def run(self, backward: bool, layout: Layout, buffers: Mapping[Memory, Tensor], lengths: Tensor | None) -> None:
        """Run over all steps; as `NativeStages.run`."""
        step = self.step(backward, ("kept", 0) in buffers, lengths is not None)
        order = layout.order(backward)
        run = _Run(self.stages, layout, buffers, lengths, order)
        run.find_fixed(step)
        columns = [run.over_time(one) for one in step.inputs]
        for arguments in zip(*columns, order, strict=False):  # what is the same at all steps has no end
            step.function(*arguments)
        for memory, tensor in run.own.items():
            if isinstance(memory, Total):
                gradient = buffers["weight_gradient", memory.index][0]
                gradient += tensor if tensor.dim() == 1 else tensor.sum(dim=0)


class _Run:
    """What the steps of one call take at each time; `own` is memory that nothing outside reads."""

    def __init__(
        self,
        stages: Stages,
        layout: Layout,
        buffers: Mapping[Memory, Tensor],
        lengths: Tensor | None,
        order: range,
    ) -> None:
        self.stages, self.layout, self.buffers, self.lengths, self.order = stages, layout, buffers, lengths, order
        self.like = buffers["state", 0]
        self.own: dict[Scratch | Total, Tensor] = {}
        self.fixed: dict[Node, Tensor] = {}

    def find_fixed(self, step: Step) -> None:
        """Compute what depends on weights alone."""
        trace = self.stages.trace
        nodes = [one for one in step.inputs if isinstance(one, Node)]
        nodes += [one.bias for one in step.inputs if isinstance(one, Multiply) and one.bias is not None]
        read = [(index, node) for index, node in enumerate(trace.weights) if ("weight", index) in self.buffers]
        self.fixed = {node: self.buffers["weight", index].view(shape(node)) for index, node in read}
        made = [node for node in nodes if node not in self.fixed]
        function = graph_function(list(self.fixed), made, trace.rows)
        self.fixed |= zip(made, function(self.layout.batch, self.like, *self.fixed.values()), strict=True)

    def over_time(self, one: Input) -> Iterable[Any]:
        """Give what an input is at each step, in the order of the steps."""
        if isinstance(one, Place):
            tensor = self._memory(one)
            if one.width not in (None, tensor.shape[-1]):
                tensor = tensor[..., one.start : one.start + (one.width or 0)]
            if isinstance(one.memory, Buffer):
                return at_steps(tensor, self.stages.slot(one.memory, self.layout.reverse), self.order)
            return itertools.repeat(tensor)
        if isinstance(one, Multiply):
            return itertools.repeat(self._multiplier(one))
        if isinstance(one, Node):
            return itertools.repeat(self.fixed[one])
        if one in ("rows", "device", "dtype"):
            return itertools.repeat(self.layout.batch if one == "rows" else getattr(self.like, one))
        assert self.lengths is not None
        return ended_at_steps(self.lengths, self.order)

    def _memory(self, place: Place) -> Tensor:
        memory = place.memory
        if isinstance(memory, Buffer):
            return self.buffers[memory.name, memory.index]
        if memory not in self.own:
            sizes = [self.layout.batch if size == self.stages.trace.rows else size for size in memory.sizes]
            if isinstance(memory, Total):
                self.own[memory] = self.like.new_zeros(sizes)
            else:
                dtype = self.like.dtype if memory.dtype.is_floating_point else memory.dtype
                self.own[memory] = self.like.new_empty(sizes, dtype=dtype)
        return self.own[memory]

    def _multiplier(self, one: Multiply) -> Callable[[Tensor], Tensor]:
        matrix = self.buffers["matrix", one.site]
        factor = (self.stages.product_gradients if one.transposed else self.stages.factors)[one.site]
        dtype = self.buffers[factor.name, factor.index].dtype
        weight, bias = (matrix.t() if one.transposed else matrix).to(dtype), None
        if one.bias is not None:
            bias = self.fixed[one.bias].to(dtype)
        function = prepared(weight, self.layout.batch, bias)
        return function if dtype == self.like.dtype else lambda x: function(x).to(self.like.dtype)
