"""How weights start."""

from __future__ import annotations

from torch import Tensor, nn

from nlp_lstm.cells import Cell, RecurrentLayer


def start_normal(values: Tensor, deviation: float) -> None:
    """Draw values in place from a normal distribution around zero with the standard deviation `deviation`.

    Nothing is drawn on torch's "meta" device, where a model is built whose weights are then loaded: there is nothing
    to fill, and torch would import its compiler for it, which takes longer than to load the model.
    """
    if not values.is_meta:
        nn.init.normal_(values, std=deviation)


def initialize_recurrent(layer: nn.Module, recurrent: str, forget_bias: float) -> None:
    """Set the recurrent weights and the forget gate's bias of a recurrent layer in place; other layers stay as is.

    "orthogonal" gives every gate's square block of the recurrent weights an orthogonal start (Saxe et al. 2014), and
    all other matrices that of Glorot and Bengio 2010; biases are zero. "uniform" leaves torch's start. In a cell that
    has one, the forget gate's bias becomes `forget_bias` (Jozefowicz, Zaremba and Sutskever 2015, section 3.3).
    """
    if not isinstance(layer, RecurrentLayer):
        return
    cell, size = layer.cell, layer.hidden_size
    for name, parameter in layer.named_parameters():
        name = name[: name.rindex("_l")]
        if recurrent == "orthogonal":
            _start_orthogonal(name, parameter.data, cell, size)
        if cell.forget_gate is not None and name in cell.biases:
            start = cell.forget_gate * size
            nn.init.constant_(parameter.data[start : start + size], forget_bias if name == "bias_ih" else 0.0)


def _start_orthogonal(name: str, values: Tensor, cell: Cell, size: int) -> None:
    if values.dim() == 2:
        start = nn.init.orthogonal_ if name in cell.recurrent_weights else nn.init.xavier_uniform_
        for block in values.split(size if values.shape[0] % size == 0 else values.shape[0]):
            start(block)
    elif name in cell.biases:
        nn.init.zeros_(values)
