"""The long short-term memory."""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor

from nlp_lstm.cells._cell import Cell, State
from nlp_lstm.cells._layer import RecurrentLayer
from nlp_lstm.cells.engine import linear


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
    paper = "Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000"
    number_of_gates = 4
    state_names = ("h", "c")
    forget_gate = 1

    def step(self, projected: Tensor, state: State, weights: SimpleNamespace) -> State:
        """Make one step; shapes as in `Cell.step`, state (h, c)."""
        h, c = state
        i, f, g, o = (projected + linear(h, weights.weight_hh, weights.bias_hh)).chunk(4, dim=-1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        return h, c


class LSTM(RecurrentLayer):
    """A stack of LSTM layers with the constructor and the call of `torch.nn.LSTM`; see `LSTMCell` and its equations."""

    cell = LSTMCell()
    torch_function = "lstm"
