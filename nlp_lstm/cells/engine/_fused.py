"""A cell over time in stages: without Python between the steps, or with as little as there can be."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from nlp_lstm.cells.engine._layout import Layout
from nlp_lstm.cells.engine._loop import Equations, run_cell
from nlp_lstm.cells.engine._memory import backward_memory, forward_memory, over_time
from nlp_lstm.cells.engine._native import NativeStages, multiplies_half, time_loop
from nlp_lstm.cells.engine._plain import PlainStages
from nlp_lstm.cells.engine._products import outer
from nlp_lstm.cells.engine._program import Program, program
from nlp_lstm.cells.engine._stages import shape
from nlp_lstm.cells.engine._triton import TritonStages
from nlp_lstm.errors import UsageError

_FEW = 4  # rows of a batch that are multiplied without packing the weights


def run_fused(
    cell: Equations,
    x: Tensor,
    state: tuple[Tensor, ...],
    lengths: Tensor | None,
    weights: SimpleNamespace,
    reverse: bool,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run one cell over time; takes, gives and means what `run_cell` does, and is quicker.

    The cell's step is traced once for each set of sizes. On a CPU, in fp32 or with bfloat16 products under autocast,
    it runs as C++ that is generated from the trace and compiled at first use; on a GPU, in fp32 or under autocast, as
    Triton kernels that are generated from it, with torch's products between them; elsewhere, and where there is no
    compiler or no Triton, as the same stages in pure torch. A step that cannot be traced runs in the loop. Under
    autocast products are made in its precision, states and gates in fp32. The kernels are tested by Triton's
    interpreter and compiled for NVIDIA's chips; how quick they are on one has not been measured. Raises UsageError
    where a second derivative is asked for.
    """
    if torch.compiler.is_compiling():
        return run_cell(cell, x, state, lengths, weights, reverse)
    valid = None
    if lengths is not None:
        valid = (torch.arange(x.shape[0], device=x.device)[:, None] < lengths).unsqueeze(-1)  # (time, batch, 1)
        x = x.masked_fill(~valid, 0.0)
    projected = cell.project(x, weights)
    found = _program_for(cell, projected, state, weights)
    if found is None:
        return run_cell(cell, x, state, lengths, weights, reverse)
    tensors = [one for one in vars(weights).values() if one is not None]
    matrices = found.matrices(tensors)
    vectors = [one if used else None for one, used in zip(tensors, found.vectors, strict=True)]
    run = _choose(found, projected, [*state, *tensors])
    wide = torch.float32 if run.low is not None else projected.dtype
    inputs = [projected, *(one.to(wide) for one in state), *vectors, *matrices]
    keep = torch.is_grad_enabled() and any(one is not None and one.requires_grad for one in inputs)
    output, *end = _Run.apply(_Call(found, run, lengths, reverse, keep), *inputs)
    return output if valid is None else output.masked_fill(~valid, 0.0), tuple(end)


def run_step(
    cell: Equations, projected: Tensor, state: tuple[Tensor, ...], weights: SimpleNamespace
) -> tuple[Tensor, ...]:
    """Make one step without a gradient, as `cell.step` does: few rows in one call, where the cell is compiled already.

    Compiles nothing, since a step of generation does not wait for a compiler; and a process that has run nothing by
    compiled cells so far does not begin with it here, so that loading a model and generating gives the same bits on a
    machine that has compiled cells before as on one that has not.
    """
    rows = projected.shape[0]
    if NativeStages.built and rows <= _FEW and not (torch.is_grad_enabled() or torch.compiler.is_compiling()):
        found = _program_for(cell, projected, state, weights) if _is_plain(projected) else None
        native = found.native_step if found is not None else None
        if found is not None and native is not None and not torch.is_autocast_enabled("cpu"):
            named = _named(found, projected, state, [one for one in vars(weights).values() if one is not None])
            if all(_is_plain(one) for one in named.values()):
                return tuple(native.step(named, rows))
    return cell.step(projected, state, weights)


def _is_plain(one: Tensor) -> bool:
    return one.dtype == torch.float32 and one.device.type == "cpu" and one.is_contiguous()


def _named(
    found: Program, projected: Tensor, state: tuple[Tensor, ...], tensors: list[Tensor]
) -> dict[tuple[str, int], Tensor]:
    named = {("weight", i): one for i, (one, read) in enumerate(zip(tensors, found.vectors, strict=True)) if read}
    named |= {("matrix", i): one for i, one in enumerate(found.matrices(tensors))}
    named |= {("state", i): one for i, one in enumerate(state)}
    named["projected", 0] = projected
    return named


def fused_available(cell: Equations, x: Tensor) -> bool:  # noqa: ARG001  a cell that cannot be compiled runs in torch
    """Tell whether `run_fused` runs an input like x on a processor, compiled; compiles what it needs for all cells.

    The weights are taken to be of the type of x, or fp32 under autocast.
    """
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    if not torch.is_autocast_enabled("cpu"):
        return x.dtype == torch.float32 and time_loop() is not None
    types = (torch.float32, torch.bfloat16)
    return torch.get_autocast_dtype("cpu") == torch.bfloat16 and x.dtype in types and multiplies_half()


