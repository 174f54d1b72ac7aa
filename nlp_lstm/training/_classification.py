"""What `fit` trains for a classifier: batches of texts of similar length, and validation by what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from nlp_lstm.data import LabelledSplit, LengthBuckets
from nlp_lstm.errors import UsageError
from nlp_lstm.models import autocast, label_losses
from nlp_lstm.tasks import Classification, balancing_weights, pad
from nlp_lstm.training._run import Run

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
    fine-tuning, section 3.2).

    Raises DataError for a label that no training text has, UsageError where `unfreeze_epochs` is negative.
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
    ) -> None:
        if unfreeze_epochs is not None and unfreeze_epochs < 0:
            raise UsageError(f"--unfreeze-epochs {unfreeze_epochs} must be 0 (all layers at once) or more.")
        self.task, self.model = task, task.model.to(run.device)
        self.device, self.precision, self.processes = run.device, run.precision, run.processes
        self.texts, targets = task.encode(train.texts), task.targets(train)
        self.valid_texts, self.valid_targets = task.encode(valid.texts), torch.from_numpy(task.targets(valid))
        self.targets = torch.from_numpy(targets)
        weights = torch.from_numpy(balancing_weights(targets, len(task.labels))) if class_weights else None
        self.weights = None if weights is None else weights.to(run.device)
        lengths = np.array([len(ids) for ids in self.texts])
        self.buckets = LengthBuckets(lengths, run.options.batch_size, None, run.options.seed)
        self.batches_per_epoch = self.buckets.batches_per_epoch
        self.data_sha = f"{train.sha} {valid.sha}"
        self.unfreeze_epochs = unfreeze_epochs
        self.layers = layers_from_the_top(task.model)
        self.rate_scales: dict[str, float] = {}
        if unfreeze_epochs is not None:
            self.rate_scales = {
                name: RATE_OF_THE_LAYER_BELOW**depth for depth, names in enumerate(self.layers) for name in names
            }

    def batches(self, start: int) -> Iterator[TextBatch]:
        """Yield batches without end, from the one numbered `start` over all epochs."""
        number = start
        while True:
            places = self.buckets.batch(number)
            ids, lengths = pad([self.texts[place] for place in places])
            yield TextBatch(number, torch.from_numpy(ids), torch.from_numpy(lengths), self.targets[places])
            number += 1

    def count(self, batch: TextBatch) -> int:
        """Number of texts."""
        return len(batch.lengths)

    def loss(self, batch: TextBatch, carry: None, scale: float) -> tuple[Tensor, None]:
        """Sum of nats over the texts, times `scale`; nothing is carried."""
        if self.unfreeze_epochs:
            self._unfreeze(1 + int(batch.number / (self.batches_per_epoch * self.unfreeze_epochs)))
        ids, lengths, targets = (tensor.to(self.device) for tensor in batch[1:])
        with autocast(self.precision, self.device):
            value = self.model.loss(ids, lengths, targets, scale, self.weights)
        return value, carry

    def _unfreeze(self, layers: int) -> None:
        trained = {name for names in self.layers[:layers] for name in names}
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name in trained)

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


def describe_error(value: float) -> str:
    """Give what `ClassificationObjective.validate` returns, for a person."""
    return f"error {value:.2%}"


def layers_from_the_top(model: nn.Module) -> list[list[str]]:
    """Group a classifier's parameters by how far below the output they are: output, layers from the last, embedding."""
    names = [name for name, _ in model.named_parameters()]
    number_of_layers = len(model.encoder.layers)  # type: ignore[arg-type, union-attr]
    kinds = ("encoder.layers", "encoder.backward_layers")
    places = [tuple(f"{kind}.{index}." for kind in kinds) for index in reversed(range(number_of_layers))]
    groups = [[name for name in names if name.startswith(place)] for place in [*places, ("embedding",)]]
    below = {name for group in groups for name in group}
    return [[name for name in names if name not in below], *groups]
