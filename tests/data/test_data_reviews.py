"""The synthetic reviews: what they are said to be, held against a count of their words and against their meaning."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from nlp_lstm.data._reviews import (
    _AGREEMENTS,
    _BAD,
    _CONTRASTS,
    _GOOD,
    _INTENSIFIERS,
    _IRRELEVANT,
    _NOUNS,
    _PATTERNS,
    _constructions,
    reviews,
)

SPLITS = reviews()


def bag(text: str) -> tuple[str, ...]:
    return tuple(sorted(text.split()))


def polarity(clause: str) -> bool:
    """What a clause says, by its words: a good adjective, unless there is a negation before it."""
    good = any(re.search(rf"\b{word}\b", clause) for word in _GOOD)
    assert good != any(re.search(rf"\b{word}\b", clause) for word in _BAD), clause
    return good != bool(re.search(r"\b(not|nobody)\b", clause))


def verdict(text: str) -> bool:
    """The meaning of a review, worked out from its text alone: which clause counts, and what that says."""
    clauses = r"(?:the |i found|i did|anyone would|nobody would)[^.,;:]*?(?:" + "|".join(_GOOD + _BAD) + ")"
    opinions = re.findall(clauses, text)
    first_counts = re.search(r", although |hardly matters|sister swears|besides", text) is not None
    return polarity(opinions[0] if first_counts else opinions[-1])


@pytest.mark.parametrize("split", SPLITS)
def test_the_label_is_what_the_text_says(split: str) -> None:
    texts, labels = SPLITS[split]
    assert [verdict(text) for text in texts] == [label == "positive" for label in labels]


@pytest.mark.parametrize("split", SPLITS)
def test_each_word_is_as_frequent_in_one_class_as_in_the_other(split: str) -> None:
    texts, labels = SPLITS[split]
    counts = {name: Counter() for name in ("positive", "negative")}
    for text, label in zip(texts, labels, strict=True):
        counts[label].update(text.split())
    assert counts["positive"] == counts["negative"]
    assert labels.count("positive") == labels.count("negative") == len(labels) / 2


@pytest.mark.parametrize("split", ["valid", "test"])
def test_held_out_reviews_come_in_pairs_of_the_same_words_and_opposite_labels(split: str) -> None:
    # So whatever looks at word counts alone is right for exactly one of each pair.
    texts, labels = SPLITS[split]
    balance: Counter[tuple[str, ...]] = Counter()
    for text, label in zip(texts, labels, strict=True):
        balance[bag(text)] += 1 if label == "positive" else -1
    assert set(balance.values()) == {0}


def test_constructions_are_dealt_to_one_split_each_and_their_parts_are_all_in_training() -> None:
    dealt = {split: {(one.frame, one.patterns) for one in found} for split, found in _constructions().items()}
    assert not dealt["train"] & dealt["valid"]
    assert not dealt["train"] & dealt["test"]
    assert not dealt["valid"] & dealt["test"]
    for split in ("valid", "test"):
        assert {frame for frame, _ in dealt[split]} == {*_CONTRASTS, *_AGREEMENTS}
        assert {pattern for _, patterns in dealt[split] for pattern in patterns} == set(_PATTERNS)
    seen = {word for text in SPLITS["train"][0] for word in text.split()}
    for split in ("valid", "test"):
        assert {word for text in SPLITS[split][0] for word in text.split()} <= seen


def shapes(split: str) -> set[str]:
    """The reviews of a split without the words that are chosen freely: what is left is frame and patterns."""
    kinds = {"ADJECTIVE": _GOOD + _BAD, "NOUN": _NOUNS, "INTENSIFIER": _INTENSIFIERS, "": _IRRELEVANT}
    found = set()
    for text in SPLITS[split][0]:
        for kind, words in kinds.items():
            text = re.sub(rf"\b({'|'.join(words)})\b", kind, text)
        found.add(text.strip(" ."))
    return found


def test_no_held_out_shape_is_in_training() -> None:
    # Every frame with every two patterns, the agreements only with one negation, and in training each pattern alone.
    every = len(_CONTRASTS) * 6 * 6 + len(_AGREEMENTS) * 2 * 3 * 3 + 6
    assert sum(len(shapes(split)) for split in SPLITS) == every
    assert min(len(shapes("valid")), len(shapes("test"))) > every / 10
    assert not shapes("test") & shapes("train")
    assert not shapes("valid") & shapes("train")


def test_a_seed_gives_the_same_reviews_and_another_gives_others() -> None:
    assert reviews(0) == SPLITS
    assert reviews(1)["test"] != SPLITS["test"]
    assert {split: len(texts) for split, (texts, _) in SPLITS.items()} == {"train": 8000, "valid": 1000, "test": 2000}
