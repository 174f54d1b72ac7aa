"""What `fit` trains for a classifier: batches of texts of similar length, and validation by what goes wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nlp_lstm.data import LabelledSplit, LengthBuckets
from nlp_lstm.errors import UsageError
from nlp_lstm.models import autocast, label_losses
from nlp_lstm.tasks import LONGEST_IN_TRAINING, Classification, TrainingTexts, balancing_weights, most_tokens
from nlp_lstm.training._options import TrainingOptions
from nlp_lstm.training._run import Run, say
from nlp_lstm.training._thawing import Thawing, layers_from_the_top

LOSS_SHARE = 1e-3
"""How much the loss counts beside the error rate when the best weights are chosen: it decides between equals."""
RATE_OF_THE_LAYER_BELOW = 1 / 2.6
"""Howard and Ruder 2018, section 3.2."""


class TextBatch(NamedTuple):
    """Texts in rows: ids (batch, time), lengths (batch,), targets (batch,) or (batch, labels); and its number."""

    number: int
    ids: Tensor
    lengths: Tensor
    targets: Tensor


class ClassificationObjective:
    """Cross entropy of the labels, in batches of texts of similar length whose order is new in each epoch.

    With `class_weights` a label costs the more the rarer it is. `validate` gives the error rate (with class weights
    its mean over labels; of several labels a text the share of wrong decisions) plus a thousandth of the loss.

    With `unfreeze_epochs`, for a model that starts from a language model, training begins with the output alone and
    takes in one layer more from the top whenever so many epochs are over (gradual unfreezing: Howard and Ruder 2018,
    section 3.3); `rate_scales` then has a smaller learning rate for each layer further down (discriminative
    fine-tuning, section 3.2). A budget in steps or epochs that ends before all layers are taken in is said at once.

    `word_dropout` and `crop` are those of `TrainingTexts`; a batch is a function of the run's seed and its number
    alone. `label_smoothing` is the share of the probability to learn that is spread evenly over the labels. Neither of
    the three is at work in validation. Long texts are in smaller batches, so that memory is bounded.

    Raises DataError for a label that no training text has, UsageError where an option is out of range.
    """

    def __init__(
        self,
        task: Classification,
        train: LabelledSplit,
        valid: LabelledSplit,
        run: Run,
        *,
        class_weights: bool = False,
        unfreeze_epochs: float | None = None,
        word_dropout: float = 0.0,
        crop: bool = False,
        label_smoothing: float = 0.0,
        adversarial: float = 0.0,
    ) -> None:
        if unfreeze_epochs is not None and unfreeze_epochs < 0:
            raise UsageError(f"--unfreeze-epochs {unfreeze_epochs} must be 0 (all layers at once) or more.")
        if not 0 <= adversarial < math.inf:
            raise UsageError(f"--adversarial {adversarial} must be 0 (off) or more, such as 0.2.")
        _check_smoothing(label_smoothing, task.model.options.output)
        self.task, self.model = task, task.model.to(run.device)
        self.device, self.precision, self.processes = run.device, run.precision, run.processes
        self.seed, self.label_smoothing, self.adversarial = run.options.seed, label_smoothing, adversarial
        self.texts = TrainingTexts(train.texts, task.reading, task.tokenizer, word_dropout, crop)
        if self.texts.too_long:
            say(
                f"Training texts of more than {LONGEST_IN_TRAINING:,} tokens, which are read at both ends: "
                f"{self.texts.too_long:,}. To read more of them, or less, give --max-words."
            )
        targets = task.targets(train)
        self.valid_texts, self.valid_targets = task.encode(valid.texts), torch.from_numpy(task.targets(valid))
        self.targets = torch.from_numpy(targets)
        weights = torch.from_numpy(balancing_weights(targets, len(task.labels))) if class_weights else None
        self.weights = None if weights is None else weights.to(run.device)
        batch_size = run.options.batch_size
        tokens = most_tokens(batch_size, self.texts.lengths, task.reading.max_words)
        self.buckets = LengthBuckets(self.texts.lengths, batch_size, tokens, self.seed)
        self.batches_per_epoch = self.buckets.batches_per_epoch
        self.data_sha = f"{train.sha} {valid.sha}"
        self.layers = layers_from_the_top(task.model)
        self.thawing = Thawing(self.layers, (unfreeze_epochs or 0.0) * self.batches_per_epoch)
        self.accumulate = run.options.accumulate
        self.rate_scales: dict[str, float] = {}
        if unfreeze_epochs is not None:
            self.rate_scales = {
                name: RATE_OF_THE_LAYER_BELOW**depth for depth, names in enumerate(self.layers) for name in names
            }
            self._say_what_stays_frozen(run.options)

    def _say_what_stays_frozen(self, options: TrainingOptions) -> None:
        ends = [] if options.max_steps is None else [options.max_steps]
        if options.max_epochs is not None:
            ends.append(math.ceil(options.max_epochs * self.batches_per_epoch / self.accumulate))
        note = self.frozen_note(min(ends)) if ends else None
        if note is not None:
            say(note)

    def frozen_note(self, steps: int) -> str | None:
        """Say how many layers are not trained in so many steps, for the model card; None where all are."""
        return self.thawing.note(steps * self.accumulate, self.batches_per_epoch)

    def batches(self, start: int) -> Iterator[TextBatch]:
        """Yield batches without end, from the one numbered `start` over all epochs."""
        number = start
        while True:
            places = self.buckets.batch(number)
            ids, lengths = self.texts.batch(places, np.random.default_rng([self.seed, number]))
            yield TextBatch(number, torch.from_numpy(ids), torch.from_numpy(lengths), self.targets[places])
            number += 1

    def count(self, batch: TextBatch) -> int:
        """Number of texts."""
        return len(batch.lengths)

    def loss(self, batch: TextBatch, carry: None, scale: float) -> tuple[Tensor, None]:
        """Sum of nats over the texts, times `scale`; nothing is carried."""
        self.thawing.apply(self.model, batch.number)
        ids, lengths, targets = (tensor.to(self.device) for tensor in batch[1:])
        with autocast(self.precision, self.device):
            value = self.model.loss(ids, lengths, targets, scale, self.weights, self.label_smoothing, self.adversarial)
        return value, carry

    def validate(self) -> float:
        """Error rate on the validation texts, plus `LOSS_SHARE` of the mean loss."""
        logits = torch.zeros(len(self.valid_texts), len(self.task.labels))
        rows = self.processes.rows(len(logits))
        logits[rows] = torch.from_numpy(self.task.logits_of_ids(self.valid_texts[rows]))
        logits = self.processes.sum(logits)
        targets, weights = self.valid_targets, None if self.weights is None else self.weights.cpu()
        loss = label_losses(logits, targets, weights).mean()
        if targets.dim() == 2:
            wrong = ((logits > 0) != (targets == 1)).float().mean()
        else:
            each = (logits.argmax(dim=1) != targets).float()
            wrong = each.mean() if weights is None else (each * weights[targets]).sum() / weights[targets].sum()
        return float(wrong + LOSS_SHARE * loss)


def _check_smoothing(share: float, output: str) -> None:
    if not 0 <= share < 1:
        raise UsageError(f"--label-smoothing {share} must be at least 0 and below 1.")
    if share and output != "softmax":
        raise UsageError(f"--label-smoothing is for --output softmax, and it is {output}. Leave one of them out.")


def describe_error(value: float) -> str:
    """Give what `ClassificationObjective.validate` returns, for a person."""
    return f"error {value:.2%}"
