"""Several models that decode as one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nlp_lstm.decoding._decoder import Decoder, attention_of
from nlp_lstm.errors import ShapeError, UsageError


class Ensemble:
    """A decoder that averages the probabilities, and the attention, of other decoders over one vocabulary.

    Its state is a tuple of theirs, so a search starts from `tuple(state of each)`.

    Raises:
        UsageError: no decoders are given.
    """

    def __init__(self, decoders: Sequence[Decoder[Any]]) -> None:
        if not decoders:
            raise UsageError("An ensemble of no models cannot decode; give at least one.")
        self.decoders = tuple(decoders)

    def step(self, ids: Tensor, state: tuple[Any, ...]) -> tuple[Tensor, tuple[Any, ...]]:
        """Return the logarithms of the averaged probabilities, float32 (rows, vocab), and the states.

        Raises:
            ShapeError: the decoders give logits for vocabularies of different sizes.
        """
        steps = [decoder.step(ids, one) for decoder, one in zip(self.decoders, state, strict=True)]
        sizes = [logits.shape[-1] for logits, _ in steps]
        if len(set(sizes)) > 1:
            raise ShapeError(f"The models of an ensemble need one vocabulary; theirs have {sizes} entries.")
        logarithms = torch.stack([logits.float().log_softmax(dim=-1) for logits, _ in steps])
        return logarithms.logsumexp(dim=0) - math.log(len(steps)), tuple(one for _, one in steps)

    def select(self, state: tuple[Any, ...], rows: Tensor) -> tuple[Any, ...]:
        """Return the states of `rows`, int64 (n,)."""
        return tuple(decoder.select(one, rows) for decoder, one in zip(self.decoders, state, strict=True))

    def attention(self, state: tuple[Any, ...]) -> Tensor | None:
        """Return the mean attention of the last step, (rows, source length); None where a decoder has none."""
        weights = [attention_of(decoder, one) for decoder, one in zip(self.decoders, state, strict=True)]
        known = [one for one in weights if one is not None]
        return torch.stack(known).mean(dim=0) if len(known) == len(weights) else None
