"""The cell zoo: each cell's equations, and the recurrent layers that run them."""

from nlp_lstm.cells._cell import Cell, ScanCell, State
from nlp_lstm.cells._cifg import CIFG, CIFGCell
from nlp_lstm.cells._conv_lstm import ConvLSTM, ConvLSTM1d, ConvLSTM2d
from nlp_lstm.cells._gru import GRU, GRUCell, GRUResetBefore, GRUResetBeforeCell
from nlp_lstm.cells._layer import RecurrentLayer
from nlp_lstm.cells._layer_norm_lstm import LayerNormLSTM, LayerNormLSTMCell
from nlp_lstm.cells._lstm import LSTM, LSTMCell, ProjectedLSTM, ProjectedLSTMCell
from nlp_lstm.cells._min_rnn import MinGRU, MinGRUCell, MinLSTM, MinLSTMCell
from nlp_lstm.cells._mogrifier import MogrifierLSTM, MogrifierLSTMCell
from nlp_lstm.cells._multiplicative import MultiplicativeLSTM, MultiplicativeLSTMCell
from nlp_lstm.cells._peephole import PeepholeLSTM, PeepholeLSTMCell
from nlp_lstm.cells._qrnn import QRNN, QRNNCell
from nlp_lstm.cells._rnn import RNN, ReLURNN, ReLURNNCell, RNNCell
from nlp_lstm.cells._slstm import SLSTM, SLSTMCell
from nlp_lstm.cells._table import CELLS, recurrent_layer
from nlp_lstm.cells._zoneout import ZoneoutCell

__all__ = [
    "CELLS",
    "CIFG",
    "GRU",
    "LSTM",
    "QRNN",
    "RNN",
    "SLSTM",
    "CIFGCell",
    "Cell",
    "ConvLSTM",
    "ConvLSTM1d",
    "ConvLSTM2d",
    "GRUCell",
    "GRUResetBefore",
    "GRUResetBeforeCell",
    "LSTMCell",
    "LayerNormLSTM",
    "LayerNormLSTMCell",
    "MinGRU",
    "MinGRUCell",
    "MinLSTM",
    "MinLSTMCell",
    "MogrifierLSTM",
    "MogrifierLSTMCell",
    "MultiplicativeLSTM",
    "MultiplicativeLSTMCell",
    "PeepholeLSTM",
    "PeepholeLSTMCell",
    "ProjectedLSTM",
    "ProjectedLSTMCell",
    "QRNNCell",
    "RNNCell",
    "ReLURNN",
    "ReLURNNCell",
    "RecurrentLayer",
    "SLSTMCell",
    "ScanCell",
    "State",
    "ZoneoutCell",
    "recurrent_layer",
]
