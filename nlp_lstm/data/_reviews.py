"""The built-in sample for classification: synthetic reviews whose verdict no bag of words can tell."""

from __future__ import annotations

import random
from itertools import combinations_with_replacement, product
from typing import NamedTuple

Split = tuple[list[str], list[str]]
"""The texts and, for each, its label: "positive" or "negative"."""

_PAIRS = {"train": 3000, "valid": 500, "test": 1000}
_FOURS = 500

_GOOD = (
    *("brilliant", "charming", "clever", "delightful", "enjoyable", "excellent", "fresh", "funny", "gripping"),
    *("lovely", "moving", "original", "polished", "superb", "tender", "thrilling", "witty", "wonderful"),
)
_BAD = (
    *("annoying", "awful", "boring", "clumsy", "confused", "cheap", "dreadful", "dull", "empty"),
    *("feeble", "horrible", "lifeless", "shallow", "silly", "stale", "tedious", "tiresome", "ugly"),
)
_NOUNS = (
    *("plot", "cast", "music", "ending", "dialogue", "camera work", "opening", "second half", "humour", "pacing"),
    *("lighting", "script", "villain", "heroine", "finale", "editing", "setting", "first act", "narrator", "sound"),
)
_INTENSIFIERS = ("really", "truly", "very", "particularly", "especially", "exactly", "entirely", "so")
_IRRELEVANT = (
    *("we saw it on a tuesday", "my neighbour chose it", "it rained all evening", "the seats are numbered"),
    *("it lasts two hours", "the poster is blue", "we sat in the third row", "the tickets came by post"),
    *("our bus was early", "the book came out years ago"),
)

# How a clause says its opinion. The noun stands between the negation and the adjective or an intensifier does, so that
# no two neighbouring words give the opinion away.
_PLAIN = (
    "the {noun} was {intensifier} {adjective}",
    "i found the {noun} {intensifier} {adjective}",
    "anyone would call the {noun} {intensifier} {adjective}",
)
_NEGATED = (
    "the {noun} was not {intensifier} {adjective}",
    "i did not find the {noun} {intensifier} {adjective}",
    "nobody would call the {noun} {intensifier} {adjective}",
)
_PATTERNS = _PLAIN + _NEGATED
_PATTERN_PAIRS = tuple(zip(_PLAIN, _NEGATED, strict=True))

# How two clauses make a review. {verdict} is what the writer thinks in the end; {other} says the opposite of it.
_CONTRASTS = (
    "{other} , but {verdict} .",
    "although {other} , {verdict} .",
    "{verdict} , although {other} .",
    "{other} . still , {verdict} .",
    "{verdict} , and it hardly matters that {other} .",
    "never mind that {other} : {verdict} .",
    "my sister insists that {other} ; believe me , {verdict} .",
    "{verdict} , whereas my sister swears that {other} .",
)
# In these {other} is of the same opinion.
_AGREEMENTS = ("{other} , and {verdict} .", "{verdict} ; besides , {other} .")
_FRAMES = _CONTRASTS + _AGREEMENTS
_PLACES = ("{review}", "{irrelevant} . {review}", "{review} {irrelevant} .")


class _Construction(NamedTuple):
    """What makes two reviews of one kind: the frame, the patterns of its two clauses, and where a side remark is."""

    frame: str
    patterns: tuple[str, str]
    place: str


