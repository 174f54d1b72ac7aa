"""What makes labelled texts unfit to learn from, and what to do about it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from nlp_lstm.data._label_columns import Example
from nlp_lstm.data._options import LabelledOptions
from nlp_lstm.data._records import briefly
from nlp_lstm.errors import DataError

_TELL = 5  # places that a message lists
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # what would break the lines of output


def labelled_only(split: str, examples: list[Example], notes: list[str], may_drop: bool) -> list[Example]:
    """Refuse texts without a label and labels without a text; a hub set, which nobody can mend, loses the latter.

    An empty list among lists of labels says that none of them applies. A held-out split without any label, which a data
    set for a contest keeps to itself, is left out.

    Raises:
        DataError: A text or a label is missing, or a label holds a control character.
    """
    _refuse_control_characters(examples)
    lists = any(example.listed and example.labels for example in examples)
    unlabelled = [example for example in examples if not (example.labels or (lists and example.listed))]
    if unlabelled and len(unlabelled) == len(examples) and split != "train":
        notes.append(f"The {split} split is left out, since none of its {len(examples):,} texts has a label")
        return []
    if unlabelled:
        raise DataError(
            f"{unlabelled[0].place} has no label{_more(len(unlabelled))}. Give it one or remove it, or name another "
            "column with --label-field."
        )
    empty = [example for example in examples if not example.text.strip()]
    if empty and not may_drop:
        raise DataError(
            f"{empty[0].place} has a label, but no text{_more(len(empty))}. Write the text or remove the record, or "
            "name another column with --text-field."
        )
    if empty:
        notes.append(f"Texts of {split} that are left out, since they are blank: {len(empty):,} ({_places(empty)})")
    return [example for example in examples if example.text.strip()] if empty else examples


def _refuse_control_characters(examples: Sequence[Example]) -> None:
    for example in examples:
        for label in example.labels:
            if _CONTROL.search(label):
                raise DataError(
                    f"{example.place}: the label {briefly(label)} holds a line end, a tab or another control "
                    "character, which a line of output cannot. Take it out, or name another column with --label-field."
                )


def _more(count: int) -> str:
    return f", and so have {count - 1:,} more" if count > 1 else ""


def _places(examples: Sequence[Example]) -> str:
    return "; ".join(example.place for example in examples[:_TELL]) + (" and more" if len(examples) > _TELL else "")


def check_labels(found: Mapping[str, list[Example]], options: LabelledOptions) -> None:
    """Refuse training texts of one label or of a label each, and held-out texts whose label no training text has.

    Raises:
        DataError: One of these is so; the message names the place and the cure.
    """
    if "train" not in found:
        return
    counts = Counter(label for example in found["train"] for label in example.labels)
    if len(counts) == 1 and all(example.labels for example in found["train"]):
        raise DataError(
            f"All {len(found['train']):,} training texts of {options.data} have the label {next(iter(counts))!r}: two "
            "labels at least are needed. Check --label-field and --data."
        )
    if len(found["train"]) > 40 and len(counts) > len(found["train"]) / 2:
        raise DataError(
            f"{options.data} has {len(counts):,} labels for {len(found['train']):,} training texts, such as "
            f"{', '.join(map(repr, list(counts)[:3]))}. Name the column of the labels with --label-field."
        )
    for examples in (found.get("valid", []), found.get("test", [])):
        for example in examples:
            unseen = [label for label in example.labels if label not in counts]
            if unseen:
                raise DataError(
                    f"{example.place} has the label {unseen[0]!r}, which no training text has; those have: "
                    f"{_listed(list(counts))}. Mend the label, or add texts with it to the training data."
                )


def _listed(labels: Sequence[str]) -> str:
    shown = ", ".join(sorted(labels)[:20])
    return shown + (f" and {len(labels) - 20:,} more" if len(labels) > 20 else "")
