"""The simple recurrent network, the baseline that the gated cells improve on."""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor

from nlp_lstm.cells._cell import Cell, State
from nlp_lstm.cells._layer import RecurrentLayer
from nlp_lstm.cells.engine import linear


class RNNCell(Cell):
    """Simple recurrent network with a hyperbolic tangent.

    Elman 1990, "Finding Structure in Time", the network of figure 2 with tanh for the logistic function:

        h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)           hidden state

    The gradient passes W_hh once a step, so that over many steps it vanishes or explodes with that matrix's spectrum
    (Bengio, Simard and Frasconi 1994).
    """

    name = "rnn"
    paper = "Elman 1990"
    number_of_gates = 1
    state_names = ("h",)

    def step(self, projected: Tensor, state: State, weights: SimpleNamespace) -> State:
        """Make one step; shapes as in `Cell.step`, state (h,)."""
        (h,) = state
        return ((projected + linear(h, weights.weight_hh, weights.bias_hh)).tanh(),)


class RNN(RecurrentLayer):
    """A stack of RNN layers with the call of `torch.nn.RNN` (tanh); see `RNNCell` and its equations."""

    cell = RNNCell()
    torch_function = "rnn_tanh"