def reviews(seed: int = 0) -> dict[str, Split]:
    """Compose the splits `train`, `valid` and `test` of synthetic film reviews, labelled "positive" or "negative".

    A review has two clauses with an opinion each, said plainly or by a negation, strengthened by an intensifier, joined
    by a contrast ("X but Y", "although X, Y", "my sister says X") or an agreement, and perhaps a remark that says
    nothing. Its label is the writer's verdict, which follows from the composition alone.

    Reviews come in pairs that have the same words the same number of times and opposite labels. So in each split each
    word is as frequent in one class as in the other, and whatever looks at word counts only is right for exactly half.

    No frame stands with the same two patterns in more than one split: all words and all parts of the held-out reviews
    occur in training, but none of their constructions.
    """
    chance = random.Random(seed)
    splits: dict[str, Split] = {}
    for split, constructions in _constructions().items():
        rows: list[tuple[str, str]] = []
        for number in range(_PAIRS[split]):
            rows += _pair(constructions[number % len(constructions)], chance)
        if split == "train":
            for number in range(_FOURS):
                rows += _four(*_PATTERN_PAIRS[number % len(_PATTERN_PAIRS)], _PLACES[number % len(_PLACES)], chance)
        chance.shuffle(rows)
        splits[split] = [text for text, _ in rows], [label for _, label in rows]
    return splits


def _constructions() -> dict[str, list[_Construction]]:
    """Deal every combination of a frame and two patterns to one split, in a Latin square: 5 train, 1 valid, 1 test."""
    splits: dict[str, list[_Construction]] = {name: [] for name in _PAIRS}
    owners = ("train", "train", "train", "valid", "train", "train", "test")
    both = list(enumerate(combinations_with_replacement(_PATTERNS, 2)))
    for (number, frame), (index, patterns) in product(enumerate(_FRAMES), both):
        # A frame that agrees needs one negation, or its two adjectives would tell the label.
        if frame in _CONTRASTS or _is_negated(patterns[0]) != _is_negated(patterns[1]):
            owner = owners[(number + index) % len(owners)]
            splits[owner] += [_Construction(frame, patterns, place) for place in _PLACES]
    return splits


def _pair(construction: _Construction, chance: random.Random) -> list[tuple[str, str]]:
    """Write a review and its mirror, which says the opposite with the same words."""
    frame, patterns, place = construction
    patterns = (patterns[0], patterns[1]) if chance.random() < 0.5 else (patterns[1], patterns[0])
    nouns, intensifiers = chance.sample(_NOUNS, 2), chance.choices(_INTENSIFIERS, k=2)
    negated = [_is_negated(pattern) for pattern in patterns]
    verdict = chance.random() < 0.5
    opinions = (verdict if frame in _AGREEMENTS else not verdict, verdict)
    good = [opinion != negation for opinion, negation in zip(opinions, negated, strict=True)]
    adjectives = [chance.choice(_GOOD if one else _BAD) for one in good]
    irrelevant = chance.choice(_IRRELEVANT)

    def write(patterns: tuple[str, str], adjectives: list[str]) -> str:
        clauses = [
            pattern.format(noun=noun, intensifier=intensifier, adjective=adjective)
            for pattern, noun, intensifier, adjective in zip(patterns, nouns, intensifiers, adjectives, strict=True)
        ]
        return place.format(review=frame.format(other=clauses[0], verdict=clauses[1]), irrelevant=irrelevant)

    review = write(patterns, adjectives)
    # Of two adjectives that oppose each other the exchange turns both opinions; of two that agree it is the negation.
    opposed = good[0] != good[1]
    mirror = write(patterns, adjectives[::-1]) if opposed else write((patterns[1], patterns[0]), adjectives)
    labels = ("positive", "negative") if verdict else ("negative", "positive")
    return list(zip((review, mirror), labels, strict=True))


def _four(plain: str, negated: str, place: str, chance: random.Random) -> list[tuple[str, str]]:
    """Write four reviews of one clause: two adjectives that oppose each other, plain and negated."""
    noun, intensifier, irrelevant = chance.choice(_NOUNS), chance.choice(_INTENSIFIERS), chance.choice(_IRRELEVANT)
    rows = []
    for good, adjective in ((True, chance.choice(_GOOD)), (False, chance.choice(_BAD))):
        for pattern in (plain, negated):
            clause = pattern.format(noun=noun, intensifier=intensifier, adjective=adjective)
            text = place.format(review=f"{clause} .", irrelevant=irrelevant)
            rows.append((text, "positive" if good != _is_negated(pattern) else "negative"))
    return rows


def _is_negated(pattern: str) -> bool:
    return pattern in _NEGATED
