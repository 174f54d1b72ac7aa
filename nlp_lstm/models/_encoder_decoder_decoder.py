"""The decoder: the target's tokens read so far and attention to the source, whole sequences or step by step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from nlp_lstm.cells import RecurrentLayer, State, recurrent_layer
from nlp_lstm.models._attention import AdditiveAttention, build_attention
from nlp_lstm.models._encoder_decoder_options import EncoderDecoderOptions
from nlp_lstm.models._encoder_decoder_state import DecoderState


class Decoded(NamedTuple):
    """What a decoder makes of a stretch of target tokens; every tensor begins with (batch, time).

    `features` go to the output layer; `source` is what the choice between writing and copying looks at: context, state
    and input; `weights` are the attention's; `overlap` (batch, time) is the coverage loss of See et al. 2017, equation
    12, zero without coverage.
    """

    features: Tensor
    source: Tensor
    weights: Tensor
    overlap: Tensor


class Decoder(nn.Module):
    """Recurrent layers over the target; the first one's output asks the attention, the others read the answer too.

    (As in Wu et al. 2016, figure 1, but with the query of the same step.) What the output layer reads is
    tanh(W [h; context] + b) (Luong et al. 2015, equation 5). Nothing in a step depends on the features of the step
    before, so that whole sequences are decoded layer by layer; unless these are fed to the next step (section 3.3).
    """

    def __init__(self, options: EncoderDecoderOptions, memory_size: int) -> None:
        super().__init__()
        self.input_feeding, self.residual, self.dropout = options.input_feeding, options.residual, options.dropout
        embedding = options.embedding_size
        first = self._build_layer(embedding * (2 if options.input_feeding else 1), options)
        self.size = size = first.cell.output_size(options.decoder_size)
        self.attention = build_attention(
            options.attention, size, memory_size, heads=options.attention_heads, coverage=options.coverage > 0
        )
        context = self.attention.context_size
        stack = [first, *(self._build_layer(size + context, options) for _ in range(options.decoder_layers - 1))]
        self.layers = nn.ModuleList(stack)
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in self.layers) if options.layer_norm else None
        self.readout = nn.Linear(size + context, embedding)
        self.source_size = context + size + embedding

    def _build_layer(self, size: int, options: EncoderDecoderOptions) -> RecurrentLayer:
        return recurrent_layer(
            options.cell, size, options.decoder_size, batch_first=True, weight_dropout=options.weight_dropout
        )

    def forward(self, x: Tensor, state: DecoderState) -> tuple[Decoded, DecoderState]:
        """Read x (batch, time, embedding_size), one or many steps, from a state."""
        masks = [self._mask(x, size) for size in (*[self.size] * len(self.layers), self.readout.out_features)]
        if not self.input_feeding:
            return self._read(x, state, masks)
        parts: list[Decoded] = []
        for step in x.split(1, dim=1):
            assert state.fed is not None
            part, state = self._read(step, state, masks)
            parts.append(part)
        return Decoded(*(torch.cat(tensors, dim=1) for tensors in zip(*parts, strict=True))), state

    def _read(self, x: Tensor, state: DecoderState, masks: list[Tensor | None]) -> tuple[Decoded, DecoderState]:
        entry = x if state.fed is None else torch.cat([x, state.fed.unsqueeze(1).to(x.dtype)], dim=-1)
        h, after = self._layer(0, entry, state.layers[0], masks)
        context, weights, coverage, overlap = self._attend(h, state)
        states = [after]
        for index in range(1, len(self.layers)):
            y, after = self._layer(index, torch.cat([h, context.to(h.dtype)], dim=-1), state.layers[index], masks)
            h = h + y if self.residual else y
            states.append(after)
        seen = torch.cat([h, context.to(h.dtype)], dim=-1)
        features = _masked(self.readout(seen).tanh(), masks[-1])
        source = torch.cat([seen, x.to(seen.dtype)], dim=-1)
        fed = None if state.fed is None else features[:, -1]
        end = DecoderState(state.memory, state.owners, tuple(states), fed, coverage, weights[:, -1], state.grid)
        return Decoded(features, source, weights, overlap), end

    def _layer(
        self, index: int, x: Tensor, state: Tensor | State, masks: list[Tensor | None]
    ) -> tuple[Tensor, Tensor | State]:
        y, after = self.layers[index](x, state)
        if self.norms is not None:
            y = self.norms[index](y)
        return _masked(y, masks[index]), after

    def _attend(self, h: Tensor, state: DecoderState) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
        """Ask with h (batch, time, size): context, weights, the coverage after it, and the overlap of every step."""
        memory, coverage, grid = state.memory, state.coverage, state.grid
        if coverage is None:
            query = h if grid is None else grid.spread(h)
            context, weights = self.attention(query, memory.keys, memory.values, memory.mask)
            if grid is not None:
                context, weights = grid.gather(context, h.shape[1]), grid.gather(weights, h.shape[1])
            return context, weights, None, weights.new_zeros(h.shape[:2])
        contexts, steps, overlaps = [], [], []
        assert isinstance(self.attention, AdditiveAttention)
        for query in h.split(1, dim=1):
            keys = self.attention.cover(memory.keys, coverage)
            context, weights = self.attention(query, keys, memory.values, memory.mask)
            overlaps.append(torch.minimum(weights[:, 0], coverage).sum(dim=-1))
            coverage = coverage + weights[:, 0]
            contexts.append(context)
            steps.append(weights)
        return torch.cat(contexts, dim=1), torch.cat(steps, dim=1), coverage, torch.stack(overlaps, dim=1)

    def _mask(self, x: Tensor, size: int) -> Tensor | None:
        """One locked dropout mask for all steps of a call, also where they are read one by one."""
        if not self.training or self.dropout == 0:
            return None
        keep = 1 - self.dropout
        return torch.empty(x.shape[0], 1, size, device=x.device).bernoulli_(keep).div_(keep)


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * mask.to(x.dtype)
