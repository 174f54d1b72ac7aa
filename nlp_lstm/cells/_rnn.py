"""The simple recurrent network, the baseline that the gated cells improve on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from torch import Tensor

from nlp_lstm.cells._arguments import with_options
from nlp_lstm.cells._cell import Cell, State
from nlp_lstm.cells._layer import RecurrentLayer
from nlp_lstm.cells.engine import linear
from nlp_lstm.errors import unknown_name


class RNNCell(Cell):
    """Simple recurrent network with a hyperbolic tangent.

    Elman 1990, "Finding Structure in Time", the network of figure 2 with tanh for the logistic function:

        h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)           hidden state

    The gradient passes W_hh once a step, so that over many steps it vanishes or explodes with that matrix's spectrum
    (Bengio, Simard and Frasconi 1994).
    """

    name = "rnn"
    paper = "Elman 1990, Finding Structure in Time"
    number_of_gates = 1
    state_names = ("h",)
    torch_function = "rnn_tanh"
    biases = ("bias_ih", "bias_hh")

    def step(self, projected: Tensor, state: State, weights: SimpleNamespace) -> State:
        """Make one step; shapes as in `Cell.step`, state (h,)."""
        (h,) = state
        return ((projected + linear(h, weights.weight_hh, weights.bias_hh)).tanh(),)


class ReLURNNCell(RNNCell):
    """Simple recurrent network with a rectifier.

    Le, Jaitly and Hinton 2015, "A Simple Way to Initialize Recurrent Networks of Rectified Linear Units", section 3
    (whose start, W_hh = the identity and no bias, is left to the caller):

        h_t = max(0, W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)         hidden state
    """

    name = "rnn_relu"
    paper = "Le et al. 2015, A Simple Way to Initialize Recurrent Networks of Rectified Linear Units"
    torch_function = "rnn_relu"

    def step(self, projected: Tensor, state: State, weights: SimpleNamespace) -> State:
        """Make one step; shapes as in `Cell.step`, state (h,)."""
        (h,) = state
        return ((projected + linear(h, weights.weight_hh, weights.bias_hh)).relu(),)


_NONLINEARITIES: dict[str, Cell] = {"tanh": RNNCell(), "relu": ReLURNNCell()}


class RNN(RecurrentLayer):
    """A stack of RNN layers with the call of `torch.nn.RNN`; see `RNNCell` and its equations.

    `nonlinearity` is "tanh", or "relu" for `ReLURNNCell`.
    """

    cell = RNNCell()

    @classmethod
    def build_cell(cls, **options: Any) -> Cell:
        """Choose the cell by its nonlinearity. Raises UsageError for an option that it does not have."""
        nonlinearity = options.pop("nonlinearity", None)
        if nonlinearity is not None and str(nonlinearity) not in _NONLINEARITIES:
            raise unknown_name("nonlinearity", str(nonlinearity), _NONLINEARITIES)
        cell = cls.cell if nonlinearity is None else _NONLINEARITIES[str(nonlinearity)]
        return with_options(cell, options, ("nonlinearity",))


class ReLURNN(RNN):
    """A stack of RNN layers with rectifiers; see `ReLURNNCell` and its equations."""

    cell = ReLURNNCell()
