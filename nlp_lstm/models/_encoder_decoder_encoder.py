"""The encoder: source tokens to a memory that the decoder attends to, and the state that it starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nlp_lstm.cells import RecurrentLayer, State, recurrent_layer
from nlp_lstm.models._dropout import LockedDropout
from nlp_lstm.models._encoder_decoder_options import EncoderDecoderOptions


class Memory(NamedTuple):
    """What an encoder leaves of a batch of sources; the first dimension of every tensor is the batch.

    keys and values are (batch, positions, ...), mask (batch, positions) is true at tokens, and ids (batch, positions)
    are the source's. summary (batch, 2 * encoder_size) holds the last h of either direction, from which a decoder
    starts; None once it has.
    """

    keys: Tensor
    values: Tensor
    mask: Tensor
    ids: Tensor
    summary: Tensor | None

    def select(self, sentences: Tensor) -> Memory:
        """Take sentences (n,) int64 of the batch, repeated or left out, for a decoder that has started."""
        keys, mask, ids = (one.index_select(0, sentences) for one in (self.keys, self.mask, self.ids))
        values = keys if self.values is self.keys else self.values.index_select(0, sentences)  # one tensor stays one
        return Memory(keys, values, mask, ids, None)


class Encoder(nn.Module):
    """A stack of bidirectional recurrent layers (Schuster and Paliwal 1997); dropout behind each."""

    def __init__(self, options: EncoderDecoderOptions) -> None:
        super().__init__()
        layers: list[RecurrentLayer] = []
        size = options.embedding_size
        for _ in range(options.encoder_layers):
            layer = recurrent_layer(
                options.cell,
                size,
                options.encoder_size,
                batch_first=True,
                bidirectional=True,
                weight_dropout=options.weight_dropout,
            )
            size = 2 * layer.cell.output_size(options.encoder_size)
            layers.append(layer)
        self.size = size
        self.layers = nn.ModuleList(layers)
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in layers) if options.layer_norm else None
        self.residual = options.residual
        self.dropout = LockedDropout(options.dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Run over x (batch, positions, embedding_size); return (batch, positions, size) and the summary."""
        state: Tensor | State = x
        for index, layer in enumerate(self.layers):
            y, state = layer(x, lengths=lengths)
            if self.norms is not None:
                y = self.norms[index](y)
            x = self.dropout(x + y if self.residual and index else y)
        last = state if isinstance(state, Tensor) else state[0]  # (2, batch, encoder_size)
        return x, torch.cat([last[0], last[1]], dim=-1)


class Bridge(nn.Module):
    """From the encoder's summary to the states that the decoder's layers start from.

    h starts from tanh(W summary + b) (Bahdanau et al. 2015, appendix A.2.2, from both directions), and so does the c
    of a cell whose state is h and c; all else that a cell keeps starts as its equations say.
    """

    def __init__(self, summary_size: int, layers: Sequence[RecurrentLayer]) -> None:
        super().__init__()
        cell = layers[0].cell
        self.sizes = [cell.state_sizes(layer.hidden_size) for layer in layers]
        self.constants = cell.initial_state
        self.bridged = ["h", "c"] if list(cell.state_names) == ["h", "c"] else ["h"]
        self.maps = nn.ModuleList(
            nn.Linear(summary_size, sum(sizes[name] for name in self.bridged)) for sizes in self.sizes
        )

    def forward(self, summary: Tensor) -> tuple[Tensor | State, ...]:
        """Give each layer's state, tensors of (1, batch, width), from the summary (batch, summary_size)."""
        return tuple(
            self._start(linear(summary).tanh().to(summary.dtype), sizes)
            for linear, sizes in zip(self.maps, self.sizes, strict=True)
        )

    def _start(self, mapped: Tensor, sizes: Mapping[str, int]) -> Tensor | State:
        parts = dict(zip(self.bridged, mapped.split([sizes[name] for name in self.bridged], dim=-1), strict=True))
        for name, width in sizes.items():
            if name not in parts:
                parts[name] = mapped.new_full((len(mapped), width), self.constants.get(name, 0.0))
        state = tuple(parts[name].unsqueeze(0).contiguous() for name in sizes)
        return state[0] if len(state) == 1 else state
