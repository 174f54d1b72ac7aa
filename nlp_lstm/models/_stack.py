"""The layers between embedding and output, as the options name them."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from nlp_lstm.cells import CELLS, RecurrentLayer, recurrent_layer
from nlp_lstm.errors import UsageError, unknown_name
from nlp_lstm.models._options import LanguageModelOptions
from nlp_lstm.models._transformer import TransformerDecoder, transformer_of

TRANSFORMER = "transformer"
"""What `--cell` calls the comparator that is no cell."""


def build_stack(options: LanguageModelOptions) -> tuple[nn.ModuleList, int]:
    """Build the layers, each with the call of a recurrent layer over (batch, time, features); and the last one's size.

    Raises UsageError for an unknown cell, and where a tied output would not fit the last layer.
    """
    if options.cell == TRANSFORMER:
        transformer = _transformer(options)
        return nn.ModuleList([transformer]), transformer.output_size
    if options.cell not in CELLS:
        raise unknown_name("cell", options.cell, [*CELLS, TRANSFORMER])
    layers: list[RecurrentLayer] = []
    size = options.embedding_size
    for hidden_size in _hidden_sizes(options):
        layers.append(
            recurrent_layer(options.cell, size, hidden_size, batch_first=True, weight_dropout=options.weight_dropout)
        )
        size = layers[-1].output_size
    if options.tied and size != options.embedding_size:
        raise UsageError(
            f"A tied output needs --embedding-size {options.embedding_size} features, and the cell {options.cell!r} "
            f"puts out {size}. Give --tied false."
        )
    return nn.ModuleList(layers), size


def _hidden_sizes(options: LanguageModelOptions) -> list[int]:
    last = options.embedding_size if options.tied else options.hidden_size
    return [*[options.hidden_size] * (options.num_layers - 1), last]


def _transformer(options: LanguageModelOptions) -> TransformerDecoder:
    """Build a Transformer with about as many parameters as the LSTM layers of these options would have."""
    if options.weight_dropout > 0:
        raise UsageError(f"The cell {TRANSFORMER!r} has no recurrent weights; leave out --weight-dropout.")
    sizes = [options.embedding_size, *_hidden_sizes(options)]
    parameters = sum(4 * after * (before + after + 2) for before, after in pairwise(sizes))
    blocks = 2 + 2 * options.num_layers
    return transformer_of(parameters, sizes[0], sizes[-1], blocks, options.hidden_dropout)
