"""The memory that a loop over time works in."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nlp_lstm.cells.engine._layout import Layout
from nlp_lstm.cells.engine._native import allocate
from nlp_lstm.cells.engine._stages import Buffer, Memory, Stages, kind, shape, touched


def forward_memory(
    stages: Stages, layout: Layout, projected: Tensor, states: Sequence[Tensor], weights: Sequence[Tensor | None]
) -> dict[Memory, Tensor]:
    """Allocate what the steps forward touch, with the states at their start; `weights` that no piece reads are None."""
    time, batch = layout.time, layout.batch
    memory = {("projected", 0): _rows(projected)}
    memory |= {("weight", i): one.reshape(-1).contiguous() for i, one in enumerate(weights) if one is not None}
    first = layout.time if layout.reverse else 0
    for index, state in enumerate(states):
        memory["state", index] = allocate((time + 1, batch, state.shape[1]), state)
        memory["state", index][first] = state
    wide = states[0]
    for name, index in sorted({(one.name, one.index) for step in stages.forward for one in touched(step)}):
        if name == "product" and stages.kept is None:
            size = shape(stages.trace.sites[index].product)[-1]
            memory[name, index] = _product(wide, layout, layout.keep, size)
        elif name == "factor":
            node = stages.trace.sites[index].factor
            copied = index in stages.copies()
            memory[name, index] = _factor(wide, layout, layout.keep or copied, time + copied, shape(node)[-1])
            if copied:
                memory[name, index][first, :, : shape(node)[-1]] = states[stages.trace.states.index(node)]
    for index, node in enumerate(stages.kept or () if layout.keep else ()):
        dtype = kind(node)
        memory["kept", index] = allocate(
            (time, batch, *shape(node)[1:]), wide, None if dtype.is_floating_point else dtype
        )
    return memory


def backward_memory(
    stages: Stages, layout: Layout, forward: dict[Memory, Tensor], output: Tensor | None, ends: Sequence[Tensor | None]
) -> dict[Memory, Tensor]:
    """Allocate what the steps backward touch beside; `output` and `ends` are the gradients that come in."""
    time, batch = layout.time, layout.batch
    memory = dict(forward)
    wide = forward["state", 0]
    memory["output_gradient", 0] = (
        wide.new_zeros(1, 1, 1).expand(time, batch, wide.shape[2]) if output is None else output
    )
    memory["output_gradient", 0] = _rows(memory["output_gradient", 0])
    first = 0 if layout.reverse else time % 2
    for index, end in enumerate(ends):
        memory["carried", index] = wide.new_zeros(2, batch, forward["state", index].shape[2])
        if end is not None:
            memory["carried", index][first] = end
    for name, index in sorted({(one.name, one.index) for step in stages.backward for one in touched(step)}):
        if name == "factor_gradient":
            size = shape(stages.trace.sites[index].factor)[-1]
            memory[name, index] = _product(wide, layout, False, size)
        elif name == "product_gradient":
            size = shape(stages.trace.sites[index].product)[-1]
            memory[name, index] = _factor(wide, layout, True, time, size)
        elif name == "projected_gradient":
            memory[name, index] = allocate(tuple(forward["projected", 0].shape), forward["projected", 0])
        elif name == "weight_gradient":
            memory[name, index] = wide.new_zeros(layout.threads, forward["weight", index].numel())
    return memory


def over_time(stages: Stages, layout: Layout, memory: dict[Memory, Tensor], buffer: Buffer, size: int) -> Tensor:
    """Give what a buffer held at every step, (time * batch, size)."""
    shift, _ = stages.slot(buffer, layout.reverse)
    return memory[buffer.name, buffer.index][shift : shift + layout.time, :, :size].flatten(0, 1)


def _product(like: Tensor, layout: Layout, keep: bool, size: int) -> Tensor:
    dtype = layout.low if layout.low_products else None
    return _steps(like, keep, layout.time, layout.batch, size, dtype)


def _steps(like: Tensor, keep: bool, time: int, batch: int, size: int, dtype: torch.dtype | None = None) -> Tensor:
    """Allocate (time, batch, size), all steps in the same place where they need not be kept."""
    return allocate((time if keep else 1, batch, size), like, dtype).expand(time, batch, size)


def _factor(like: Tensor, layout: Layout, keep: bool, time: int, size: int) -> Tensor:
    """Allocate for what goes into a product; numbers of 16 bits in pairs, the odd one out beside a 0."""
    if layout.low is None:
        return _steps(like, keep, time, layout.batch, size)
    memory = allocate((time if keep else 1, layout.batch, size + size % 2), like, layout.low)
    memory[:, :, size:] = 0
    return memory.expand(time, -1, -1)


def _rows(x: Tensor) -> Tensor:
    """Give x with the columns of a row side by side."""
    return x if x.stride(-1) == 1 else x.contiguous()
