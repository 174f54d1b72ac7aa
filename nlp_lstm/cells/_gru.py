"""The gated recurrent unit."""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor

from nlp_lstm.cells._cell import Cell, State
from nlp_lstm.cells._layer import RecurrentLayer
from nlp_lstm.cells.engine import linear


class GRUCell(Cell):
    """Gated recurrent unit, with the reset gate after the recurrent product as in torch and cuDNN.

    Cho et al. 2014, "Learning Phrase Representations using RNN Encoder-Decoder", equations 5 to 8; the reset gate
    stands after the product as in version 1 of that paper's preprint. The weights' rows are in the order r, z, n:

        r_t = sigmoid(W_ir x_t + b_ir + W_hr h_{t-1} + b_hr)        reset gate
        z_t = sigmoid(W_iz x_t + b_iz + W_hz h_{t-1} + b_hz)        update gate
        n_t = tanh(W_in x_t + b_in + r_t * (W_hn h_{t-1} + b_hn))   candidate
        h_t = (1 - z_t) * n_t + z_t * h_{t-1}                       hidden state
    """

    name = "gru"
    paper = "Cho et al. 2014"
    number_of_gates = 3
    state_names = ("h",)

    def step(self, projected: Tensor, state: State, weights: SimpleNamespace) -> State:
        """Make one step; shapes as in `Cell.step`, state (h,)."""
        (h,) = state
        input_r, input_z, input_n = projected.chunk(3, dim=-1)
        hidden_r, hidden_z, hidden_n = linear(h, weights.weight_hh, weights.bias_hh).chunk(3, dim=-1)
        r = (input_r + hidden_r).sigmoid()
        z = (input_z + hidden_z).sigmoid()
        n = (input_n + r * hidden_n).tanh()
        return ((1 - z) * n + z * h,)


class GRU(RecurrentLayer):
    """A stack of GRU layers with the constructor and the call of `torch.nn.GRU`; see `GRUCell` and its equations."""

    cell = GRUCell()
    torch_function = "gru"
