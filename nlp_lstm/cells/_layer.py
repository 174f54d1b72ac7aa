"""Recurrent layers: any cell over time, in a stack, in one or both directions, with lengths and states."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from nlp_lstm.cells import _lengths
from nlp_lstm.cells._cell import Cell, State
from nlp_lstm.cells.engine import run_cell, run_torch
from nlp_lstm.errors import ShapeError, UsageError


class RecurrentLayer(nn.Module):
    """A stack of recurrent layers with the constructor and the call of `torch.nn.LSTM`, over any cell.

    `output, state = layer(x, state)`, where x is (time, batch, input_size), or (batch, time, input_size) with
    `batch_first`, or (time, input_size) without a batch, or a PackedSequence. `output` holds h of the last layer at
    every step, (..., hidden_size * directions). Each tensor of the state is (num_layers * directions, batch,
    hidden_size); a cell with one state tensor takes and gives it bare, as `torch.nn.GRU` does, any other a tuple.

    `lengths`, one whole number a sequence, says where each ends: what stands behind is never read, the output there
    is zero, and the state is the one at the sequence's own end.

    `weight_dropout` drops entries of every recurrent weight (Merity et al. 2018, "Regularizing and Optimizing LSTM
    Language Models", section 2): one mask a call, the same for all time steps, off in evaluation.
    `backend` is "torch" (torch's own kernels), "loop" (the cell's equations, step by step) or "auto".
    Parameters carry torch's names (`weight_ih_l0`, ..., `_reverse`), so that state dicts are exchanged with it.
    """

    cell: ClassVar[Cell]
    torch_function: ClassVar[str | None] = None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        weight_dropout: float = 0.0,
        backend: Literal["auto", "torch", "loop"] = "auto",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        _check_arguments(input_size, hidden_size, num_layers, dropout, weight_dropout)
        if backend == "torch" and self.torch_function is None:
            raise UsageError(f"torch has no kernel for the cell {self.cell.name!r}. Use backend='auto' or 'loop'.")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, dropout, bidirectional
        self.weight_dropout, self.backend = weight_dropout, backend
        self.directions = 2 if bidirectional else 1
        for layer in range(num_layers):
            size = input_size if layer == 0 else hidden_size * self.directions
            for suffix in self._suffixes(layer):
                for name, shape in self.cell.parameter_shapes(size, hidden_size, bias).items():
                    parameter = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
                    self.register_parameter(name + suffix, parameter)
        self.reset_parameters()

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: self.directions]

    def reset_parameters(self) -> None:
        """Draw every parameter from the uniform distribution over +-1/sqrt(hidden_size), as torch does."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        """Describe the sizes in the layer's printed form."""
        both = ", bidirectional=True" if self.bidirectional else ""
        return f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}{both}"

    def forward(
        self,
        x: Tensor | PackedSequence,
        state: Tensor | State | None = None,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor | PackedSequence, Tensor | State]:
        """Run over whole sequences; shapes as in the class. Raises ShapeError where sizes do not fit."""
        if isinstance(x, PackedSequence):
            return self._forward_packed(x, state, lengths)
        unbatched = x.dim() == 2
        if unbatched:
            x = x.unsqueeze(0 if self.batch_first else 1)
        _lengths.check_input(x, self.input_size)
        if self.batch_first:
            x = x.transpose(0, 1)
        batch = x.shape[1]
        states = self._read_state(state, x, batch, unbatched)
        if lengths is not None:
            lengths = _lengths.check_lengths(lengths, x.shape[0], batch, x.device)
        output, states = self._run(x, states, lengths)
        if self.batch_first:
            output = output.transpose(0, 1)
        if unbatched:
            output = output.squeeze(0 if self.batch_first else 1)
            states = tuple(tensor.squeeze(1) for tensor in states)
        return output, self._write_state(states)

    def _forward_packed(
        self, x: PackedSequence, state: Tensor | State | None, lengths: Tensor | None
    ) -> tuple[PackedSequence, Tensor | State]:
        if lengths is not None:
            raise UsageError("A PackedSequence brings its own lengths; leave out lengths=.")
        padded, sequence_lengths = _lengths.unpack(x)
        _lengths.check_input(padded, self.input_size)
        states = self._read_state(state, padded, padded.shape[1], False)
        output, states = self._run(padded, states, sequence_lengths)
        return _lengths.pack_like(output, x), self._write_state(states)

    def _run(self, x: Tensor, states: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        weights = [self._weights(suffix) for layer in range(self.num_layers) for suffix in self._suffixes(layer)]
        # A single step without a gradient (generation) is quicker by its equations: a kernel prepares its weights anew.
        single = self.backend == "auto" and x.shape[0] == 1 and lengths is None and not torch.is_grad_enabled()
        if self.backend != "loop" and self.torch_function is not None and not single:
            return run_torch(self.torch_function, x, states, lengths, weights, self)
        ends: list[State] = []
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(self.directions):
                index = layer * self.directions + direction
                start = tuple(tensor[index] for tensor in states)
                output, end = run_cell(self.cell, x, start, lengths, weights[index], reverse=direction == 1)
                outputs.append(output)
                ends.append(end)
            x = torch.cat(outputs, dim=-1) if self.bidirectional else outputs[0]
            if layer + 1 < self.num_layers:
                x = F.dropout(x, self.dropout, self.training)
        return x, tuple(torch.stack(tensors) for tensors in zip(*ends, strict=True))

    def _weights(self, suffix: str) -> SimpleNamespace:
        weights = SimpleNamespace(bias_ih=None, bias_hh=None)
        for name in self.cell.parameter_shapes(self.input_size, self.hidden_size, self.bias):
            setattr(weights, name, getattr(self, name + suffix))
        if self.training and self.weight_dropout > 0:
            weights.weight_hh = F.dropout(weights.weight_hh, self.weight_dropout)
        return weights

    def _read_state(self, state: Tensor | State | None, x: Tensor, batch: int, unbatched: bool) -> State:
        rows, names = self.num_layers * self.directions, self.cell.state_names
        if state is None:
            zeros = x.new_zeros(rows, batch, self.hidden_size)
            return tuple(zeros for _ in names)
        tensors = (state,) if isinstance(state, Tensor) else tuple(state)
        if len(tensors) != len(names):
            raise ShapeError(f"The state has {len(tensors)} tensors; a {self.cell.name} takes {', '.join(names)}.")
        if unbatched:
            tensors = tuple(tensor.unsqueeze(1) for tensor in tensors)
        expected = (rows, batch, self.hidden_size)
        for name, tensor in zip(names, tensors, strict=True):
            if tuple(tensor.shape) != expected:
                raise ShapeError(
                    f"The state's {name} has the shape {tuple(tensor.shape)}; this call needs {expected}: "
                    f"(layers * directions, batch, hidden_size)."
                )
        return tensors

    def _write_state(self, states: State) -> Tensor | State:
        return states[0] if len(states) == 1 else states


def _check_arguments(input_size: int, hidden_size: int, num_layers: int, dropout: float, weight_dropout: float) -> None:
    sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
    faults = [f"{name}={value} must be at least 1." for name, value in sizes.items() if value < 1]
    shares = {"dropout": dropout, "weight_dropout": weight_dropout}
    faults += [
        f"{name}={value} must be at least 0 and below 1." for name, value in shares.items() if not 0 <= value < 1
    ]
    if faults:
        raise UsageError(" ".join(faults))
