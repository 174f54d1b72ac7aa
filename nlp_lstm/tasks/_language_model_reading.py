"""A whole text through a language model, in rows side by side, and back in the order of the text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nlp_lstm.data import TokenizedText, TokenStream
from nlp_lstm.models import IGNORED
from nlp_lstm.tasks._conversation import start_ids
from nlp_lstm.tokenization import Tokenizer

CONTEXT = 256
"""Tokens before its own part that every row but the first reads without being scored."""
_MOST_ROWS = 32
_LENGTH = 128

Read = Callable[[Tensor, Tensor, Any], tuple[Tensor, Any]]
"""ids, targets (batch, time) and a state to values (..., batch, time) and the state."""


def rows_of(tokens: int) -> int:
    """Rows that a text is read in: up to 32, none so short that the context would be most of it."""
    return max(1, min(_MOST_ROWS, tokens // (4 * CONTEXT)))


def read_text(model: nn.Module, tokenizer: Tokenizer, text: TokenizedText, context: int, read: Read) -> Tensor:
    """Run `read` over a text in evaluation mode: its values for every token, (n, tokens), in the order of the text.

    The text itself starts after a line end; each row carries its state and first reads `context` tokens before it.
    """
    device = next(model.parameters()).device
    ids = np.concatenate([np.array(start_ids(tokenizer, "")[-1:], dtype=text.ids.dtype), text.ids])
    training = model.training
    model.eval()
    values, scored = [], []
    state: Any = None
    with torch.inference_mode():
        for batch in TokenStream(ids, rows_of(len(text)), _LENGTH, context=context):
            targets = batch.targets.to(device)
            value, state = read(batch.inputs.to(device), targets, state)
            values.append(value.cpu().view(-1, *targets.shape))
            scored.append(batch.targets != IGNORED)
    model.train(training)
    # Row by row is the order of the text.
    return torch.cat(values, dim=2)[:, torch.cat(scored, dim=1)]
