"""Splits by position, for data that does not come split."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from fractions import Fraction
from itertools import islice

from nlp_lstm.data._options import SplitOptions, exact
from nlp_lstm.data._plain import cut_pieces
from nlp_lstm.data._source import SPLITS, TextSource
from nlp_lstm.errors import DataError


def fill_splits(sources: dict[str, TextSource], options: SplitOptions) -> tuple[dict[str, TextSource], list[str]]:
    """Hold out what is missing from the end of the training part, and say where the cut is.

    Training data alone gives up a validation and a test part; with a test part of its own, only a validation part.
    Everything else stays as it came.
    """
    if not is_cut(sources, options):
        return sources, []
    source = sources["train"]
    total = sum(1 for _ in source) if source.ends_with_eos else sum(map(len, source))
    unit = "records" if source.ends_with_eos else "characters"
    sizes = cut_sizes(source.name, total, unit, "test" in sources, options)
    parts, note = _cut(source, sizes, unit)
    rest = {name: source for name, source in sources.items() if name != "train"}
    return parts | rest, [note]


def is_cut(there: Container[str], options: SplitOptions) -> bool:
    """Tell whether validation or test data is to be held out of the training part, given the splits there are."""
    shares = options.valid_fraction, 0.0 if "test" in there else options.test_fraction
    return "train" in there and "valid" not in there and any(shares)


def cut_sizes(name: str, total: int, unit: str, has_test: bool, options: SplitOptions) -> dict[str, int]:
    """Return how much of `total` each split gets; those of no share are not in it.

    Raises:
        DataError: It is too little for one of them.
    """
    valid, test = exact(options.valid_fraction), Fraction(0) if has_test else exact(options.test_fraction)
    train_stop, valid_stop = int((1 - valid - test) * total), int((1 - test) * total)
    held_out = valid_stop - train_stop, total - valid_stop
    if options.held_out_limit:
        held_out = min(held_out[0], options.held_out_limit), min(held_out[1], options.held_out_limit)
    sizes = dict(zip(SPLITS, (total - sum(held_out), *held_out), strict=True))
    shares = dict(zip(SPLITS, (1 - valid - test, valid, test), strict=True))
    for split, size in sizes.items():
        if not size and shares[split]:
            raise DataError(
                f"{name} is too short to split: of its {total:,} {unit}, none is left for {split}. Give more "
                "text, or change --valid-fraction and --test-fraction."
            )
    return {split: size for split, size in sizes.items() if size}


def _cut(source: TextSource, sizes: Mapping[str, int], unit: str) -> tuple[dict[str, TextSource], str]:
    parts: dict[str, TextSource] = {}
    said: list[str] = []
    start = 0
    for split, size in sizes.items():
        parts[split] = _between(source, split, start, start + size)
        said.append(f"{'the next' if start else 'the first'} {size:,} {unit} are {split}")
        start += size
    return parts, f"{source.name} is split by position: {', '.join(said)}"


def _between(source: TextSource, split: str, start: int, stop: int) -> TextSource:
    def pieces() -> Iterator[str]:
        if source.ends_with_eos:
            return islice(iter(source), start, stop)
        return cut_pieces(_characters_between(source, start, stop))

    return TextSource(f"{source.name}, {split} part", source.ends_with_eos, pieces)


def _characters_between(source: TextSource, start: int, stop: int) -> Iterator[str]:
    position = 0
    for piece in source:
        if position >= stop:
            return
        inside = piece[max(start - position, 0) : stop - position]
        if inside:
            yield inside
        position += len(piece)
