"""Recurrent layers: any cell over time, in a stack, in one or both directions, with lengths and states."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from nlp_lstm.cells import _arguments, _between, _lengths, _states
from nlp_lstm.cells._arguments import Backend, Connection, Merge
from nlp_lstm.cells._cell import Cell, State
from nlp_lstm.cells._parameters import LayerParameters
from nlp_lstm.cells._route import run_direction, run_kernel, takes_kernel
from nlp_lstm.cells._zoneout import ZoneoutCell
from nlp_lstm.cells.engine import run_step
from nlp_lstm.errors import UsageError


class RecurrentLayer(LayerParameters):
    """A stack of recurrent layers with the constructor and the call of `torch.nn.LSTM`, over any cell.

    `output, state = layer(x, state)`, where x is (time, batch, input_size), or (batch, time, input_size) with
    `batch_first`, or (time, input_size) without a batch, or a PackedSequence. `output` holds h of the last layer at
    every step, (..., output_size). Each tensor of the state is (num_layers * directions, batch, its width), where the
    width is hidden_size in most cells (`cell.state_sizes` tells); a cell with one state tensor takes and gives it bare,
    as `torch.nn.GRU` does, any other a tuple. Without a state a sequence starts from zeros.

    `lengths`, one whole number a sequence, says where each ends: what stands behind is never read, the output there
    is zero, and the state is the one at the sequence's own end.

    Options beside torch's own:
        merge: both directions' outputs side by side ("concatenate"), or added up ("sum").
        connection: what leads past each layer whose input and output have one size: "none", "residual" or "highway".
        variational: `dropout` between layers uses one mask a sequence, the same for all time steps.
        zoneout, zoneout_cell: probability that a unit of h, or of c, keeps its old value (Krueger et al. 2017).
        weight_dropout: drops entries of every recurrent matrix (Merity et al. 2018, "Regularizing and Optimizing LSTM
            Language Models", section 2): one mask a call, the same for all time steps, off in evaluation.
        learned_state: the state before the first step is a parameter, where none is given.
        backend: "torch" (torch's own kernels), "fused" (the engine), "loop" (the cell's equations, step by step) or
            "auto", the quickest of these. The engine gives first derivatives alone; the other two give second ones.
        cell_options: the fields of the cell, such as `proj_size`.
    Parameters carry torch's names (`weight_ih_l0`, ..., `_reverse`), so that state dicts are exchanged with it.
    """

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
        merge: Merge = "concatenate",
        connection: Connection = "none",
        variational: bool = False,
        zoneout: float = 0.0,
        zoneout_cell: float = 0.0,
        weight_dropout: float = 0.0,
        learned_state: bool = False,
        backend: Backend = "auto",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **cell_options: Any,
    ) -> None:
        super().__init__()
        sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
        flags = {"bias": bias, "batch_first": batch_first, "bidirectional": bidirectional}
        flags |= {"variational": variational, "learned_state": learned_state}
        _arguments.check_sizes(sizes, flags)
        _arguments.check_choices(backend, connection, merge)
        self.cell = self.build_cell(**cell_options)
        shares = {"dropout": dropout, "weight_dropout": weight_dropout}
        shares |= {"zoneout": zoneout, "zoneout_cell": zoneout_cell}
        _arguments.check_shares(self.cell, backend, shares)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, dropout, bidirectional
        self.merge, self.connection, self.variational = merge, connection, variational
        self.zoneout = tuple((name, p) for name, p in (("h", zoneout), ("c", zoneout_cell)) if p > 0)
        self.weight_dropout, self.learned_state, self.backend = weight_dropout, learned_state, backend
        self.directions = 2 if bidirectional else 1
        size = self.cell.output_size(hidden_size)
        self.output_size = size * self.directions if merge == "concatenate" else size
        self._widths = tuple(self.cell.state_sizes(hidden_size).values())
        self._add_parameters(device, dtype)
        self.reset_parameters()

    @classmethod
    def build_cell(cls, **options: Any) -> Cell:
        """Build the layer's cell; `options` are the cell's fields. Raises UsageError for one that it does not have."""
        return _arguments.with_options(cls.cell, options)

    def forward(
        self,
        x: Tensor | PackedSequence,
        state: Tensor | State | None = None,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor | PackedSequence, Tensor | State]:
        """Run over whole sequences; shapes as in the class.

        Outside autocast the input, the state and the weights are of one floating type. Lengths are on the CPU, as
        torch has them, or where the input is. Raises ShapeError where something does not fit.
        """
        if isinstance(x, PackedSequence):
            return self._forward_packed(x, state, lengths)
        _lengths.check_type(x, self._first_weight)
        if state is not None and lengths is None and self._is_single(x):  # a step of generation
            return self._forward_single(x, state)
        unbatched = x.dim() == 2
        if unbatched:
            x = x.unsqueeze(0 if self.batch_first else 1)
        if self.batch_first and x.dim() == 3:
            x = x.transpose(0, 1)
        _lengths.check_input(x, self.input_size)
        states = self._read_state(state, x, unbatched)
        if lengths is not None:
            lengths = _lengths.check_lengths(lengths, x.shape[0], x.shape[1], x.device)
        output, states = self._run(x, states, lengths)
        if self.batch_first:
            output = output.transpose(0, 1)
        if unbatched:
            output = output.squeeze(0 if self.batch_first else 1)
            states = tuple(tensor.squeeze(1) for tensor in states)
        return output, states[0] if len(states) == 1 else states

    def restart(self, state: Tensor | State, rows: Tensor) -> Tensor | State:
        """Put what a sequence starts from into the rows of a state where `rows` (batch,) is true."""
        states = (state,) if isinstance(state, Tensor) else state
        start = self._start(states[0][0])
        after = tuple(torch.where(rows[:, None], one, old) for one, old in zip(start, states, strict=True))
        return after[0] if isinstance(state, Tensor) else after

    def _forward_packed(
        self, x: PackedSequence, state: Tensor | State | None, lengths: Tensor | None
    ) -> tuple[PackedSequence, Tensor | State]:
        if lengths is not None:
            raise UsageError("A PackedSequence brings its own lengths; leave out lengths=.")
        _lengths.check_type(x.data, self._first_weight)
        padded, sequence_lengths = _lengths.unpack(x)
        _lengths.check_input(padded, self.input_size)
        states = self._read_state(state, padded, False)
        output, states = self._run(padded, states, sequence_lengths)
        return _lengths.pack_like(output, x), states[0] if len(states) == 1 else states

    def _is_single(self, x: Tensor) -> bool:
        """Whether a call can take the path of few Python operations that a step of generation needs."""
        return (
            x.dim() == 3
            and x.shape[1 if self.batch_first else 0] == 1
            and not (self.training or torch.is_grad_enabled() or self.bidirectional or self.zoneout)
            and self.connection == "none"
            and self.backend != "torch"
        )

    def _forward_single(self, x: Tensor, state: Tensor | State) -> tuple[Tensor, Tensor | State]:
        """Make one step by the cell's equations; shapes as in `forward`."""
        time = 1 if self.batch_first else 0
        x = x.squeeze(time)
        _lengths.check_features(x, self.input_size)
        states = _states.read(state, self.cell, self._widths, (self.num_layers, x.shape[0]), x)
        cell, ends = self.cell, []
        step = cell.step if self.backend == "loop" else partial(run_step, cell)
        for layer in range(self.num_layers):
            weights = self._weights(layer)
            end = step(cell.project(x, weights), tuple([one[layer] for one in states]), weights)
            ends.append(end)
            x = end[0]
        if len(ends) == 1:
            after = tuple([tensor.unsqueeze(0) for tensor in ends[0]])
        else:
            after = tuple([torch.stack(tensors) for tensors in zip(*ends, strict=True)])
        return x.unsqueeze(time), after[0] if len(after) == 1 else after

    def _read_state(self, state: Tensor | State | None, x: Tensor, unbatched: bool) -> State:
        """Give the tensors of the state before the first step of x (time, batch, input_size)."""
        if state is None:
            return self._start(x[0])
        rows = self.num_layers * self.directions
        return _states.read(state, self.cell, self._widths, (rows, x.shape[1]), x, unbatched)

    def _start(self, like: Tensor) -> State:
        """Give what sequences start from, for a batch as long as `like` (batch, features), of its type and device."""
        if self.learned_state:
            return tuple(tensor.unsqueeze(1).expand(-1, len(like), -1) for tensor in self._learned())
        return _states.start(self.cell, self._widths, (self.num_layers * self.directions, len(like)), like)

    def _run(self, x: Tensor, states: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        """Run the stack over x (time, batch, input_size)."""
        weights = [self._weights(index) for index in range(self.num_layers * self.directions)]
        kernel = not self.zoneout and takes_kernel(self.cell, self.backend, x)
        if kernel and self.merge == "concatenate" and self.connection == "none" and not self.variational:
            options = (self.directions, self.dropout, self.training)
            return run_kernel(self.cell, x, states, lengths, weights, *options)
        if lengths is not None and self.connection != "none":
            x = _lengths.blank(x, lengths)
        ends: list[State] = []
        for layer in range(self.num_layers):
            rows = slice(layer * self.directions, (layer + 1) * self.directions)
            start = tuple(tensor[rows] for tensor in states)
            if kernel:
                options = (self.directions, 0.0, self.training)
                output, end = run_kernel(self.cell, x, start, lengths, weights[rows], *options)
            else:
                output, end = self._run_layer(x, start, lengths, weights[rows])
            if self.merge == "sum" and self.bidirectional:
                output = output.unflatten(-1, (2, -1)).sum(dim=-2)
            x = _between.connect(x, output, self.connection, self._highway(layer))
            ends.append(end)
            if layer + 1 < self.num_layers and self.training and self.dropout > 0:
                x = _between.drop(x, self.dropout, self.variational)
        return x, tuple(torch.cat(tensors) for tensors in zip(*ends, strict=True))

    def _run_layer(
        self, x: Tensor, states: State, lengths: Tensor | None, weights: list[SimpleNamespace]
    ) -> tuple[Tensor, State]:
        """Run one layer in its directions by the cell's equations; shapes as those of `run_kernel`."""
        cell = self.cell
        if self.zoneout:
            cell = ZoneoutCell(cell, self.hidden_size, self.zoneout, self.training)
        outputs, ends = [], []
        for direction in range(self.directions):
            start = tuple(tensor[direction] for tensor in states)
            output, end = run_direction(self.backend, cell, x, start, lengths, weights[direction], direction == 1)
            outputs.append(output)
            ends.append(end)
        output = torch.cat(outputs, dim=-1) if self.bidirectional else outputs[0]
        return output, tuple(torch.stack(tensors) for tensors in zip(*ends, strict=True))
