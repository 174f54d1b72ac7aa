"""What `fit` trains: batches in, a loss to lower and a value to validate by."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from nlp_lstm.data import StreamBatch, TokenizedText, TokenStream
from nlp_lstm.models import IGNORED, LanguageModel, ModelState, autocast, detach
from nlp_lstm.training._run import Run

_VALIDATION_LENGTH = 128
_VALIDATION_CONTEXT = 64
_CARRIED_STEPS = 32


class Objective(Protocol):
    """What a task gives to `fit`. A lower `validate` is better; the carry is what passes from batch to batch.

    A batch is a tuple whose tensors have a row an item (dimension 0), and the tensors of a carry have them as their
    last dimension but one: several processes take their rows of each. `validate` then adds up what they found.
    """

    batches_per_epoch: int
    data_sha: str
    """What the data is: a training that was stopped goes on with the same alone."""

    @property
    def model(self) -> nn.Module:
        """What is trained."""

    def batches(self, start: int) -> Iterator[Any]:
        """Yield batches without end, from the one numbered `start` over all epochs."""

    def count(self, batch: Any) -> int:
        """Number of scored items (tokens, sentences) in a batch."""

    def loss(self, batch: Any, carry: Any, scale: float) -> tuple[Tensor, Any]:
        """Sum of the batch's losses times `scale`, and the carry for the next batch."""

    def validate(self) -> float:
        """What to lower, such as the mean loss of a scored item, on the validation data."""


class LanguageModelObjective:
    """Truncated back-propagation through time over a text; the recurrent state is carried from batch to batch.

    (Mikolov et al. 2010; Williams and Peng 1990.) The rows forget it in turn, one a step and each every 32 steps or
    more: a model that met the state from which a text starts in its first step alone can run away from it for good,
    in some rows of a text at 10 nats a character. Validation reads its text in rows side by side with carried states.
    """

    def __init__(
        self,
        model: LanguageModel,
        train: TokenizedText,
        valid: TokenizedText,
        run: Run,
        sequence_length: int,
    ) -> None:
        self.model = model.to(run.device)
        self.device, self.precision, self.processes = run.device, run.precision, run.processes
        self.stream = TokenStream(train.ids, run.options.batch_size, sequence_length)
        rows = max(1, min(64, len(valid) // 512))
        self.valid_stream = TokenStream(valid.ids, rows, _VALIDATION_LENGTH, context=_VALIDATION_CONTEXT)
        self.batches_per_epoch = len(self.stream)
        self.data_sha = f"{train.sha} {valid.sha}"

    def batches(self, start: int) -> Iterator[tuple[Tensor, StreamBatch]]:
        """Yield (in which rows the state begins anew, batch) without end."""
        rows = torch.arange(self.stream.rows)
        for number in itertools.count(start):
            position = number % self.batches_per_epoch
            begins = rows == number % max(len(rows), _CARRIED_STEPS) if position else torch.ones_like(rows).bool()
            yield begins, self.stream.batch(position)

    def count(self, batch: tuple[Tensor, StreamBatch]) -> int:
        """Number of scored tokens."""
        return int((batch[1].targets != IGNORED).sum())

    def loss(
        self, batch: tuple[Tensor, StreamBatch], carry: ModelState | None, scale: float
    ) -> tuple[Tensor, ModelState]:
        """Sum of nats times `scale`, and the state, cut from the graph."""
        begins, tokens = batch
        inputs, targets = tokens.inputs.to(self.device), tokens.targets.to(self.device)
        if carry is not None and bool(begins.any()):
            carry = None if bool(begins.all()) else self.model.restart(carry, begins.to(self.device))
        with autocast(self.precision, self.device):
            value, state = self.model.loss(inputs, targets, carry, scale)
        return value, detach(state)

    @torch.no_grad()
    def validate(self) -> float:
        """Mean nats of a token on the validation text."""
        self.model.eval()
        total = count = 0.0
        state: ModelState | None = None
        for whole in self.valid_stream:
            batch, own = self.processes.part(whole)
            if not own:
                break
            inputs, targets = batch.inputs.to(self.device), batch.targets.to(self.device)
            with autocast(self.precision, self.device):
                nats, state = self.model.token_losses(inputs, targets, state)
            total += float(nats.double().sum())
            count += int((batch.targets != IGNORED).sum())
        self.model.train()
        total, count = self.processes.sum_numbers(total, count)
        return total / count
