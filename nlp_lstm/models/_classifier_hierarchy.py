"""Documents as sentences: one sequence of tokens becomes a batch of sentences, and their vectors a sequence again."""

from __future__ import annotations

import torch
from torch import Tensor

from nlp_lstm.models._pooling import inside

LONGEST_SENTENCE = 100
"""What runs on for longer is cut here: the time of a layer is that of the longest sentence."""


def sentence_lengths(ids: Tensor, length: int, ends: Tensor) -> Tensor:
    """Cut one document, ids (time,) of which `length` count, into sentences; returns their lengths (sentences,).

    A sentence ends with a token of `ends`, with the document, or after `LONGEST_SENTENCE` tokens. Further ending tokens
    belong to the sentence before ("..."), and those at the beginning to the first one.
    """
    ending = torch.isin(ids[:length], ends)
    stop = ending & (ending.logical_not().cumsum(0) > 0)
    stop[:-1] &= ~stop[1:].clone()
    stop[-1] = True
    borders = torch.cat([stop.new_zeros(1, dtype=torch.int64), stop.nonzero().squeeze(1) + 1])
    whole = borders.diff()
    parts = (whole + LONGEST_SENTENCE - 1) // LONGEST_SENTENCE
    number = torch.arange(int(parts.sum()), device=ids.device) - (parts.cumsum(0) - parts).repeat_interleave(parts)
    return (whole.repeat_interleave(parts) - number * LONGEST_SENTENCE).clamp(max=LONGEST_SENTENCE)


def split_sentences(x: Tensor, ids: Tensor, lengths: Tensor, ends: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Split a batch of documents into one batch of all their sentences.

    x (batch, time, features) are the embedded ids (batch, time). Returns the sentences (sentences, time, features),
    their lengths (sentences,) and how many of them each document has (batch,).
    """
    of_each = [sentence_lengths(row, int(length), ends) for row, length in zip(ids, lengths, strict=True)]
    sizes = torch.cat(of_each)
    tokens = x[inside(lengths, x.shape[1])]  # (tokens of all documents, features)
    sentences = x.new_zeros(len(sizes), int(sizes.max()), x.shape[2])
    sentences = sentences.masked_scatter(inside(sizes, sentences.shape[1]).unsqueeze(2), tokens)
    return sentences, sizes, torch.tensor([len(one) for one in of_each], device=x.device)


def join_documents(vectors: Tensor, counts: Tensor) -> Tensor:
    """Lay sentence vectors (sentences, size) out as sequences (batch, sentences of the longest document, size)."""
    documents = vectors.new_zeros(len(counts), int(counts.max()), vectors.shape[1])
    return documents.masked_scatter(inside(counts, documents.shape[1]).unsqueeze(2), vectors)
