"""Stages on a GPU: each piece is one Triton kernel, each product one call of torch."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from nlp_lstm.cells.engine._compiler import identifier, turned_off
from nlp_lstm.cells.engine._generated import generated
from nlp_lstm.cells.engine._layout import Layout, at_steps, ended_at_steps
from nlp_lstm.cells.engine._memory import backward_memory, forward_memory
from nlp_lstm.cells.engine._sides import carried
from nlp_lstm.cells.engine._stages import Buffer, Memory, Piece, Product, Stages, shape
from nlp_lstm.cells.engine._triton_source import HEAD, TritonSource, triton_source

_COLUMNS_OF_A_WARP = 128
_MOST_WARPS = 16
_LAUNCHING = threading.RLock()
Call = Callable[[int], Any]
"""What is done at a step, given its time."""


class TritonStages:
    """Stages as Triton kernels and torch's products, in the memory of `NativeStages` but for two things.

    Weight gradients are added up in a part for each row of the batch, without atomics, so that a run gives the same
    bits again; and with products of fewer bits their results have as few, as torch has it under autocast.

    Raises Unsupported for an operation that there is no Triton for, and for a row too wide for a program.
    """

    def __init__(self, stages: Stages) -> None:
        self.stages = stages
        self.sources: dict[tuple[bool, int], TritonSource] = {}
        self.kernels: dict[tuple[bool, int], Any] = {}
        for backward in (False, True):
            steps = stages.steps(backward)
            results = {step.result for step in steps if isinstance(step, Product)}
            # To what a product adds to in every row, rows that have ended return by a call of their own.
            kept = {after: before for before, after, _ in carried(stages, backward) if after not in results}
            for index, step in enumerate(steps):
                if isinstance(step, Piece):
                    self.sources[backward, index] = triton_source(_name(backward, index), step, stages, kept)

    def build(self, name: str, device: torch.device, low: torch.dtype | None, projected: torch.dtype) -> bool:
        """Load the kernels and run them once; False where that cannot be done, which is said on stderr.

        Where there is no Triton nothing is said. `low` is the precision of products where it is not fp32, `projected`
        that of the projected input. Raises OutOfMemoryError.
        """
        if turned_off():
            return False
        try:
            self.load(name)
            self._try_out(device, low, projected)
        except ImportError:
            return False
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # no kernels for this device, no compiler for what starts them
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            print(f"nlp-lstm: {name!r} runs without kernels of its own on this GPU ({reason}).", file=sys.stderr)
            return False
        return True

    def load(self, name: str) -> None:
        """Import the kernels. Raises ImportError where there is no Triton, OSError where they cannot be kept."""
        import_module("nlp_lstm.cells.engine._row_functions")  # fails before anything is written or announced
        text = "\n\n\n".join([HEAD, *(source.text for source in self.sources.values()), ""])
        module = generated(identifier(name), text)
        self.kernels = {key: getattr(module, _name(*key)) for key in self.sources}

    def _try_out(self, device: torch.device, low: torch.dtype | None, projected: torch.dtype) -> None:
        """Compile the kernels by runs over a few zeros, with and without lengths."""
        trace, time, batch = self.stages.trace, 2, 16

        def zeros(*sizes: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(sizes, device=device, dtype=dtype)

        layout = Layout(time, batch, False, low, True, batch, low_products=True)
        states = [zeros(batch, shape(node)[-1]) for node in trace.states]
        read = {one.index for source in self.sources.values() for one in source.buffers if one.name == "weight"}
        weights = [zeros(*shape(node)) if index in read else None for index, node in enumerate(trace.weights)]
        inputs = zeros(time, batch, shape(trace.projected)[-1], dtype=projected)
        memory = forward_memory(self.stages, layout, inputs, states, weights)
        memory |= {("matrix", index): zeros(*shape(site.weight)) for index, site in enumerate(trace.sites)}
        memory = backward_memory(self.stages, layout, memory, None, [None for _ in states])
        for lengths in (None, zeros(batch, dtype=torch.int64)):
            for backward in (False, True):
                self.run(backward, layout, memory, lengths)

    @torch.inference_mode()  # there is no gradient to note, which makes a call quicker
    def run(self, backward: bool, layout: Layout, buffers: Mapping[Memory, Tensor], lengths: Tensor | None) -> None:
        """Run over all steps; as `NativeStages.run`. Nothing waits for the device."""
        device = buffers["state", 0].device
        calls = _Run(self, backward, layout, buffers, lengths).calls()
        # Triton loads a kernel at its first launch, and two threads at once would use it before it is loaded.
        with _LAUNCHING, torch.cuda.device(device) if device.type == "cuda" else nullcontext():
            for t in layout.order(backward):
                for call in calls:
                    call(t)


def _name(backward: bool, index: int) -> str:
    return f"{'backward' if backward else 'forward'}{index}"


class _Run:
    """What is called at the steps of one run."""

    def __init__(
        self,
        runner: TritonStages,
        backward: bool,
        layout: Layout,
        buffers: Mapping[Memory, Tensor],
        lengths: Tensor | None,
    ) -> None:
        self.runner, self.stages, self.backward, self.layout = runner, runner.stages, backward, layout
        self.buffers, self.times = buffers, range(layout.time)
        self.lengths = None if lengths is None else lengths.contiguous()

    def calls(self) -> list[Call]:
        """List what is called at each step, in order."""
        steps = self.stages.steps(self.backward)
        calls = [
            self._product(step) if isinstance(step, Product) else self._piece(index) for index, step in enumerate(steps)
        ]
        written = {buffer for step in steps if isinstance(step, Piece) for buffer in step.targets}
        results = {step.result for step in steps if isinstance(step, Product)}
        for before, after, width in carried(self.stages, self.backward):
            if after in results and self.lengths is not None:
                calls.append(self._carry(before, after, width))
            elif after not in results and after not in written:
                calls.append(self._clear(before, after, width))
        return calls

    def _piece(self, index: int) -> Call:
        source = self.runner.sources[self.backward, index]
        arguments = [one for buffer in source.buffers for one in self._arguments(buffer)]
        blocks = [1 << (width - 1).bit_length() for width in source.widths]
        arguments += [*source.sizes, *blocks]
        warps = max(1, min(_MOST_WARPS, max(blocks, default=1) // _COLUMNS_OF_A_WARP))
        launch, lengths = self.runner.kernels[self.backward, index][(self.layout.batch,)], self.lengths
        # Without fused operations there is one rounding an operation, as in the loop.
        return lambda t: launch(lengths, t, *arguments, num_warps=warps, enable_fp_fusion=False)

    def _arguments(self, buffer: Buffer) -> list[Any]:
        """Give what a kernel takes for a buffer; see `TritonSource`."""
        tensor = self._memory(buffer)
        if buffer.name == "weight":
            return [tensor]
        shift, period = self.stages.slot(buffer, self.layout.reverse)
        return [tensor, *tensor.stride()[:-1], *([shift] if period else [])]

    def _product(self, product: Product) -> Call:
        matrix = self.buffers["matrix", product.site]
        matrix = matrix if product.transposed else matrix.t()
        factors, results = self._steps(product.factor, matrix.shape[0]), self._steps(product.result, matrix.shape[1])
        dtype = self._memory(product.factor).dtype
        matrix = matrix.to(dtype)
        if self._memory(product.result).dtype != dtype:
            write = torch.Tensor.add_ if product.accumulate else torch.Tensor.copy_
            return lambda t: write(results[t], torch.mm(factors[t], matrix))
        if product.accumulate:
            return lambda t: results[t].addmm_(factors[t], matrix)
        return lambda t: torch.mm(factors[t], matrix, out=results[t])

    def _carry(self, before: Buffer, after: Buffer, width: int) -> Call:
        """Give rows whose sequence has ended what they had before the step."""
        ended, old, new = self._ended(), self._steps(before, width), self._steps(after, width)
        return lambda t: torch.where(ended[t], old[t], new[t], out=new[t])

    def _clear(self, before: Buffer, after: Buffer, width: int) -> Call:
        """Write 0 where no step writes, but for rows whose sequence has ended."""
        old, new = self._steps(before, width), self._steps(after, width)
        if self.lengths is None:
            return lambda t: new[t].zero_()
        ended, zero = self._ended(), self._memory(after).new_zeros(())
        return lambda t: torch.where(ended[t], old[t], zero, out=new[t])

    def _ended(self) -> list[Tensor]:
        assert self.lengths is not None
        return ended_at_steps(self.lengths, self.times)

    def _steps(self, buffer: Buffer, width: int) -> list[Tensor]:
        """List what a buffer is at each time."""
        return at_steps(self._memory(buffer)[..., :width], self.stages.slot(buffer, self.layout.reverse), self.times)

    def _memory(self, buffer: Buffer) -> Tensor:
        return self.buffers[buffer.name, buffer.index]
