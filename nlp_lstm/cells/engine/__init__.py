"""What runs a cell over time: the readable loop, which is the oracle, torch's own kernels, and quick products."""

from nlp_lstm.cells.engine._compiler import compiled, seconds_compiling
from nlp_lstm.cells.engine._fused import fused_available, run_fused, run_step
from nlp_lstm.cells.engine._loop import run_cell
from nlp_lstm.cells.engine._normalised import normalised
from nlp_lstm.cells.engine._products import linear, outer
from nlp_lstm.cells.engine._torch import run_torch

__all__ = [
    "compiled",
    "fused_available",
    "linear",
    "normalised",
    "outer",
    "run_cell",
    "run_fused",
    "run_step",
    "run_torch",
    "seconds_compiling",
]
