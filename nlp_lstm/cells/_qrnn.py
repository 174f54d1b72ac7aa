"""The quasi-recurrent network: a convolution over time, and a recurrence without a matrix."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import Tensor
from torch.nn import functional as F

from nlp_lstm.cells._arguments import is_whole
from nlp_lstm.cells._cell import ScanCell, State
from nlp_lstm.cells._layer import RecurrentLayer
from nlp_lstm.cells._scan import linear_recurrence, shifted
from nlp_lstm.cells.engine import linear
from nlp_lstm.errors import UsageError


@dataclass(frozen=True)
class QRNNCell(ScanCell):
    """Quasi-recurrent network with output gate ("fo-pooling").

    Bradbury et al. 2016, "Quasi-Recurrent Neural Networks", section 2 and equation 4. The gates are convolutions over
    the last `window` inputs, with zeros before the first; rows in the order z, f, o, the block of x_t first:

        z_t = tanh(sum_k W_kz x_{t-k} + b_z)                     candidate
        f_t = sigmoid(sum_k W_kf x_{t-k} + b_f)                  forget gate
        o_t = sigmoid(sum_k W_ko x_{t-k} + b_o)                  output gate
        c_t = f_t * c_{t-1} + (1 - f_t) * z_t                    cell state
        h_t = o_t * c_t                                          hidden state

    So that a step needs no old input, the state `pending` holds what inputs so far add to the gates of the window - 1
    steps to come.
    """

    window: int = 2

    name = "qrnn"
    paper = "Bradbury et al. 2016, Quasi-Recurrent Neural Networks"
    number_of_gates = 3
    state_names = ("h", "c", "pending")
    forget_gate = 1

    def __post_init__(self) -> None:
        """Refuse a window without a past: with the present input alone there is nothing pending."""
        if not is_whole(self.window, 2):
            raise UsageError(f"window={self.window!r} must be a whole number of at least 2.")

    def parameter_shapes(self, input_size: int, hidden_size: int, bias: bool) -> dict[str, tuple[int, ...]]:
        """Give the shapes: weight_ih is (window * 3 * hidden_size, input_size); there is no recurrent matrix."""
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (self.window * 3 * hidden_size, input_size)}
        return shapes | {"bias_ih": (3 * hidden_size,)} if bias else shapes

    def state_sizes(self, hidden_size: int) -> dict[str, int]:
        """Give the widths: h and c hidden_size each, pending three times that for each further input of the window."""
        return {"h": hidden_size, "c": hidden_size, "pending": 3 * hidden_size * (self.window - 1)}

    def project(self, x: Tensor, weights: SimpleNamespace) -> Tensor:
        """Map the input of all steps to what it adds to the gates of its own step and the next ones."""
        bias = weights.bias_ih
        if bias is not None:
            bias = F.pad(bias, (0, weights.weight_ih.shape[0] - bias.shape[0]))
        return linear(x, weights.weight_ih, bias)

    def step(self, projected: Tensor, state: State, weights: SimpleNamespace) -> State:
        """Make one step; projected (batch, window * 3 * hidden_size), state (h, c, pending)."""
        h, c, pending = state
        own, *later = projected.split(3 * h.shape[-1], dim=-1)
        first, *rest = pending.split(3 * h.shape[-1], dim=-1)
        f, update, o = _gates(own + first)
        c = f * c + update
        rest = [*(new + old for new, old in zip(later[:-1], rest, strict=True)), later[-1]]
        return o * c, c, torch.cat(rest, dim=-1)

    def parallel(self, projected: Tensor, state: State, weights: SimpleNamespace) -> State:
        """Make all steps; shapes as in `ScanCell.parallel`, state (h, c, pending)."""
        h, start, pending = state
        own, *later = projected.split(3 * h.shape[-1], dim=-1)
        befores = pending.split(3 * h.shape[-1], dim=-1)
        waiting = [later[-1]]
        for new, before in zip(later[-2::-1], befores[:0:-1], strict=True):
            waiting.insert(0, new + shifted(waiting[0], before))
        f, update, o = _gates(own + shifted(waiting[0], befores[0]))
        c = linear_recurrence(f, update, start)
        return o * c, c, torch.cat(waiting, dim=-1)


def _gates(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Turn the rows z, f, o into the forget gate, what is added to the cell state, and the output gate."""
    z, f, o = rows.chunk(3, dim=-1)
    f = f.sigmoid()
    return f, (1 - f) * z.tanh(), o.sigmoid()


class QRNN(RecurrentLayer):
    """A stack of quasi-recurrent layers; see `QRNNCell` and its equations, and `window` there."""

    cell = QRNNCell()
