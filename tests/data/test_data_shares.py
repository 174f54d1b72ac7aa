"""Held-out shares: right in size, equal ones together, each label with its part."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlp_lstm.data import LabelledOptions, PairOptions
from nlp_lstm.data._cuts import cut_sizes
from nlp_lstm.data._shares import evenly, hold_out, stratified
from nlp_lstm.errors import DataError

profile = settings(max_examples=60, deadline=None)
shares = st.tuples(st.floats(0, 0.35), st.floats(0.01, 0.35))  # and something left to train on


@profile
@given(st.integers(30, 300), shares)
def test_shares_of_different_items_are_those_asked_for(total: int, share: tuple[float, float]):
    options = PairOptions("x", valid_fraction=0.1 + share[0], test_fraction=0.1 + share[1])
    sizes = cut_sizes("x", total, "pairs", False, options)
    parts = evenly(range(total), sizes)
    assert sorted(place for part in parts.values() for place in part) == list(range(total))
    for split, part in parts.items():
        assert part == sorted(part)
        assert len(part) == sizes[split]


def test_held_out_items_stand_at_even_distances():
    parts = evenly(range(1000), {"train": 900, "valid": 50, "test": 50})
    for split in ("valid", "test"):
        gaps = [later - earlier for earlier, later in zip(parts[split], parts[split][1:], strict=False)]
        assert max(gaps) <= 22
        assert min(gaps) >= 18


@profile
@given(st.lists(st.integers(0, 12), min_size=5, max_size=200))
def test_equal_items_never_part(groups: list[int]):
    total = len(groups)
    parts = evenly(groups, {"train": total - 2, "valid": 1, "test": 1})
    split_of = {place: split for split, part in parts.items() for place in part}
    assert sorted(split_of) == list(range(total))
    assert all(len({split_of[place] for place in range(total) if groups[place] == group}) == 1 for group in set(groups))


@profile
@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("xyz")), min_size=12, max_size=200))
def test_every_label_stays_in_training_and_equal_texts_together(rows: list[tuple[str, str]]):
    texts, labels = [text for text, _ in rows], [(label,) for _, label in rows]
    sizes = cut_sizes("x", len(rows), "texts", False, LabelledOptions("x", valid_fraction=0.3, test_fraction=0.3))
    parts = stratified(texts, labels, sizes)
    assert sorted(place for part in parts.values() for place in part) == list(range(len(rows)))
    assert {labels[place] for place in parts["train"]} == set(labels)
    split_of = {place: split for split, part in parts.items() for place in part}
    for text in set(texts):
        assert len({split_of[place] for place, other in enumerate(texts) if other == text}) == 1


def test_each_label_gives_its_share_of_a_sorted_set():
    labels = [("neg",)] * 600 + [("pos",)] * 300 + [("rare",)] * 100
    parts = stratified([str(number) for number in range(1000)], labels, {"train": 800, "valid": 100, "test": 100})
    for split, share in (("train", 0.8), ("valid", 0.1), ("test", 0.1)):
        counts = Counter(labels[place][0] for place in parts[split])
        for label, total in (("neg", 600), ("pos", 300), ("rare", 100)):
            assert abs(counts[label] - share * total) <= 1, split
    runs = sum(later - earlier == 1 for earlier, later in zip(parts["test"], parts["test"][1:], strict=False))
    assert runs < 40, "drawn at random, and not a block"


def test_all_of_it_may_be_the_test():
    assert stratified(["a", "b"], [("x",), ("y",)], {"test": 2}) == {"test": [0, 1]}


def test_too_many_equal_items_are_refused():
    options = PairOptions("x.tsv", valid_fraction=0.2, test_fraction=0)
    with pytest.raises(
        DataError, match=r"x\.tsv is too short to split: too many of its 10 pairs are equal .* for valid"
    ):
        hold_out({"train": ["same"] * 10}, options, "pairs", evenly)


def test_a_large_group_does_not_become_the_test():
    parts = evenly([0] * 500 + list(range(500)), {"train": 900, "valid": 50, "test": 50})
    assert {split: len(part) for split, part in parts.items()} == {"train": 900, "valid": 50, "test": 50}
    assert parts["train"][:500] == list(range(500))


def test_what_comes_split_stays_as_it_is():
    found = {"train": [1, 2], "valid": [3]}
    assert hold_out(found, PairOptions("x"), "pairs", evenly) == (found, "")
    assert hold_out({"test": [3]}, PairOptions("x"), "pairs", evenly) == ({"test": [3]}, "")
