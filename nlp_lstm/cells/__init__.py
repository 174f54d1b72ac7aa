"""The cell zoo: each cell's equations, and the recurrent layers that run them."""

from nlp_lstm.cells._cell import Cell, State
from nlp_lstm.cells._gru import GRU, GRUCell
from nlp_lstm.cells._layer import RecurrentLayer
from nlp_lstm.cells._lstm import LSTM, LSTMCell
from nlp_lstm.cells._rnn import RNN, RNNCell
from nlp_lstm.cells._table import CELLS, recurrent_layer

__all__ = [
    "CELLS",
    "GRU",
    "LSTM",
    "RNN",
    "Cell",
    "GRUCell",
    "LSTMCell",
    "RNNCell",
    "RecurrentLayer",
    "State",
    "recurrent_layer",
]
