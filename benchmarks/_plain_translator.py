"""A translator on torch.nn alone, as textbooks have it: a loop over decoder steps with input feeding."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from nlp_lstm.models import PairBatch


class PlainTranslator(nn.Module):
    """BiLSTM encoder, general attention (Luong et al. 2015), LSTM decoder that is fed its last attentional vector."""

    def __init__(self, vocab_size: int, embedding: int, encoder: int, decoder: int, dropout: float) -> None:
        super().__init__()
        self.source = nn.Embedding(vocab_size, embedding)
        self.target = nn.Embedding(vocab_size, embedding)
        self.encoder = nn.LSTM(embedding, encoder, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(2 * encoder, decoder)
        self.cell = nn.LSTMCell(embedding + decoder, decoder)
        self.key = nn.Linear(2 * encoder, decoder, bias=False)
        self.mix = nn.Linear(2 * encoder + decoder, decoder)
        self.output = nn.Linear(decoder, vocab_size)
        self.dropout = nn.Dropout(dropout)

    def loss(self, batch: PairBatch, smoothing: float) -> Tensor:
        """Mean smoothed nats of a target token."""
        memory, mask = self.encode(batch)
        keys = self.key(memory)
        h = torch.tanh(self.bridge(memory[:, 0]))
        c, fed = torch.zeros_like(h), torch.zeros_like(h)
        embedded = self.dropout(self.target(batch.target[:, :-1]))
        steps = []
        for x in embedded.unbind(1):
            h, c = self.cell(torch.cat([x, fed], dim=1), (h, c))
            scores = (keys @ h.unsqueeze(2)).squeeze(2).masked_fill(~mask, float("-inf"))
            context = (scores.softmax(dim=1).unsqueeze(1) @ memory).squeeze(1)
            fed = self.dropout(torch.tanh(self.mix(torch.cat([context, h], dim=1))))
            steps.append(fed)
        logits = self.output(torch.stack(steps, dim=1))
        inside = torch.arange(logits.shape[1]) < batch.target_lengths[:, None] - 1
        targets = batch.target[:, 1:].masked_fill(~inside, -100)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), label_smoothing=smoothing)

    def encode(self, batch: PairBatch) -> tuple[Tensor, Tensor]:
        """Read sources: (batch, positions, 2 * encoder), and where they have tokens."""
        embedded = self.dropout(self.source(batch.source))
        packed = pack_padded_sequence(embedded, batch.source_lengths, batch_first=True, enforce_sorted=False)
        memory, _ = pad_packed_sequence(self.encoder(packed)[0], batch_first=True)
        return memory, torch.arange(memory.shape[1]) < batch.source_lengths[:, None]
