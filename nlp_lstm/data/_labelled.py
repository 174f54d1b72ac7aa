"""Texts with labels: what a classifier learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from nlp_lstm.data._builtin import BUILT_IN_LABELLED
from nlp_lstm.data._hub import hub_tables
from nlp_lstm.data._label_checks import check_labels, labelled_only
from nlp_lstm.data._label_columns import Example, Layout, read_examples
from nlp_lstm.data._label_files import read_files, read_folder
from nlp_lstm.data._named import find_data
from nlp_lstm.data._options import LabelledOptions
from nlp_lstm.data._shares import hold_out, stratified
from nlp_lstm.data._source import SPLITS, SplitData, content_sha


@dataclass(frozen=True)
class LabelledSplit:
    """The texts of one split and their labels.

    Attributes:
        name: `train`, `valid` or `test`.
        texts: The texts, in the order of the files.
        labels: The labels of each text: a tuple of one, or of more where a text has several.
        places: Where each text stands, for messages: `train.csv, line 7`.
    """

    name: str
    texts: list[str] = field(repr=False)
    labels: list[tuple[str, ...]] = field(repr=False)
    places: list[str] = field(repr=False)

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def sha(self) -> str:
        """Hex digest of the texts and labels in their order."""
        return content_sha((text, *labels) for text, labels in zip(self.texts, self.labels, strict=True))


class LabelledData(SplitData[LabelledSplit]):
    """The splits of one labelled data set."""


def load_labelled(options: LabelledOptions) -> LabelledData:
    """Read the labelled texts that `options.data` names, and split them where they do not come split.

    A set without splits, which is often sorted by label, is not cut by position: each label gives its share, drawn
    with a fixed seed, and equal texts stay together. Numbers as labels become text; a hub data set tells the names
    behind them.

    Raises:
        DataError: Nothing is there under this name, a file is damaged, a text or a label is missing, there is only one
            label, or one that no training text has; the message names the file, the line and the cure.
    """
    named = find_data(options.data, "labelled texts")
    if named.kind == "built-in":
        return _built_in(options.data)
    notes: list[str] = []
    description = named.description
    if named.kind == "hub":
        found, description = _hub_examples(options, notes)
    elif named.kind == "folder":
        found, description = read_folder(named.paths[0], options, notes)
    else:
        found = read_files({"train": named.paths}, options, notes)
    found = {
        split: labelled_only(split, found[split], notes, may_drop=named.kind == "hub")
        for split in SPLITS
        if split in found
    }
    found = {split: examples for split, examples in found.items() if examples}
    found, said = hold_out(found, options, "texts", _deal)
    notes += [f"The training texts are split at random in equal shares of each label (seed 0): {said}"] if said else []
    check_labels(found, options)
    return LabelledData({split: _split(split, examples) for split, examples in found.items()}, description, notes)


def _built_in(name: str) -> LabelledData:
    splits, description = BUILT_IN_LABELLED[name]()
    made = {
        split: LabelledSplit(
            split,
            list(texts),
            [(label,) for label in labels],
            [f"{name}, {split} {n:,}" for n, _ in enumerate(texts, 1)],
        )
        for split, (texts, labels) in splits.items()
    }
    return LabelledData(made, description, [])


def _hub_examples(options: LabelledOptions, notes: list[str]) -> tuple[dict[str, list[Example]], str]:
    tables, left_out = hub_tables(options.data)
    notes += left_out
    found = {}
    layout = Layout(False, "", "")
    for split, table in tables.items():
        layout = Layout.of_table(table, options)
        found[split] = list(read_examples(table, layout, options))
    return found, f"hub data set {options.data} (columns {layout.text} and {layout.label})"


def _deal(examples: list[Example], sizes: Mapping[str, int]) -> dict[str, list[int]]:
    return stratified([example.text for example in examples], [example.labels for example in examples], sizes)


def _split(name: str, examples: Sequence[Example]) -> LabelledSplit:
    return LabelledSplit(
        name,
        [example.text for example in examples],
        [example.labels for example in examples],
        [example.place for example in examples],
    )
