"""The LSTM that forgets exactly as much as it takes in."""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor

from nlp_lstm.cells._cell import Cell, State
from nlp_lstm.cells._layer import RecurrentLayer
from nlp_lstm.cells.engine import linear


class CIFGCell(Cell):
    """Long short-term memory with coupled input and forget gate, three quarters of the LSTM's parameters.

    Greff et al. 2017, "LSTM: A Search Space Odyssey", section 3, variant CIFG, without peepholes. The paper learns i_t
    and sets f_t = 1 - i_t; here f_t is learnt, so that its bias can start it open, which is the same function with the
    sign of that gate's weights turned. Rows in the order f, g, o:

        f_t = sigmoid(W_if x_t + b_f + W_hf h_{t-1})             forget gate
        i_t = 1 - f_t                                            input gate
        g_t = tanh(W_ig x_t + b_g + W_hg h_{t-1})                candidate
        o_t = sigmoid(W_io x_t + b_o + W_ho h_{t-1})             output gate
        c_t = f_t * c_{t-1} + i_t * g_t                          cell state
        h_t = o_t * tanh(c_t)                                    hidden state
    """

    name = "cifg"
    paper = "Greff et al. 2017, LSTM: A Search Space Odyssey"
    number_of_gates = 3
    state_names = ("h", "c")
    forget_gate = 0

    def step(self, projected: Tensor, state: State, weights: SimpleNamespace) -> State:
        """Make one step; shapes as in `Cell.step`, state (h, c)."""
        h, c = state
        f, g, o = (projected + linear(h, weights.weight_hh)).chunk(3, dim=-1)
        f = f.sigmoid()
        c = f * c + (1 - f) * g.tanh()
        return o.sigmoid() * c.tanh(), c


class CIFG(RecurrentLayer):
    """A stack of LSTM layers with coupled gates; see `CIFGCell` and its equations."""

    cell = CIFGCell()
