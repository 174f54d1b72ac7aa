"""What becomes of pairs that are no use for training, and of characters that break lines."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

from nlp_lstm.data._options import PairOptions
from nlp_lstm.errors import DataError

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SLACK = 10  # characters that each side is taken to be longer, since the ratio of short phrases says little


class Pair(NamedTuple):
    """A text, its translation and where the two stand."""

    source: str
    target: str
    place: str


def replace_control_characters(split: str, pairs: Sequence[Pair], notes: list[str]) -> list[Pair]:
    """Put a space for each control character and line or paragraph separator, and note how many texts had some."""
    changed = 0
    clean = []
    for pair in pairs:
        source, target = (_CONTROL.sub(" ", side) for side in pair[:2])
        changed += (source != pair.source) + (target != pair.target)
        clean.append(pair._replace(source=source, target=target))
    if changed:
        notes.append(f"Texts of {split} in which control characters became spaces: {changed:,}")
    return clean


def drop_empty(pairs: Sequence[Pair], notes: list[str]) -> list[Pair]:
    """Drop the pairs of which a side is blank, and note how many.

    Raises:
        DataError: Nothing is left.
    """
    cure = "Give text on the same line of both sides, or check --data, --source and --target."
    reason = "a side is empty"
    return _dropped(pairs, lambda pair: not (pair.source.strip() and pair.target.strip()), reason, notes, cure)


def filter_pairs(pairs: Sequence[Pair], options: PairOptions, notes: list[str]) -> list[Pair]:
    """Drop what the options say from training pairs, and note what each filter dropped.

    Raises:
        DataError: Nothing is left.
    """
    kept = list(pairs)
    least, most = options.min_words, options.max_words
    kept = _dropped(kept, lambda pair: min(_words(pair)) < least, f"a side has fewer than {least} words", notes)
    if most:
        kept = _dropped(kept, lambda pair: max(_words(pair)) > most, f"a side has more than {most} words", notes)
    if options.max_ratio:
        usual = statistics.median(map(_ratio, kept))
        bound = options.max_ratio
        reason = f"one side is more than {bound:g} times as long as is usual for the other"
        kept = _dropped(kept, lambda pair: not 1 / bound <= _ratio(pair) / usual <= bound, reason, notes)
    if options.deduplicate:
        first = {pair[:2]: pair for pair in reversed(kept)}
        kept = _dropped(kept, lambda pair: first[pair[:2]] is not pair, "they are there before", notes)
    return kept


def require_both_sides(pairs: Sequence[Pair]) -> None:
    """Raise DataError where a side of a pair is blank: validation and test pairs are all scored."""
    empty = [pair for pair in pairs if not (pair.source.strip() and pair.target.strip())]
    if empty:
        side = "source" if not empty[0].source.strip() else "target"
        more = f", and so have {len(empty) - 1:,} more pairs" if len(empty) > 1 else ""
        raise DataError(
            f"{empty[0].place} has an empty {side}{more}. Write the text, or remove the line on both sides."
        )


def _words(pair: Pair) -> tuple[int, int]:
    return len(pair.source.split()), len(pair.target.split())


def _ratio(pair: Pair) -> float:
    return (len(pair.target) + _SLACK) / (len(pair.source) + _SLACK)


def _dropped(
    pairs: Sequence[Pair],
    drops: Callable[[Pair], bool],
    reason: str,
    notes: list[str],
    cure: str = "Change --min-words, --max-words or --max-ratio, or give other data.",
) -> list[Pair]:
    kept = [pair for pair in pairs if not drops(pair)]
    if not kept:
        raise DataError(
            f"None of {len(pairs):,} training pairs is left, since {reason}; the first stands in {pairs[0].place}. "
            f"{cure}"
        )
    if len(kept) < len(pairs):
        notes.append(f"{len(pairs) - len(kept):,} of {len(pairs):,} training pairs are dropped, since {reason}")
    return kept
