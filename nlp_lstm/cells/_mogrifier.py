"""The LSTM whose input and state gate each other before they meet."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

from torch import Tensor

from nlp_lstm.cells._arguments import is_whole
from nlp_lstm.cells._cell import Cell, State
from nlp_lstm.cells._layer import RecurrentLayer
from nlp_lstm.cells.engine import linear
from nlp_lstm.errors import UsageError


@dataclass(frozen=True)
class MogrifierLSTMCell(Cell):
    """Long short-term memory whose input and previous output gate each other in `rounds` turns before the gates.

    Melis, Kocisky and Blunsom 2020, "Mogrifier LSTM", section 2, equations 1 and 2, with full matrices. With x^{-1} =
    x_t and h^0 = h_{t-1}, for i = 1 to rounds:

        x^i = 2 sigmoid(Q_i h^{i-1}) * x^{i-2}                   for odd i
        h^i = 2 sigmoid(R_i x^{i-1}) * h^{i-2}                   for even i

    The last x and h enter an LSTM; rows in the order i, f, g, o:

        i_t = sigmoid(W_ii x + b_i + W_hi h)                     input gate
        f_t = sigmoid(W_if x + b_f + W_hf h)                     forget gate
        g_t = tanh(W_ig x + b_g + W_hg h)                        candidate
        o_t = sigmoid(W_io x + b_o + W_ho h)                     output gate
        c_t = f_t * c_{t-1} + i_t * g_t                          cell state
        h_t = o_t * tanh(c_t)                                    hidden state

    The input waits for h, so that its product is made step by step. The paper's default is five rounds.
    """

    rounds: int = 5

    name = "mogrifier"
    paper = "Melis et al. 2020, Mogrifier LSTM"
    number_of_gates = 4
    state_names = ("h", "c")
    forget_gate = 1

    def __post_init__(self) -> None:
        """Refuse fewer than no rounds."""
        if not is_whole(self.rounds, 0):
            raise UsageError(f"rounds={self.rounds!r} must be a whole number of at least 0.")

    def parameter_shapes(self, input_size: int, hidden_size: int, bias: bool) -> dict[str, tuple[int, ...]]:
        """Give the shapes; weight_q1, weight_q3, ... are (input_size, hidden_size), weight_r2, ... the other way."""
        shapes = super().parameter_shapes(input_size, hidden_size, bias)
        for i in range(1, self.rounds + 1):
            shapes[_name(i)] = (input_size, hidden_size) if i % 2 else (hidden_size, input_size)
        return shapes

    def project(self, x: Tensor, weights: SimpleNamespace) -> Tensor:
        """Give x, (..., input_size), as it is."""
        return x

    def step(self, projected: Tensor, state: State, weights: SimpleNamespace) -> State:
        """Make one step from the input (batch, input_size) itself; state (h, c)."""
        x, (h, c) = projected, state
        for turn in range(1, self.rounds + 1):
            weight = getattr(weights, _name(turn))
            if turn % 2:
                x = 2 * linear(h, weight).sigmoid() * x
            else:
                h = 2 * linear(x, weight).sigmoid() * h
        gates = linear(x, weights.weight_ih, weights.bias_ih) + linear(h, weights.weight_hh)
        i, f, g, o = gates.chunk(4, dim=-1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


def _name(i: int) -> str:
    return f"weight_q{i}" if i % 2 else f"weight_r{i}"


class MogrifierLSTM(RecurrentLayer):
    """A stack of Mogrifier LSTM layers; see `MogrifierLSTMCell` and its equations, and `rounds` there."""

    cell = MogrifierLSTMCell()
