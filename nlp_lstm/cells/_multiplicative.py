"""The LSTM whose recurrent matrix changes with the input."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor
from torch.nn import functional as F

from nlp_lstm.cells._cell import Cell, State
from nlp_lstm.cells._layer import RecurrentLayer
from nlp_lstm.cells.engine import linear


class MultiplicativeLSTMCell(Cell):
    """Multiplicative long short-term memory: every input has, in effect, a recurrent matrix of its own.

    Krause, Lu, Murray and Renals 2016, "Multiplicative LSTM for sequence modelling", section 2. As in the paper, the
    candidate is linear and the output gate stands inside the last tanh. Rows in the order i, f, g, o:

        m_t = (W_mx x_t) * (W_mh h_{t-1})                        what takes the place of h_{t-1}
        i_t = sigmoid(W_ii x_t + b_i + W_hi m_t)                 input gate
        f_t = sigmoid(W_if x_t + b_f + W_hf m_t)                 forget gate
        g_t = W_ig x_t + b_g + W_hg m_t                          candidate
        o_t = sigmoid(W_io x_t + b_o + W_ho m_t)                 output gate
        c_t = f_t * c_{t-1} + i_t * g_t                          cell state
        h_t = tanh(o_t * c_t)                                    hidden state
    """

    name = "multiplicative"
    paper = "Krause et al. 2016, Multiplicative LSTM for Sequence Modelling"
    number_of_gates = 4
    state_names = ("h", "c")
    forget_gate = 1
    recurrent_weights = ("weight_hh", "weight_mh")

    def parameter_shapes(self, input_size: int, hidden_size: int, bias: bool) -> dict[str, tuple[int, ...]]:
        """Give the shapes; weight_mx is (hidden_size, input_size), weight_mh (hidden_size, hidden_size)."""
        shapes = super().parameter_shapes(input_size, hidden_size, bias)
        return shapes | {"weight_mx": (hidden_size, input_size), "weight_mh": (hidden_size, hidden_size)}

    def project(self, x: Tensor, weights: SimpleNamespace) -> Tensor:
        """Map the input of all steps at once to (..., 5 * hidden_size): the four gates' rows, then W_mx x."""
        if x.dim() < 3:  # a single step: to put the weights together would take longer than the products
            return torch.cat([linear(x, weights.weight_ih, weights.bias_ih), linear(x, weights.weight_mx)], dim=-1)
        weight = torch.cat([weights.weight_ih, weights.weight_mx])
        bias = None if weights.bias_ih is None else F.pad(weights.bias_ih, (0, len(weights.weight_mx)))
        return linear(x, weight, bias)

    def step(self, projected: Tensor, state: State, weights: SimpleNamespace) -> State:
        """Make one step; projected (batch, 5 * hidden_size), state (h, c)."""
        h, c = state
        size = h.shape[-1]
        gates, factor = projected.split([4 * size, size], dim=-1)
        m = factor * linear(h, weights.weight_mh)
        i, f, g, o = (gates + linear(m, weights.weight_hh)).chunk(4, dim=-1)
        c = f.sigmoid() * c + i.sigmoid() * g
        return (o.sigmoid() * c).tanh(), c


class MultiplicativeLSTM(RecurrentLayer):
    """A stack of multiplicative LSTM layers; see `MultiplicativeLSTMCell` and its equations."""

    cell = MultiplicativeLSTMCell()
