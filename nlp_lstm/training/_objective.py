"""What `fit` trains: batches in, a loss to lower and a value to validate by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from nlp_lstm.data import BufferedStream, StreamBatch, StreamedText, TokenizedText, TokenStream
from nlp_lstm.errors import UsageError
from nlp_lstm.models import IGNORED, LanguageModel, ModelState, autocast, detach
from nlp_lstm.training._restored import MisfitError, require_like
from nlp_lstm.training._rows import length
from nlp_lstm.training._run import Run
from nlp_lstm.training._streamed import StreamedBatches

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


@runtime_checkable
class Resumable(Protocol):
    """What an objective may have besides, where a batch is not found by its number alone, or something is carried.

    A checkpoint holds the position, and what is in a checkpoint may be damaged or of another model.
    """

    def position(self, batch: int) -> list[int]:
        """Where to read on with a batch, all those before which have been read."""

    def go_on_from(self, batch: int, position: Any) -> None:
        """Take what `position` gave for a batch, before `batches` begins there; MisfitError where it is none."""

    def require_carry(self, carry: Any) -> None:
        """Raise MisfitError where nested tuples of tensors, or None, are nothing that `loss` could take or gives."""


class LanguageModelObjective:
    """Truncated back-propagation through time over a text; the recurrent state is carried from batch to batch.

    (Mikolov et al. 2010; Williams and Peng 1990.) The rows forget it in turn, one a step and each every 32 steps or
    more: a model that met the state from which a text starts in its first step alone can run away from it for good,
    in some rows of a text at 10 nats a character. Validation reads its text in rows side by side with carried states.

    A text that is streamed (`StreamedText`) is trained on a buffer at a time, whose rows begin anew. Every process
    reads and tokenizes all of it, and takes its rows of each batch. `batches_per_epoch` is an estimate then.

    Raises:
        DataError: A text has fewer than 2 tokens.
        UsageError: The budget is in epochs of a streamed text whose length nothing tells.
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
        rows, seed = run.options.batch_size, run.options.seed
        self.stream: TokenStream | BufferedStream
        self._streamed: StreamedBatches | None = None
        if isinstance(train, StreamedText):
            self.stream = BufferedStream(train, rows, sequence_length, seed)
            self._streamed = StreamedBatches(self.stream)
            if train.source.characters is None and run.options.max_epochs is not None:
                raise UsageError(
                    "The length of the streamed text is not known, and so an epoch has no end. Give --max-steps or "
                    "--max-time."
                )
        else:
            self.stream = TokenStream(train.ids, rows, sequence_length)
            rows = self.stream.rows
        self.rows = rows
        valid_rows = max(1, min(64, len(valid) // 512))
        self.valid_stream = TokenStream(valid.ids, valid_rows, _VALIDATION_LENGTH, context=_VALIDATION_CONTEXT)
        self.batches_per_epoch = len(self.stream)
        self.data_sha = f"{train.sha} {valid.sha}"

    def batches(self, start: int) -> Iterator[tuple[Tensor, StreamBatch]]:
        """Yield (in which rows the state begins anew, batch) without end; of a streamed text the first is read at once.

        Raises TrainingError where a streamed text is another at the position that `go_on_from` was told.
        """
        return _with_beginnings(self._positioned(start), start)

    def _positioned(self, start: int) -> Iterator[tuple[int, StreamBatch]]:
        return self._streamed.batches(start) if self._streamed else self.stream.around(start)

    def position(self, batch: int) -> list[int]:
        """Where a streamed text is read on with a batch; nothing for a text that is found by its number."""
        return self._streamed.position(batch) if self._streamed else []

    def go_on_from(self, batch: int, position: Any) -> None:
        """Take what `position` gave for a batch; raises MisfitError where it is none."""
        if self._streamed:
            self._streamed.go_on_from(batch, position)

    @torch.no_grad()
    def require_carry(self, carry: Any) -> None:
        """Raise MisfitError where a carry is no state of this model, or of other rows than there are."""
        if carry is None:
            return
        rows = length(carry, -2) or 0
        if rows > self.rows or (rows < self.rows and not self._streamed):  # the end of a streamed text may have fewer
            raise MisfitError(f"carry has {rows} rows where there are {self.rows}")
        training = self.model.training
        self.model.eval()
        with autocast(self.precision, self.device):
            _, state = self.model.hidden(torch.zeros(1, 1, dtype=torch.int64, device=self.device))
        self.model.train(training)
        require_like(carry, state, "carry")

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


def _with_beginnings(positioned: Iterator[tuple[int, StreamBatch]], start: int) -> Iterator[tuple[Tensor, StreamBatch]]:
    for number, (position, batch) in enumerate(positioned, start):
        rows = torch.arange(len(batch.inputs))
        begins = rows == number % max(len(rows), _CARRIED_STEPS) if position else torch.ones_like(rows).bool()
        yield begins, batch
