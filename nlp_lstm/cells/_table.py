"""The table of cells: adding a cell is one file and one line here."""

from __future__ import annotations

from typing import Any

from nlp_lstm.cells._cifg import CIFG
from nlp_lstm.cells._gru import GRU, GRUResetBefore
from nlp_lstm.cells._layer import RecurrentLayer
from nlp_lstm.cells._layer_norm_lstm import LayerNormLSTM
from nlp_lstm.cells._lstm import LSTM, ProjectedLSTM
from nlp_lstm.cells._min_rnn import MinGRU, MinLSTM
from nlp_lstm.cells._mogrifier import MogrifierLSTM
from nlp_lstm.cells._multiplicative import MultiplicativeLSTM
from nlp_lstm.cells._peephole import PeepholeLSTM
from nlp_lstm.cells._qrnn import QRNN
from nlp_lstm.cells._rnn import RNN, ReLURNN
from nlp_lstm.cells._slstm import SLSTM
from nlp_lstm.errors import unknown_name

_LAYERS: tuple[type[RecurrentLayer], ...] = (
    RNN,
    ReLURNN,
    LSTM,
    GRU,
    GRUResetBefore,
    PeepholeLSTM,
    CIFG,
    LayerNormLSTM,
    ProjectedLSTM,
    MogrifierLSTM,
    MultiplicativeLSTM,
    SLSTM,
    MinLSTM,
    MinGRU,
    QRNN,
)
CELLS: dict[str, type[RecurrentLayer]] = {layer.cell.name: layer for layer in _LAYERS}


def recurrent_layer(cell: str, input_size: int, hidden_size: int, **options: Any) -> RecurrentLayer:
    """Build the layer of the cell named `cell`; `options` are those of `RecurrentLayer`.

    Raises UsageError, with the nearest name, where the table holds no such cell.
    """
    if not isinstance(cell, str) or cell not in CELLS:
        raise unknown_name("cell", str(cell), CELLS)
    return CELLS[cell](input_size, hidden_size, **options)
