"""Splits by position, for data that does not come split."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice

from nlp_lstm.data._options import DataOptions, exact
from nlp_lstm.data._plain import cut_pieces
from nlp_lstm.data._source import SPLITS, TextSource
from nlp_lstm.errors import DataError


def fill_splits(sources: dict[str, TextSource], options: DataOptions) -> tuple[dict[str, TextSource], list[str]]:
    """Hold out what is missing from the end of the training part, and say where the cut is.

    Training data alone gives up a validation and a test part; with a test part of its own, only a validation part.
    Everything else stays as it came.
    """
    if "train" not in sources or "valid" in sources:
        return sources, []
    test_fraction = 0.0 if "test" in sources else options.test_fraction
    if not options.valid_fraction and not test_fraction:
        return sources, []
    parts, note = _cut(sources["train"], exact(options.valid_fraction), exact(test_fraction), options.held_out_limit)
    rest = {name: source for name, source in sources.items() if name != "train"}
    return parts | rest, [note]


def _cut(source: TextSource, valid: Fraction, test: Fraction, limit: int) -> tuple[dict[str, TextSource], str]:
    unit = "records" if source.ends_with_eos else "characters"
    total = sum(1 for _ in source) if source.ends_with_eos else sum(map(len, source))
    train_stop, valid_stop = int((1 - valid - test) * total), int((1 - test) * total)
    if limit:
        sizes = min(valid_stop - train_stop, limit), min(total - valid_stop, limit)
        train_stop, valid_stop = total - sum(sizes), total - sizes[1]
    borders = (0, train_stop, valid_stop, total)
    shares = (1 - valid - test, valid, test)
    parts: dict[str, TextSource] = {}
    said: list[str] = []
    for split, share, start, stop in zip(SPLITS, shares, borders, borders[1:], strict=False):
        if start == stop and not share:
            continue
        if start == stop:
            raise DataError(
                f"{source.name} is too short to split: of its {total:,} {unit}, none is left for {split}. Give more "
                "text, or change --valid-fraction and --test-fraction."
            )
        parts[split] = _between(source, split, start, stop)
        said.append(f"{'the first' if not start else 'the next'} {stop - start:,} {unit} are {split}")
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
