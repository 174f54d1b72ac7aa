"""The LSTM with exponential gates."""

from __future__ import annotations

from types import MappingProxyType, SimpleNamespace

import torch
from torch import Tensor
from torch.nn import functional as F

from nlp_lstm.cells._cell import Cell, State
from nlp_lstm.cells._layer import RecurrentLayer
from nlp_lstm.cells.engine import linear


class SLSTMCell(Cell):
    """Scalar long short-term memory of xLSTM: an exponential input gate, a normaliser, and a stabiliser.

    Beck et al. 2024, "xLSTM: Extended Long Short-Term Memory", section 2.2, equations 8 to 17, with the sigmoid forget
    gate of equation 13 and one head. Rows in the order i, f, z, o; with (i~, f~, z~, o~) = W_ih x_t + b + W_hh h_{t-1}:

        z_t = tanh(z~)                                           candidate
        o_t = sigmoid(o~)                                        output gate
        m_t = max(log sigmoid(f~) + m_{t-1}, i~)                 stabiliser, which leaves h_t as it is
        i_t = exp(i~ - m_t)                                      input gate
        f_t = exp(log sigmoid(f~) + m_{t-1} - m_t)               forget gate
        c_t = f_t * c_{t-1} + i_t * z_t                          cell state
        n_t = f_t * n_{t-1} + i_t                                normaliser
        h_t = o_t * c_t / n_t                                    hidden state

    c and n are held in units of exp(m). A new sequence starts with c = n = 0 and m far below any gate, which makes n_t
    at least 1 from the first step on. A state of one's own needs n > 0, or n = 0 and that same m.
    """

    name = "slstm"
    paper = "Beck et al. 2024, xLSTM: Extended Long Short-Term Memory"
    number_of_gates = 4
    state_names = ("h", "c", "n", "m")
    forget_gate = 1
    zoneout_states = ("h",)  # c and n have units that change with m
    initial_state = MappingProxyType({"m": -1e4})

    def step(self, projected: Tensor, state: State, weights: SimpleNamespace) -> State:
        """Make one step; shapes as in `Cell.step`, state (h, c, n, m)."""
        h, c, n, m = state
        i, f, z, o = (projected + linear(h, weights.weight_hh)).chunk(4, dim=-1)
        kept = F.logsigmoid(f) + m
        m = torch.maximum(kept, i)
        i = (i - m).exp()
        f = (kept - m).exp()
        c = f * c + i * z.tanh()
        n = f * n + i
        return o.sigmoid() * c / n, c, n, m


class SLSTM(RecurrentLayer):
    """A stack of sLSTM layers; see `SLSTMCell` and its equations."""

    cell = SLSTMCell()