@dataclass(frozen=True)
class _Runner:
    """What runs the stages, and the precision of products where it is not that of all else."""

    stages: NativeStages | PlainStages | TritonStages
    low: torch.dtype | None


def _program_for(cell: Any, projected: Tensor, state: tuple[Tensor, ...], weights: SimpleNamespace) -> Program | None:
    shapes = tuple((name, None if one is None else tuple(one.shape)) for name, one in vars(weights).items())
    try:  # a cell is hashed by its options
        return program(cell, projected.shape[-1], tuple(one.shape[-1] for one in state), shapes)
    except TypeError:  # a cell that has no hash
        return None


def _choose(found: Program, projected: Tensor, others: Sequence[Tensor]) -> _Runner:
    device = projected.device.type
    autocast = _has_autocast(device) and torch.is_autocast_enabled(device) and projected.dtype != torch.float64
    low = torch.get_autocast_dtype(device) if autocast else None
    fp32 = all(one.dtype == torch.float32 and one.device == projected.device for one in others)
    if fp32 and projected.dtype in (torch.float32, low):
        if device == "cpu" and low in (None, torch.bfloat16):
            native = found.native(low is not None, projected.dtype == low) if low is None or multiplies_half() else None
            if native is not None:
                return _Runner(native, low)
        if device == "cuda":
            triton = found.triton(projected.device, low, projected.dtype)
            if triton is not None:
                return _Runner(triton, low)
    return _Runner(found.plain if low is None else found.plain_half, low)


def _has_autocast(device: str) -> bool:
    return torch.amp.is_autocast_available(device)  # of others, meta among them, torch can tell nothing


@dataclass(frozen=True)
class _Call:
    """The arguments of `_Run` that are no tensors with gradients."""

    program: Program
    runner: _Runner
    lengths: Tensor | None
    reverse: bool
    keep: bool


class _Run(torch.autograd.Function):
    """The stages forwards, and backwards."""

    @staticmethod
    def forward(ctx: Any, call: _Call, projected: Tensor, *rest: Tensor | None) -> tuple[Tensor, ...]:
        stages = call.runner.stages.stages
        count = len(stages.trace.states), len(stages.trace.weights)
        states: list[Any] = list(rest[: count[0]])
        vectors, matrices = rest[count[0] : sum(count)], rest[sum(count) :]
        sizes = projected.shape[0], projected.shape[1]
        on_gpu = isinstance(call.runner.stages, TritonStages)  # where each row of the batch is a program
        threads = sizes[1] if on_gpu else torch.get_num_threads()
        layout = Layout(*sizes, call.reverse, call.runner.low, call.keep, threads, low_products=on_gpu)
        memory = forward_memory(stages, layout, projected, states, vectors)
        memory |= {("matrix", index): matrix for index, matrix in enumerate(matrices) if matrix is not None}
        call.runner.stages.run(False, layout, memory, call.lengths)
        if call.keep:
            ctx.call, ctx.layout, ctx.names = call, layout, list(memory)
            ctx.save_for_backward(*memory.values())
        first, last = (0, 0) if call.reverse else (1, sizes[0])
        output = memory["state", 0][first : first + sizes[0]]
        return output, *(memory["state", index][last].clone() for index in range(count[0]))

    @staticmethod
    def backward(ctx: Any, output: Tensor | None, *ends: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise UsageError(
                "create_graph=True asks for second derivatives; the fused engine gives the first alone. "
                "Build the layer with backend='loop'."
            )
        call, layout = ctx.call, ctx.layout
        memory = dict(zip(ctx.names, ctx.saved_tensors, strict=True))
        stages = call.runner.stages.stages
        device = memory["state", 0].device.type
        with torch.autocast(device, enabled=False) if _has_autocast(device) else nullcontext():
            memory = backward_memory(stages, layout, memory, output, ends)
            call.runner.stages.run(True, layout, memory, call.lengths)
            return None, *_gradients(ctx, call, layout, memory)


def _gradients(ctx: Any, call: _Call, layout: Layout, memory: dict[tuple[str, int], Tensor]) -> list[Tensor | None]:
    """Give the gradients of the projected input, the states, the vectors and the matrices."""
    stages = call.runner.stages.stages
    traced = stages.trace
    projected = memory["projected", 0]
    if stages.projected_gradient is None:
        results: list[Tensor | None] = [torch.zeros_like(projected)]
    else:
        name = stages.projected_gradient
        results = [memory[name.name, name.index][..., : projected.shape[-1]].to(projected.dtype)]
    last = layout.time % 2 if layout.reverse else 0
    results += [memory["carried", index][last] for index in range(len(traced.states))]
    for index, node in enumerate(traced.weights):
        total = memory.get(("weight_gradient", index))
        results.append(None if total is None else total.sum(dim=0).reshape(shape(node)))
    for index, site in enumerate(traced.sites):
        if not ctx.needs_input_grad[len(results) + 1]:
            results.append(None)
            continue
        gradient = over_time(stages, layout, memory, stages.product_gradients[index], shape(site.product)[-1])
        factor = over_time(stages, layout, memory, stages.factors[index], shape(site.factor)[-1])
        results.append(outer(gradient, factor).to(memory["matrix", index].dtype))
    return results
