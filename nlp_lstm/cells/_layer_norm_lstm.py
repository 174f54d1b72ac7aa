"""The LSTM with layer normalisation."""

from __future__ import annotations

from types import MappingProxyType, SimpleNamespace

from torch import Tensor
from torch.nn import functional as F

from nlp_lstm.cells._cell import Cell, State
from nlp_lstm.cells._layer import RecurrentLayer
from nlp_lstm.cells.engine import linear, normalised

_EPSILON = 1e-5


class LayerNormLSTMCell(Cell):
    """Long short-term memory with layer normalisation of both products and of the cell state.

    Ba, Kiros and Hinton 2016, "Layer Normalization", equations 20 to 22 of the supplement. LN(a; gain) = gain * (a -
    mean(a)) / sqrt(variance(a) + 1e-5), over all 4 * hidden_size rows of a product together. The paper's shifts beta_1
    and beta_2 add up with its b, and are one bias here. Rows in the order i, f, g, o:

        (i, f, g, o) = LN(W_ih x_t; gain_ih) + LN(W_hh h_{t-1}; gain_hh) + b_ih
        c_t = sigmoid(f) * c_{t-1} + sigmoid(i) * tanh(g)        cell state
        h_t = sigmoid(o) * tanh(LN(c_t; gain_c) + b_c)           hidden state
    """

    name = "layer_norm_lstm"
    paper = "Ba et al. 2016, Layer Normalization"
    number_of_gates = 4
    state_names = ("h", "c")
    forget_gate = 1
    constants = MappingProxyType({"gain_ih": 1.0, "gain_hh": 1.0, "gain_c": 1.0, "bias_c": 0.0})

    def parameter_shapes(self, input_size: int, hidden_size: int, bias: bool) -> dict[str, tuple[int, ...]]:
        """Give the shapes; gain_ih and gain_hh are (4 * hidden_size,), gain_c and bias_c (hidden_size,)."""
        shapes = super().parameter_shapes(input_size, hidden_size, bias)
        shapes |= {"gain_ih": (4 * hidden_size,), "gain_hh": (4 * hidden_size,), "gain_c": (hidden_size,)}
        return shapes | {"bias_c": (hidden_size,)} if bias else shapes

    def project(self, x: Tensor, weights: SimpleNamespace) -> Tensor:
        """Map and normalise the input of all steps; shapes as in `Cell.project`."""
        product = linear(x, weights.weight_ih)
        return F.layer_norm(product, product.shape[-1:], weights.gain_ih, weights.bias_ih, _EPSILON)

    def step(self, projected: Tensor, state: State, weights: SimpleNamespace) -> State:
        """Make one step; shapes as in `Cell.step`, state (h, c)."""
        h, c = state
        i, f, g, o = (projected + normalised(linear(h, weights.weight_hh), _EPSILON) * weights.gain_hh).chunk(4, dim=-1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        seen = normalised(c, _EPSILON) * weights.gain_c
        if weights.bias_c is not None:
            seen = seen + weights.bias_c
        return o.sigmoid() * seen.tanh(), c


class LayerNormLSTM(RecurrentLayer):
    """A stack of layer-normalised LSTM layers; see `LayerNormLSTMCell` and its equations."""

    cell = LayerNormLSTMCell()
