"""How recurrent weights start."""

from __future__ import annotations

from torch import nn

from nlp_lstm.cells import RecurrentLayer


def initialize_recurrent(layer: nn.Module, recurrent: str, forget_bias: float) -> None:
    """Set the recurrent weights and the forget gate's bias of a recurrent layer in place.

    "orthogonal" gives every gate's square block of the recurrent weights an orthogonal start (Saxe et al. 2014), and
    the input's weights that of Glorot and Bengio 2010; biases are zero. "uniform" leaves torch's start. In a cell that
    has one, the forget gate's bias becomes `forget_bias` (Jozefowicz, Zaremba and Sutskever 2015, section 3.3).
    """
    assert isinstance(layer, RecurrentLayer)
    size = layer.hidden_size
    for name, parameter in layer.named_parameters():
        if recurrent == "orthogonal":
            if name.startswith("weight_hh"):
                for block in parameter.data.split(size):
                    nn.init.orthogonal_(block)
            elif name.startswith("weight_ih"):
                for block in parameter.data.split(size):
                    nn.init.xavier_uniform_(block)
            else:
                nn.init.zeros_(parameter)
        if layer.cell.forget_gate is not None and name.startswith("bias_"):
            start = layer.cell.forget_gate * size
            nn.init.constant_(parameter.data[start : start + size], forget_bias if name.startswith("bias_ih") else 0.0)
