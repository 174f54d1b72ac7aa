"""The recurrent encoder-decoder with attention: p(target | source), for translation and summaries."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nlp_lstm.cells import RecurrentLayer
from nlp_lstm.errors import ShapeError, UsageError
from nlp_lstm.models._dropout import LockedDropout
from nlp_lstm.models._encoder_decoder_decoder import Decoded, Decoder
from nlp_lstm.models._encoder_decoder_encoder import Bridge, Encoder, Memory
from nlp_lstm.models._encoder_decoder_options import EncoderDecoderOptions
from nlp_lstm.models._encoder_decoder_output import CopyGate, smoothed_loss
from nlp_lstm.models._encoder_decoder_state import DecoderState
from nlp_lstm.models._initialization import start_normal
from nlp_lstm.models._output import FullOutput
from nlp_lstm.models._softmax import IGNORED


class PairBatch(NamedTuple):
    """Sources and targets side by side; what stands behind a length is never looked at.

    source (batch, positions) int64 with `source_lengths` (batch,); target (batch, time + 1) int64, from the token that
    begins a text to the one that ends it, with `target_lengths` (batch,) counting both.
    """

    source: Tensor
    source_lengths: Tensor
    target: Tensor
    target_lengths: Tensor

    def to(self, device: torch.device) -> PairBatch:
        """Move the tensors to a device."""
        return PairBatch(*(tensor.to(device) for tensor in self))


class EncoderDecoder(nn.Module):
    """A bidirectional encoder and a decoder with attention (Bahdanau et al. 2015; Luong et al. 2015) over token ids.

    `encode` and `start` give a state, and `step` goes on from it, a token at a time; `select` takes rows of a state.
    `loss` and `token_losses` read whole targets. Raises UsageError where one vocabulary is to be shared by two sizes.
    """

    def __init__(self, source_vocab_size: int, target_vocab_size: int, options: EncoderDecoderOptions) -> None:
        super().__init__()
        if options.shared and source_vocab_size != target_vocab_size:
            raise UsageError(
                f"One vocabulary cannot be shared: the source has {source_vocab_size} ids and the target "
                f"{target_vocab_size}. Train one tokenizer on both, or give --shared false."
            )
        self.source_vocab_size, self.target_vocab_size = source_vocab_size, target_vocab_size
        self.options = options
        self.target_embedding = nn.Parameter(torch.empty(target_vocab_size, options.embedding_size))
        self.source_embedding = self.target_embedding
        if not options.shared:
            self.source_embedding = nn.Parameter(torch.empty(source_vocab_size, options.embedding_size))
        self.dropout = LockedDropout(options.dropout)
        self.encoder = Encoder(options)
        self.decoder = Decoder(options, self.encoder.size)
        self.bridge = Bridge(self.encoder.size, cast(list[RecurrentLayer], list(self.decoder.layers)))
        tied = self.target_embedding if options.tied else None
        self.output = FullOutput(target_vocab_size, options.embedding_size, tied)
        self.copy_gate = CopyGate(self.decoder.source_size) if options.copy else None
        for table in (self.target_embedding, self.source_embedding)[: 1 if options.shared else 2]:
            start_normal(table, 0.1)

    def tie(self) -> None:
        """Make shared tables one again, where moving the model to another storage made two of one."""
        if self.options.shared:
            self.source_embedding = self.target_embedding
        if self.options.tied:
            self.output.weight = self.target_embedding

    def encode(self, ids: Tensor, lengths: Tensor) -> Memory:
        """Read sources: ids (batch, positions) int64, of which the first `lengths` (batch,) are tokens."""
        if ids.dim() != 2:
            raise ShapeError(f"The source ids have the shape {tuple(ids.shape)}; give (batch, positions).")
        mask = torch.arange(ids.shape[1], device=ids.device) < lengths.unsqueeze(1)
        ids = ids.masked_fill(~mask, 0)
        memory, summary = self.encoder(self._embed(ids, self.source_embedding), lengths)
        keys, values = self.decoder.attention.prepare(memory)
        if torch.is_autocast_enabled(ids.device.type):  # once here, or else in every step
            dtype = torch.get_autocast_dtype(ids.device.type)
            keys, values = keys.to(dtype), values.to(dtype)
        return Memory(keys, values, mask, ids, summary)

    def start(self, memory: Memory) -> DecoderState:
        """Give the state before the first target token, a row a source."""
        summary, (rows, positions) = memory.summary, memory.ids.shape
        assert summary is not None, "the memory of a decoder that has started cannot start another"
        fed = coverage = None
        if self.options.input_feeding:
            fed = summary.new_zeros(rows, self.options.embedding_size)
        if self.options.coverage:
            coverage = torch.zeros(rows, positions, device=memory.ids.device)
        owners = torch.arange(rows, device=memory.ids.device)
        return DecoderState(memory._replace(summary=None), owners, self.bridge(summary), fed, coverage, None)

    def step(self, ids: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Read one token a row, ids (rows,), and give the logits of the next, (rows, vocab), and the state.

        With a copy mechanism the logits are log-probabilities.
        """
        decoded, state = self.decoder(self._embed(ids.unsqueeze(1), self.target_embedding), state)
        logits = self.output.logits(decoded.features)
        if self.copy_gate is not None:
            logits = self.copy_gate.log_probabilities(decoded, logits, state.source_ids())
        return logits[:, 0], state

    def select(self, state: DecoderState, rows: Tensor) -> DecoderState:
        """Take rows (n,) int64 of a state, repeated or left out."""
        return state.select(rows)

    def attention(self, state: DecoderState) -> Tensor | None:
        """Give the attention of the last step, (rows, positions), zero behind each source; None before the first."""
        return state.weights

    def decode(self, batch: PairBatch) -> tuple[Decoded, Memory, Tensor]:
        """Read whole pairs; return what was decoded, the memory, and the targets (batch, time), -100 in the padding."""
        memory = self.encode(batch.source, batch.source_lengths)
        inside = torch.arange(batch.target.shape[1], device=batch.target.device) < batch.target_lengths.unsqueeze(1)
        inputs = batch.target.masked_fill(~inside, 0)[:, :-1]
        targets = batch.target.masked_fill(~inside, IGNORED)[:, 1:]
        decoded, _ = self.decoder(self._embed(inputs, self.target_embedding), self.start(memory))
        return decoded, memory, targets

    def loss(self, batch: PairBatch, scale: float = 1.0) -> Tensor:
        """Sum over all target tokens of nats, smoothed, and of the coverage's penalty, times `scale`."""
        decoded, memory, targets = self.decode(batch)
        smoothing = self.options.label_smoothing
        scored = targets != IGNORED
        wanted = targets[scored]
        if self.copy_gate is None:
            loss = smoothed_loss(self.output, decoded.features[scored], wanted, smoothing, scale)
        else:
            nats, uniform = self.copy_gate.nats(decoded, self.output, memory.ids, targets)
            loss = scale * ((1 - smoothing) * nats + smoothing * uniform).sum()
        if self.options.coverage:
            loss = loss + scale * self.options.coverage * decoded.overlap[scored].sum()
        return loss

    @torch.no_grad()
    def token_losses(self, batch: PairBatch) -> Tensor:
        """Nats of every target token, (batch, time) fp32, zero in the padding; without smoothing."""
        decoded, memory, targets = self.decode(batch)
        scored = targets != IGNORED
        losses = torch.zeros(targets.shape, device=targets.device)
        if self.copy_gate is None:
            losses[scored] = self.output.token_losses(decoded.features[scored], targets[scored])
        else:
            losses[scored] = self.copy_gate.nats(decoded, self.output, memory.ids, targets)[0]
        return losses

    def _embed(self, ids: Tensor, table: Tensor) -> Tensor:
        """Look ids (batch, time) up; in training whole positions are dropped, then features, locked over time."""
        x = F.embedding(ids, table)
        if self.training and self.options.word_dropout:
            dropped = torch.rand(ids.shape, device=ids.device) < self.options.word_dropout
            x = x.masked_fill(dropped.unsqueeze(-1), 0.0)
        dropped_out: Tensor = self.dropout(x)
        return dropped_out
