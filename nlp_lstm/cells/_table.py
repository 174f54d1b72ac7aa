"""The table of cells: adding a cell is one file and one line here."""

from __future__ import annotations

from typing import Any

from nlp_lstm.cells._gru import GRU
from nlp_lstm.cells._layer import RecurrentLayer
from nlp_lstm.cells._lstm import LSTM
from nlp_lstm.cells._rnn import RNN
from nlp_lstm.errors import unknown_name

CELLS: dict[str, type[RecurrentLayer]] = {layer.cell.name: layer for layer in (RNN, LSTM, GRU)}


def recurrent_layer(cell: str, input_size: int, hidden_size: int, **options: Any) -> RecurrentLayer:
    """Build the layer of the cell named `cell`; `options` are those of `RecurrentLayer`.

    Raises UsageError, with the nearest name, where the table holds no such cell.
    """
    if cell not in CELLS:
        raise unknown_name("cell", cell, CELLS)
    return CELLS[cell](input_size, hidden_size, **options)
