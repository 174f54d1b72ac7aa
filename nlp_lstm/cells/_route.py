"""Which way a cell is run over time."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import Tensor

from nlp_lstm.cells._cell import Cell, ScanCell, State
from nlp_lstm.cells._scan import run_scan
from nlp_lstm.cells.engine import fused_available, run_cell, run_fused, run_torch

_WORTH_BUILDING = 32
"""Steps without a gradient from which a compiled cell pays: a prompt must not wait for a compiler."""


def takes_kernel(cell: Cell, backend: str, x: Tensor) -> bool:
    """Whether torch's own kernel runs this call: where it is asked for, or "auto" and the quickest."""
    if backend != "auto" or cell.torch_function is None:
        return backend == "torch"
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return True
    if not _is_long(x):
        # A single step without a gradient is quicker by its equations: a kernel prepares its weights anew.
        return x.shape[0] > 1
    if torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") != torch.bfloat16:
        return False  # on a processor the LSTM's kernel has no other half precision
    # There torch brings the LSTM alone to the speed of its products, and in fp32 alone.
    quick = cell.torch_function == "lstm" and not torch.is_autocast_enabled("cpu")
    return quick or not fused_available(cell, x)


def _is_long(x: Tensor) -> bool:
    return x.shape[0] >= _WORTH_BUILDING or torch.is_grad_enabled()


def run_direction(
    backend: str,
    cell: Cell,
    x: Tensor,
    state: State,
    lengths: Tensor | None,
    weights: SimpleNamespace,
    reverse: bool,
) -> tuple[Tensor, State]:
    """Run one layer in one direction by the cell's equations; takes and gives what `run_cell` does."""
    if backend == "loop" or (backend == "auto" and not _is_long(x)):
        return run_cell(cell, x, state, lengths, weights, reverse)
    if isinstance(cell, ScanCell) and not fused_available(cell, x):
        return run_scan(cell, x, state, lengths, weights, reverse)
    return run_fused(cell, x, state, lengths, weights, reverse)


@dataclass
class _Stack:
    num_layers: int
    dropout: float
    bidirectional: bool
    training: bool


def run_kernel(
    cell: Cell,
    x: Tensor,
    states: State,
    lengths: Tensor | None,
    weights: list[SimpleNamespace],
    directions: int,
    dropout: float,
    training: bool,
) -> tuple[Tensor, State]:
    """Run layers by torch's kernel: x (time, batch, input_size), states (layers * directions, batch, hidden_size)."""
    assert cell.torch_function is not None
    stack = _Stack(len(weights) // directions, dropout, directions == 2, training)
    return run_torch(cell.torch_function, x, states, lengths, weights, stack)
