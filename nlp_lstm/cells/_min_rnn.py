"""Minimal gated networks: gates that read the input alone, so that training needs no loop over time."""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor
from torch.nn import functional as F

from nlp_lstm.cells._cell import ScanCell, State
from nlp_lstm.cells._layer import RecurrentLayer
from nlp_lstm.cells._scan import linear_recurrence


class _MinCell(ScanCell):
    """What both have: one state, h_t = keep_t * h_{t-1} + add_t, with neither factor a function of h."""

    state_names = ("h",)

    def parameter_shapes(self, input_size: int, hidden_size: int, bias: bool) -> dict[str, tuple[int, ...]]:
        """Give the shapes; there is no recurrent matrix."""
        shapes = super().parameter_shapes(input_size, hidden_size, bias)
        del shapes["weight_hh"]
        return shapes

    def step(self, projected: Tensor, state: State, weights: SimpleNamespace) -> State:
        """Make one step; shapes as in `Cell.step`, state (h,)."""
        keep, add = self._factors(projected)
        return (keep * state[0] + add,)

    def parallel(self, projected: Tensor, state: State, weights: SimpleNamespace) -> State:
        """Make all steps; shapes as in `ScanCell.parallel`, state (h,)."""
        keep, add = self._factors(projected)
        return (linear_recurrence(keep, add, state[0]),)

    def _factors(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


class MinGRUCell(_MinCell):
    """Minimal gated recurrent unit: the GRU without the reset gate, and without h in the gate or the candidate.

    Feng et al. 2024, "Were RNNs All We Needed?", section 3.1, with the linear candidate of that section (the appendix's
    form in logarithms is another function). Rows in the order z, n:

        z_t = sigmoid(W_iz x_t + b_z)                            update gate
        n_t = W_in x_t + b_n                                     candidate
        h_t = (1 - z_t) * h_{t-1} + z_t * n_t                    hidden state
    """

    name = "mingru"
    paper = "Feng et al. 2024, Were RNNs All We Needed?"
    number_of_gates = 2

    def _factors(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        z, n = projected.chunk(2, dim=-1)
        z = z.sigmoid()
        return 1 - z, z * n


class MinLSTMCell(_MinCell):
    """Minimal long short-term memory: a forget and an input gate that sum to one, both functions of the input alone.

    Feng et al. 2024, "Were RNNs All We Needed?", section 3.2, with the linear candidate of that section. Rows in the
    order f, i, n:

        f_t = sigmoid(W_if x_t + b_f)                            forget gate
        i_t = sigmoid(W_ii x_t + b_i)                            input gate
        n_t = W_in x_t + b_n                                     candidate
        h_t = f_t / (f_t + i_t) * h_{t-1} + i_t / (f_t + i_t) * n_t

    The quotients are found as sigmoids of log i_t - log f_t, which has no zero to divide by.
    """

    name = "minlstm"
    paper = "Feng et al. 2024, Were RNNs All We Needed?"
    number_of_gates = 3
    forget_gate = 0

    def _factors(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        f, i, n = projected.chunk(3, dim=-1)
        share = (F.logsigmoid(i) - F.logsigmoid(f)).sigmoid()
        return 1 - share, share * n


class MinGRU(RecurrentLayer):
    """A stack of minimal GRU layers; see `MinGRUCell` and its equations."""

    cell = MinGRUCell()


class MinLSTM(RecurrentLayer):
    """A stack of minimal LSTM layers; see `MinLSTMCell` and its equations."""

    cell = MinLSTMCell()
