"""Pairs of texts: what a translator learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from nlp_lstm.data._builtin import BUILT_IN_PAIRS
from nlp_lstm.data._hub import hub_tables
from nlp_lstm.data._named import find_data
from nlp_lstm.data._options import PairOptions
from nlp_lstm.data._pair_columns import read_pair_tables
from nlp_lstm.data._pair_files import read_pair_files, read_pair_folder
from nlp_lstm.data._pair_filters import Pair, drop_empty, filter_pairs, replace_control_characters, require_both_sides
from nlp_lstm.data._shares import evenly, hold_out
from nlp_lstm.data._source import SPLITS, SplitData, content_sha


@dataclass(frozen=True)
class PairSplit:
    """The pairs of one split: `targets[i]` is the translation of `sources[i]`.

    Attributes:
        name: `train`, `valid` or `test`.
        sources: The texts to translate, in the order of the files, each on one line.
        targets: Their translations, likewise.
    """

    name: str
    sources: list[str] = field(repr=False)
    targets: list[str] = field(repr=False)

    def __len__(self) -> int:
        return len(self.sources)

    @cached_property
    def sha(self) -> str:
        """Hex digest of the pairs in their order."""
        return content_sha(zip(self.sources, self.targets, strict=True))


class PairData(SplitData[PairSplit]):
    """The splits of one set of pairs."""


def load_pairs(options: PairOptions) -> PairData:
    """Read the pairs that `options.data` names, split them where they do not come split, and filter the training part.

    A set without splits is cut by position: validation and test pairs stand at even distances in it, and pairs with
    the same source stay together. Control characters, which would break lines, become spaces.

    Raises:
        DataError: Nothing is there under this name, a file is damaged, two files differ in length, a side is empty, or
            a language is not there; the message names the file, the line and the cure.
    """
    named = find_data(options.data, "pairs of texts")
    notes: list[str] = []
    if named.kind == "built-in":
        splits, description = BUILT_IN_PAIRS[options.data](options.source, options.target)
        found = {
            split: [Pair(*pair, f"{options.data}, {split} {n:,}") for n, pair in enumerate(pairs, 1)]
            for split, pairs in splits.items()
        }
    elif named.kind == "hub":
        tables, notes = hub_tables(options.data)
        found, sides = read_pair_tables(tables, options)
        description = f"hub data set {options.data}, {sides}"
    elif named.kind == "folder":
        found, description = read_pair_folder(named.paths[0], options, notes)
    else:
        found, sides = read_pair_files({"train": named.paths}, options, notes)
        description = f"{named.description}, {sides}"
    return _prepared(found, options, description, notes)


def _prepared(found: dict[str, list[Pair]], options: PairOptions, description: str, notes: list[str]) -> PairData:
    found = {split: replace_control_characters(split, found[split], notes) for split in SPLITS if split in found}
    if "train" in found:
        found["train"] = drop_empty(found["train"], notes)  # before it is cut: what is held out is not filtered
    found, said = hold_out(found, options, "pairs", lambda pairs, sizes: evenly([pair.source for pair in pairs], sizes))
    if said:
        notes.append(f"The training pairs are split by position, at even distances and equal sources together: {said}")
    for split, pairs in found.items():
        if split == "train":
            found[split] = filter_pairs(pairs, options, notes)
        else:
            require_both_sides(pairs)
    return PairData({split: _split(split, pairs) for split, pairs in found.items()}, description, notes)


def _split(name: str, pairs: Sequence[Pair]) -> PairSplit:
    return PairSplit(name, [pair.source for pair in pairs], [pair.target for pair in pairs])
