"""The long short-term memory, and the same with a projected output."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from torch import Tensor

from nlp_lstm.cells._arguments import is_whole, with_options
from nlp_lstm.cells._cell import Cell, State
from nlp_lstm.cells._layer import RecurrentLayer
from nlp_lstm.cells.engine import linear
from nlp_lstm.errors import UsageError


class LSTMCell(Cell):
    """Long short-term memory with a forget gate.

    Hochreiter and Schmidhuber 1997, "Long Short-Term Memory"; forget gate of Gers, Schmidhuber and Cummins 2000,
    "Learning to Forget", section 3. With the rows of the weights in the order i, f, g, o, as in torch:

        i_t = sigmoid(W_ii x_t + b_ii + W_hi h_{t-1} + b_hi)     input gate
        f_t = sigmoid(W_if x_t + b_if + W_hf h_{t-1} + b_hf)     forget gate
        g_t = tanh(W_ig x_t + b_ig + W_hg h_{t-1} + b_hg)        candidate
        o_t = sigmoid(W_io x_t + b_io + W_ho h_{t-1} + b_ho)     output gate
        c_t = f_t * c_{t-1} + i_t * g_t                          cell state
        h_t = o_t * tanh(c_t)                                    hidden state

    The cell state is carried by a product with f_t and a sum, without a matrix in between: where f_t stays near one,
    the gradient neither vanishes nor explodes on its way back, which is what a plain RNN cannot offer.
    """

    name = "lstm"
    paper = "Hochreiter & Schmidhuber 1997, Long Short-Term Memory; forget gate: Gers et al. 2000"
    number_of_gates = 4
    state_names = ("h", "c")
    forget_gate = 1
    torch_function = "lstm"
    biases = ("bias_ih", "bias_hh")

    def step(self, projected: Tensor, state: State, weights: SimpleNamespace) -> State:
        """Make one step; shapes as in `Cell.step`, state (h, c)."""
        h, c = state
        i, f, g, o = (projected + linear(h, weights.weight_hh, weights.bias_hh)).chunk(4, dim=-1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        return h, c


@dataclass(frozen=True)
class ProjectedLSTMCell(Cell):
    """Long short-term memory whose output is projected to fewer features, so that many memory cells stay affordable.

    Sak, Senior and Beaufays 2014, "Long Short-Term Memory Recurrent Neural Network Architectures for Large Scale
    Acoustic Modeling", section 2.2, with a recurrent projection alone (equation 6 gives r_t, here h_t) and without
    peepholes, which is `torch.nn.LSTM` with `proj_size`. Gates and cell state are those of `LSTMCell`:

        c_t = f_t * c_{t-1} + i_t * g_t                          cell state, hidden_size wide
        h_t = W_hr (o_t * tanh(c_t))                             hidden state, proj_size wide

    `proj_size` is by default half of hidden_size.
    """

    proj_size: int | None = None

    name = "lstmp"
    paper = "Sak et al. 2014, LSTM Recurrent Neural Network Architectures for Large Scale Acoustic Modeling"
    number_of_gates = 4
    state_names = ("h", "c")
    forget_gate = 1
    biases = ("bias_ih", "bias_hh")

    def parameter_shapes(self, input_size: int, hidden_size: int, bias: bool) -> dict[str, tuple[int, ...]]:
        """Give the shapes of `torch.nn.LSTM` with `proj_size`: weight_hr is (proj_size, hidden_size)."""
        size = self.output_size(hidden_size)
        shapes = super().parameter_shapes(input_size, hidden_size, bias)
        return shapes | {"weight_hh": (4 * hidden_size, size), "weight_hr": (size, hidden_size)}

    def state_sizes(self, hidden_size: int) -> dict[str, int]:
        """Give the widths: h has proj_size features, c has hidden_size. Raises UsageError where proj_size is larger."""
        size = max(1, hidden_size // 2) if self.proj_size is None else self.proj_size
        if not is_whole(size, 1) or size > hidden_size:
            raise UsageError(
                f"proj_size={size!r} must be a whole number, at least 1 and at most hidden_size={hidden_size}."
            )
        return {"h": size, "c": hidden_size}

    def step(self, projected: Tensor, state: State, weights: SimpleNamespace) -> State:
        """Make one step; state h (batch, proj_size) and c (batch, hidden_size)."""
        h, c = state
        i, f, g, o = (projected + linear(h, weights.weight_hh, weights.bias_hh)).chunk(4, dim=-1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = linear(o.sigmoid() * c.tanh(), weights.weight_hr)
        return h, c


class LSTM(RecurrentLayer):
    """A stack of LSTM layers with the constructor and the call of `torch.nn.LSTM`; see `LSTMCell` and its equations.

    With `proj_size` it is a stack of `ProjectedLSTMCell`, as in torch.
    """

    cell = LSTMCell()

    @classmethod
    def build_cell(cls, **options: Any) -> Cell:
        """Choose the cell: a projected one where `proj_size` is not 0. Raises UsageError for an unknown option."""
        proj_size = options.pop("proj_size", 0)
        cell = cls.cell if proj_size in (0, None) else ProjectedLSTMCell(proj_size)
        return with_options(cell, options, ("proj_size",) if cell is cls.cell else ())


class ProjectedLSTM(RecurrentLayer):
    """A stack of LSTM layers whose output is projected; see `ProjectedLSTMCell`, and `proj_size` there."""

    cell = ProjectedLSTMCell()
