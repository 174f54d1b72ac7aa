"""What `fit` trains of a translator: batches of pairs of similar length, smoothed nats, validation in plain nats."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from nlp_lstm.data import LengthBuckets, PairData
from nlp_lstm.models import PairBatch, autocast
from nlp_lstm.tasks import TokenizedPairs, Translation
from nlp_lstm.training._run import Run

_VALIDATION_TOKENS = 16_384


class TranslationObjective:
    """Lowers the smoothed nats of target tokens, in batches of pairs of similar length.

    `batch_tokens`, where given, takes the place of the run's batch size: source and target tokens of a batch, padding
    included. With `subword_sampling` above 0 the words of the training pairs are cut into tokens anew each time they
    are read (see `nlp_lstm.tokenization.SubwordSampler`). A batch is a function of the run's seed and its number alone.
    The task learns how long the sources of training are, and their targets for each token of the source.
    """

    def __init__(
        self,
        task: Translation,
        data: PairData,
        run: Run,
        batch_tokens: int | None = None,
        subword_sampling: float = 0.0,
    ) -> None:
        self.model = task.model.to(run.device)
        self.device, self.precision, self.processes = run.device, run.precision, run.processes
        self.seed = run.options.seed
        train, valid = data.split("train"), data.split("valid")
        self.data_sha = f"{train.sha} {valid.sha}"
        self.train = TokenizedPairs(train, task.source_tokenizer, task.target_tokenizer, subword_sampling)
        task.learn_lengths(self.train.lengths)
        size = None if batch_tokens else run.options.batch_size
        self.buckets = LengthBuckets(self.train.lengths, size, batch_tokens, self.seed)
        self.batches_per_epoch = self.buckets.batches_per_epoch
        held_out = TokenizedPairs(valid, task.source_tokenizer, task.target_tokenizer)
        buckets = LengthBuckets(held_out.lengths, None, _VALIDATION_TOKENS, 0)
        self.valid = [held_out.batch(buckets.batch(number)) for number in range(buckets.batches_per_epoch)]

    def batches(self, start: int) -> Iterator[PairBatch]:
        """Yield batches without end, from the one numbered `start` over all epochs."""
        number = start
        while True:
            yield self.batch(number)
            number += 1

    def batch(self, number: int) -> PairBatch:
        """Give the batch of that number, counted over all epochs."""
        return self.train.batch(self.buckets.batch(number), np.random.default_rng([self.seed, number]))

    def count(self, batch: PairBatch) -> int:
        """Number of target tokens to learn, the end of each text among them."""
        return int((batch.target_lengths - 1).sum())

    def loss(self, batch: PairBatch, carry: None, scale: float) -> tuple[Tensor, None]:
        """Sum of the batch's smoothed nats times `scale`; nothing is carried from batch to batch."""
        with autocast(self.precision, self.device):
            return self.model.loss(batch.to(self.device), scale), carry

    @torch.no_grad()
    def validate(self) -> float:
        """Mean nats of a target token of the validation pairs, without smoothing."""
        self.model.eval()
        total = count = 0.0
        for batch in self.valid[self.processes.rank :: self.processes.count]:
            with autocast(self.precision, self.device):
                total += float(self.model.token_losses(batch.to(self.device)).double().sum())
            count += self.count(batch)
        self.model.train()
        total, count = self.processes.sum_numbers(total, count)
        return total / count
