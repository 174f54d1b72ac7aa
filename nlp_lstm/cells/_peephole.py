"""The LSTM whose gates see the cell state."""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor

from nlp_lstm.cells._cell import Cell, State
from nlp_lstm.cells._layer import RecurrentLayer
from nlp_lstm.cells.engine import linear


class PeepholeLSTMCell(Cell):
    """Long short-term memory with peepholes: each gate sees its own unit of the cell state.

    Gers and Schmidhuber 2000, "Recurrent Nets that Time and Count", section 3; in the form of Greff et al. 2017, "LSTM:
    A Search Space Odyssey", section 2.A, with tanh for both squashing functions. Rows in the order i, f, g, o:

        i_t = sigmoid(W_ii x_t + b_i + W_hi h_{t-1} + w_ci * c_{t-1})     input gate
        f_t = sigmoid(W_if x_t + b_f + W_hf h_{t-1} + w_cf * c_{t-1})     forget gate
        g_t = tanh(W_ig x_t + b_g + W_hg h_{t-1})                         candidate
        c_t = f_t * c_{t-1} + i_t * g_t                                   cell state
        o_t = sigmoid(W_io x_t + b_o + W_ho h_{t-1} + w_co * c_t)         output gate, which sees the new state
        h_t = o_t * tanh(c_t)                                             hidden state
    """

    name = "peephole"
    paper = "Gers & Schmidhuber 2000, Recurrent Nets that Time and Count"
    number_of_gates = 4
    state_names = ("h", "c")
    forget_gate = 1

    def parameter_shapes(self, input_size: int, hidden_size: int, bias: bool) -> dict[str, tuple[int, ...]]:
        """Give the shapes; the peepholes weight_ci, weight_cf and weight_co are (hidden_size,) each."""
        shapes = super().parameter_shapes(input_size, hidden_size, bias)
        return shapes | dict.fromkeys(("weight_ci", "weight_cf", "weight_co"), (hidden_size,))

    def step(self, projected: Tensor, state: State, weights: SimpleNamespace) -> State:
        """Make one step; shapes as in `Cell.step`, state (h, c)."""
        h, c = state
        i, f, g, o = (projected + linear(h, weights.weight_hh)).chunk(4, dim=-1)
        i = (i + weights.weight_ci * c).sigmoid()
        f = (f + weights.weight_cf * c).sigmoid()
        c = f * c + i * g.tanh()
        o = (o + weights.weight_co * c).sigmoid()
        return o * c.tanh(), c


class PeepholeLSTM(RecurrentLayer):
    """A stack of LSTM layers with peepholes; see `PeepholeLSTMCell` and its equations."""

    cell = PeepholeLSTMCell()
