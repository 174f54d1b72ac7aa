"""The baselines of a classifier against counts by hand and an independent implementation."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import numpy as np
import pytest

from nlp_lstm.data import LabelledSplit
from nlp_lstm.tasks import baselines
from nlp_lstm.tasks._baselines import log_count_ratios, most_frequent, nb_svm

TRAIN = ["good fun", "fun and good", "so good", "bad mood", "so bad", "mood and bad"]
LABELS = ["pos"] * 3 + ["neg"] * 3


def split(name: str, texts: Sequence[str], labels: Sequence[str | tuple[str, ...]]) -> LabelledSplit:
    tuples = [(label,) if isinstance(label, str) else label for label in labels]
    return LabelledSplit(name, list(texts), tuples, [f"line {number}" for number, _ in enumerate(texts)])


def test_the_most_frequent_label_is_predicted_for_all() -> None:
    assert most_frequent(np.array([2, 1, 2, 0]), 3).tolist() == [2, 2, 2]
    assert most_frequent(np.array([[1, 0], [1, 1], [0, 0]]), 2).tolist() == [[1, 0], [1, 0]]


def test_log_count_ratios_are_those_of_the_paper() -> None:
    features = np.array([[1, 0, 1], [1, 1, 0], [0, 1, 0]])
    ratios = log_count_ratios(features, np.array([1, 1, 0]))
    p, q = np.array([3, 2, 2]) / 7, np.array([1, 2, 1]) / 4  # one more than the counts
    assert ratios == pytest.approx([math.log(a / b) for a, b in zip(p, q, strict=True)])


def test_nb_svm_separates_what_words_separate() -> None:
    assert nb_svm(TRAIN, np.array([1, 1, 1, 0, 0, 0]), ["good mood and good fun", "a bad one"], 2).tolist() == [1, 0]
    three = nb_svm([*TRAIN, "rain", "more rain"], np.array([1, 1, 1, 0, 0, 0, 2, 2]), ["fun", "bad", "rain"], 3)
    assert three.tolist() == [1, 0, 2]
    table = np.array([[1, 0, 1], [1, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 1]])
    several = nb_svm(TRAIN, table, ["good fun", "bad"], 3)
    assert several.tolist() == [[1, 0, 1], [0, 0, 1]]  # the second label no text has, the third all


def test_each_baseline_has_a_line_with_its_interval() -> None:
    test = split("test", ["good", "bad", "bad bad"], ["pos", "neg", "neg"])
    most, bag = baselines(split("train", [*TRAIN, "fun"], [*LABELS, "pos"]), test, ["neg", "pos"])
    assert most.startswith("most frequent label of training: accuracy 0.333 of the items (95 % CI 0.06")
    assert bag.startswith("NB-SVM on words and bigrams: accuracy 1.000 of the items (95 % CI 0.43")


def test_of_several_labels_the_whole_set_must_be_right() -> None:
    train = split("train", TRAIN, [("a", "b"), ("a", "b"), ("b",), ("b",), ("b",), ("b",)])
    test = split("test", ["good fun", "bad"], [("a", "b"), ("b",)])
    most, bag = baselines(train, test, ["a", "b"], several=True)
    assert "accuracy 0.500" in most
    assert "accuracy 1.000" in bag


def test_without_scikit_learn_a_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sklearn", "sklearn.feature_extraction.text", "sklearn.svm"):
        monkeypatch.setitem(sys.modules, name, None)
    train = split("train", TRAIN, LABELS)
    most, absent = baselines(train, train, ["neg", "pos"])
    assert most.startswith("most frequent label of training: ")
    assert absent == "bag of words: absent, since scikit-learn is not installed (pip install 'nlp-lstm[baselines]')"
