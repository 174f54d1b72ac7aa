"""The labels of a classifier: their names in order, and the targets that they make of labelled texts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nlp_lstm.data import LabelledSplit
from nlp_lstm.errors import DataError

Targets = npt.NDArray[np.int64]


def label_names(train: LabelledSplit) -> tuple[str, ...]:
    """Name all labels of the training texts, sorted: numbers by their value, anything else by code point.

    Numbers of one value, such as 1 and 1.0, are by code point too, and so is all where "nan" stands among them.
    Raises DataError where there is but one label, since nothing can be learned from that.
    """
    names = {label for labels in train.labels for label in labels}
    if len(names) < 2 and all(len(labels) == 1 for labels in train.labels):
        raise DataError(
            f"All {len(train.labels):,} training texts have the label {', '.join(map(repr, names))}: there is nothing "
            f"to tell apart. Give data with two labels or more, shuffled before it is split, or check --label-field."
        )
    try:
        values = {name: float(name) for name in names}
    except ValueError:
        values = {}
    by_value = bool(values) and not any(map(math.isnan, values.values()))
    return tuple(sorted(names, key=lambda name: (values[name] if by_value else 0.0, name)))


def label_targets(split: LabelledSplit, names: Sequence[str], several: bool) -> Targets:
    """Turn labels into columns, (texts,), or with `several` into a table of 0 and 1, (texts, labels); both int64.

    Raises DataError, which names the text's place, for a label that is none of `names`, and without `several`
    for a text that has not exactly one.
    """
    column = {name: place for place, name in enumerate(names)}
    table = np.zeros((len(split.labels), len(names)), dtype=np.int64)
    for number, labels in enumerate(split.labels):
        if not several and len(labels) != 1:
            raise DataError(
                f"{split.places[number]} has {len(labels)} labels ({', '.join(labels) or 'none'}). "
                f"For several labels at once give --output sigmoid; else leave each text one label."
            )
        for label in labels:
            if label not in column:
                raise DataError(
                    f"{split.places[number]} has the label {label!r}, which no training text has. "
                    f"Known: {', '.join(names)}. Correct it, leave the text out, or shuffle before splitting."
                )
            table[number, column[label]] = 1
    return table if several else table.argmax(axis=1)


def balancing_weights(targets: Targets, number_of_labels: int) -> npt.NDArray[np.float32]:
    """Weigh each label by how rare it is, (labels,) float32.

    Of one label a text: texts / (labels * texts with it), so that all labels count the same. Of several: texts without
    it / texts with it, so that yes and no do.
    """
    if targets.ndim == 2:
        has = targets.sum(axis=0).clip(min=1)
        weights = (len(targets) - has).clip(min=1) / has
    else:
        has = np.bincount(targets, minlength=number_of_labels).clip(min=1)
        weights = len(targets) / (number_of_labels * has)
    return np.asarray(weights, dtype=np.float32)
