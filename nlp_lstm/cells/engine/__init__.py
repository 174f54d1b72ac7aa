"""What runs a cell over time: the readable loop, which is the oracle, and torch's own kernels."""

from nlp_lstm.cells.engine._loop import run_cell
from nlp_lstm.cells.engine._torch import run_torch

__all__ = ["run_cell", "run_torch"]
