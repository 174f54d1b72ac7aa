"""Which items to hold out of data that comes unsplit, so that nothing leaks into the test."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from nlp_lstm.data._cuts import cut_sizes, is_cut
from nlp_lstm.data._options import SplitOptions
from nlp_lstm.data._source import SPLITS
from nlp_lstm.errors import DataError

_SEED = 0
Item = TypeVar("Item")
Sizes = Mapping[str, int]
Places = dict[str, list[int]]


def hold_out(
    found: dict[str, list[Item]],
    options: SplitOptions,
    unit: str,
    deal: Callable[[list[Item], Sizes], Places],
) -> tuple[dict[str, list[Item]], str]:
    """Hold out what is missing from the training part, as `deal` says; also return the sizes in words, if any.

    Raises:
        DataError: It is too little, or too much of it is equal.
    """
    if not is_cut(found, options):
        return found, ""
    items = found["train"]
    sizes = cut_sizes(options.data, len(items), unit, "test" in found, options)
    parts = deal(items, sizes)
    for split in sizes:
        if not parts[split]:
            raise DataError(
                f"{options.data} is too short to split: too many of its {len(items):,} {unit} are equal to leave one "
                f"for {split}. Give more, or change --valid-fraction and --test-fraction."
            )
    cut = {split: [items[place] for place in places] for split, places in parts.items()}
    cut |= {split: rest for split, rest in found.items() if split != "train"}
    said = ", ".join(f"{len(places):,} {unit} are {split}" for split, places in parts.items())
    return {split: cut[split] for split in SPLITS if split in cut}, said


def evenly(groups: Sequence[Hashable], sizes: Sizes) -> Places:
    """Deal items to splits at even distances, equal ones to the same split; return the places of each, in order.

    A sorted file, say by length, so gives every split items from all of it. The sizes are those of `cut_sizes`, and
    kept where no items are equal.
    """
    places: dict[Hashable, list[int]] = {}
    for place, group in enumerate(groups):
        places.setdefault(group, []).append(place)
    return _deal(list(places.values()), sizes)


def stratified(texts: Sequence[str], labels: Sequence[tuple[str, ...]], sizes: Sizes) -> Places:
    """Deal texts to splits at random, so that each label gives its share; equal texts go to the same split.

    Every label keeps at least one text for training where training has any.
    """
    places: Places = {}
    for place, text in enumerate(texts):
        places.setdefault(text, []).append(place)
    groups = list(places.values())
    shuffled = [groups[place] for place in np.random.default_rng(_SEED).permutation(len(groups))]
    parts = _deal(sorted(shuffled, key=lambda group: labels[group[0]]), sizes)
    if "train" in parts:
        _return_last_of_label(parts, texts, labels)
    return parts


def _deal(groups: Sequence[list[int]], sizes: Sizes) -> Places:
    """Give the last split its share of the groups at even distances, then the one before of the rest, and so on."""
    parts: Places = {}
    first, *held_out = sizes
    for split in reversed(held_out):
        chosen, groups = _spread(groups, sizes[split])
        parts[split] = sorted(place for group in chosen for place in group)
    parts[first] = sorted(place for group in groups for place in group)
    return {split: parts[split] for split in sizes}


def _spread(groups: Sequence[list[int]], size: int) -> tuple[list[list[int]], list[list[int]]]:
    """Choose groups of about `size` items in all at even distances; also return the others."""
    total = sum(map(len, groups))
    chosen: list[list[int]] = []
    others: list[list[int]] = []
    passed = taken = 0
    for group in groups:
        passed += len(group)
        due = (2 * passed * size + total) // (2 * total)  # of the items passed, rounded to the nearest
        is_due = taken < due and len(group) <= 2 * (size - taken)  # one that would go far beyond is passed by
        taken += len(group) * is_due
        (chosen if is_due else others).append(group)
    return chosen, others


def _return_last_of_label(parts: Places, texts: Sequence[str], labels: Sequence[tuple[str, ...]]) -> None:
    trained = {label for place in parts["train"] for label in labels[place]}
    for split, part in parts.items():
        for place in part if split != "train" else []:
            if trained.issuperset(labels[place]):
                continue
            same = [other for other in part if texts[other] == texts[place]]
            parts["train"] = sorted([*parts["train"], *same])
            parts[split] = [other for other in parts[split] if other not in same]
            trained.update(*(labels[other] for other in same))
