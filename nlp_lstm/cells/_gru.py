"""The gated recurrent unit, in both conventions for its reset gate."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from torch import Tensor

from nlp_lstm.cells._arguments import with_options
from nlp_lstm.cells._cell import Cell, State
from nlp_lstm.cells._layer import RecurrentLayer
from nlp_lstm.cells.engine import linear
from nlp_lstm.errors import UsageError


class GRUCell(Cell):
    """Gated recurrent unit, with the reset gate after the recurrent product as in torch and cuDNN.

    Cho et al. 2014, "Learning Phrase Representations using RNN Encoder-Decoder", section 2.3, equations 5 to 8; the
    reset gate stands after the product as in version 1 of that paper's preprint. The weights' rows are in the order
    r, z, n:

        r_t = sigmoid(W_ir x_t + b_ir + W_hr h_{t-1} + b_hr)        reset gate
        z_t = sigmoid(W_iz x_t + b_iz + W_hz h_{t-1} + b_hz)        update gate
        n_t = tanh(W_in x_t + b_in + r_t * (W_hn h_{t-1} + b_hn))   candidate
        h_t = (1 - z_t) * n_t + z_t * h_{t-1}                       hidden state
    """

    name = "gru"
    paper = "Cho et al. 2014, Learning Phrase Representations using RNN Encoder-Decoder (reset after the product)"
    number_of_gates = 3
    state_names = ("h",)
    torch_function = "gru"
    biases = ("bias_ih", "bias_hh")

    def step(self, projected: Tensor, state: State, weights: SimpleNamespace) -> State:
        """Make one step; shapes as in `Cell.step`, state (h,)."""
        (h,) = state
        input_r, input_z, input_n = projected.chunk(3, dim=-1)
        hidden_r, hidden_z, hidden_n = linear(h, weights.weight_hh, weights.bias_hh).chunk(3, dim=-1)
        r = (input_r + hidden_r).sigmoid()
        z = (input_z + hidden_z).sigmoid()
        n = (input_n + r * hidden_n).tanh()
        return ((1 - z) * n + z * h,)


class GRUResetBeforeCell(Cell):
    """Gated recurrent unit, with the reset gate before the recurrent product as the paper has it in print.

    Cho et al. 2014, "Learning Phrase Representations using RNN Encoder-Decoder", section 2.3, equations 5 to 8. Rows
    in the order r, z, n; the candidate's recurrent product has a matrix of its own, since it waits for r_t:

        r_t = sigmoid(W_ir x_t + b_r + W_hr h_{t-1})                reset gate
        z_t = sigmoid(W_iz x_t + b_z + W_hz h_{t-1})                update gate
        n_t = tanh(W_in x_t + b_n + W_hn (r_t * h_{t-1}))           candidate
        h_t = (1 - z_t) * n_t + z_t * h_{t-1}                       hidden state
    """

    name = "gru_reset_before"
    paper = "Cho et al. 2014, Learning Phrase Representations using RNN Encoder-Decoder"
    number_of_gates = 3
    state_names = ("h",)
    recurrent_weights = ("weight_hh", "weight_hn")

    def parameter_shapes(self, input_size: int, hidden_size: int, bias: bool) -> dict[str, tuple[int, ...]]:
        """Give the shapes: weight_hh holds the rows of r and z, weight_hn those of n; one bias."""
        shapes = super().parameter_shapes(input_size, hidden_size, bias)
        return shapes | {"weight_hh": (2 * hidden_size, hidden_size), "weight_hn": (hidden_size, hidden_size)}

    def step(self, projected: Tensor, state: State, weights: SimpleNamespace) -> State:
        """Make one step; shapes as in `Cell.step`, state (h,)."""
        (h,) = state
        input_r, input_z, input_n = projected.chunk(3, dim=-1)
        hidden_r, hidden_z = linear(h, weights.weight_hh).chunk(2, dim=-1)
        r = (input_r + hidden_r).sigmoid()
        z = (input_z + hidden_z).sigmoid()
        n = (input_n + linear(r * h, weights.weight_hn)).tanh()
        return ((1 - z) * n + z * h,)


class GRU(RecurrentLayer):
    """A stack of GRU layers with the constructor and the call of `torch.nn.GRU`; see `GRUCell` and its equations.

    `reset_after=False` makes it one of `GRUResetBeforeCell`.
    """

    cell = GRUCell()

    @classmethod
    def build_cell(cls, **options: Any) -> Cell:
        """Choose the cell by where its reset gate stands. Raises UsageError for an option that it does not have."""
        reset_after = options.pop("reset_after", True)
        if not isinstance(reset_after, bool):
            raise UsageError(f"reset_after={reset_after!r} must be True or False.")
        return with_options(cls.cell if reset_after else GRUResetBeforeCell(), options, ("reset_after",))


class GRUResetBefore(RecurrentLayer):
    """A stack of GRU layers with the reset gate before the product; see `GRUResetBeforeCell` and its equations."""

    cell = GRUResetBeforeCell()
