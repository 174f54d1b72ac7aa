"""The classification scores against scikit-learn, and by hand on tables small enough to check."""

from __future__ import annotations

import json
import math
import warnings
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics

from nlp_lstm.errors import DataError, UsageError
from nlp_lstm.evaluation import ClassificationScores, classification_scores, correct_items, wilson_interval

LABELS = ("bad", "fair", "good", "never")


def value(scores: ClassificationScores, name: str) -> float:
    return next(score.value for score in scores.scores if score.name == name)


def random_predictions(seed: int, items: int, labels: int) -> tuple[NDArray[numpy.float64], NDArray[numpy.int64]]:
    """Probabilities (items, labels) that favour the gold label a little; the last label is never gold."""
    random = numpy.random.default_rng(seed)
    gold = random.integers(labels - 1, size=items)
    logits = random.normal(size=(items, labels))
    logits[numpy.arange(items), gold] += 0.8
    exponentials = numpy.exp(logits)
    return exponentials / exponentials.sum(axis=1, keepdims=True), gold


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(2, 6))
def test_equal_to_scikit_learn(seed: int, items: int, labels: int) -> None:
    probabilities, gold = random_predictions(seed, items, labels)
    names = tuple(f"label {place}" for place in range(labels))
    scores = classification_scores(probabilities, [names[i] for i in gold], names, ordered=True, resamples=1)
    predicted = probabilities.argmax(axis=1)
    assert value(scores, "accuracy") == metrics.accuracy_score(gold, predicted)
    for average, of in (("macro_precision", 0), ("macro_recall", 1), ("macro_f1", 2)):
        expected = metrics.precision_recall_fscore_support(gold, predicted, average="macro", zero_division=0)[of]
        assert value(scores, average) == pytest.approx(expected, rel=1e-12)
    every = list(range(labels))
    table = metrics.precision_recall_fscore_support(gold, predicted, labels=every, zero_division=0)
    for place, each in enumerate(scores.by_label):
        assert (each.precision, each.recall, each.f1) == pytest.approx([column[place] for column in table[:3]])
        assert (each.label, each.support) == (names[place], table[3][place])
    assert scores.confusion is not None
    assert (scores.confusion == metrics.confusion_matrix(gold, predicted, labels=every)).all()
    assert value(scores, "nll") == pytest.approx(metrics.log_loss(gold, probabilities, labels=every), rel=1e-12)
    one_hot = numpy.eye(labels)[gold]
    assert value(scores, "brier") == pytest.approx(((probabilities - one_hot) ** 2).sum(axis=1).mean(), rel=1e-12)
    assert value(scores, "mean_absolute_error") == pytest.approx(metrics.mean_absolute_error(gold, predicted))
    with warnings.catch_warnings():  # it divides by zero where all ratings are one
        warnings.simplefilter("ignore")
        kappa = metrics.cohen_kappa_score(gold, predicted, labels=every, weights="quadratic")
    assert value(scores, "quadratic_weighted_kappa") == pytest.approx(kappa, abs=1e-9, nan_ok=True)


def surest_wrong(probabilities: NDArray[numpy.float64], sets: NDArray[numpy.bool_]) -> list[int]:
    """Items with a wrong yes or no, those with the surest one first."""
    surest: dict[int, float] = {}
    for (item, label), p in numpy.ndenumerate(probabilities):
        if (p >= 0.5) != sets[item, label]:
            surest[item] = max(surest.get(item, 0.0), p, 1 - p)
    return sorted(surest, key=lambda item: (-surest[item], item))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40))
def test_several_labels_are_equal_to_scikit_learn(seed: int, items: int) -> None:
    random = numpy.random.default_rng(seed)
    probabilities, sets = random.random((items, 4)), random.random((items, 4)) < 0.4
    sets[0, 0] = True
    sets[:, 3] = False
    gold = [tuple(LABELS[i] for i in numpy.flatnonzero(row)) for row in sets]
    scores = classification_scores(probabilities, gold, LABELS, multi=True, resamples=1)
    predicted = probabilities >= 0.5
    assert value(scores, "subset_accuracy") == metrics.accuracy_score(sets, predicted)
    assert value(scores, "micro_f1") == pytest.approx(metrics.f1_score(sets, predicted, average="micro"))
    occurs = numpy.flatnonzero((sets | predicted).any(axis=0)).tolist()
    macro = metrics.precision_recall_fscore_support(sets, predicted, average="macro", labels=occurs, zero_division=0)
    names = ("macro_precision", "macro_recall", "macro_f1")
    assert [value(scores, name) for name in names] == pytest.approx(macro[:3])
    decided = numpy.column_stack((1 - probabilities.ravel(), probabilities.ravel()))
    assert value(scores, "nll") == pytest.approx(metrics.log_loss(sets.ravel(), decided, labels=[False, True]))
    assert value(scores, "brier") == pytest.approx(((probabilities - sets) ** 2).mean())
    assert scores.confusion is None
    assert [error.number - 1 for error in scores.errors] == surest_wrong(probabilities, sets)[:10]
    assert classification_scores(probabilities, sets, LABELS, multi=True, resamples=1).scores == scores.scores
    assert (correct_items(probabilities, gold, LABELS, multi=True) == (predicted == sets).all(axis=1)).all()


# Six texts, three labels. Predicted: bad bad fair good bad good; right: 1st, 3rd, 4th, 6th.
PROBABILITIES = [
    [0.8, 0.1, 0.1, 0.0],
    [0.6, 0.3, 0.1, 0.0],
    [0.2, 0.7, 0.1, 0.0],
    [0.0, 0.1, 0.9, 0.0],
    [0.5, 0.3, 0.2, 0.0],
    [0.1, 0.4, 0.5, 0.0],
]
GOLD = ["bad", "fair", "fair", "good", "good", "good"]


def test_by_hand() -> None:
    scores = classification_scores(PROBABILITIES, GOLD, LABELS, ordered=True, resamples=10)
    assert [(each.precision, each.recall, each.support) for each in scores.by_label] == [
        (1 / 3, 1.0, 1),
        (1.0, 0.5, 2),
        (1.0, 2 / 3, 3),
        (0.0, 0.0, 0),
    ]
    assert [each.f1 for each in scores.by_label] == pytest.approx([0.5, 2 / 3, 0.8, 0.0])
    assert value(scores, "macro_f1") == pytest.approx((0.5 + 2 / 3 + 0.8) / 3)  # "never" does not occur
    assert scores.confusion is not None
    assert scores.confusion.tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]]
    # Off by 1 and by 2 steps.
    assert value(scores, "mean_absolute_error") == pytest.approx(3 / 6)
    # Squared distances sum to 5. By chance: gold 1, 2, 3 and predictions 3, 1, 2 items of the ratings 0, 1, 2 give
    # (1*(1*1 + 2*4) + 2*(3*1 + 2*1) + 3*(3*4 + 1*1)) / 6 = 58 / 6.
    assert value(scores, "quadratic_weighted_kappa") == pytest.approx(1 - 5 / (58 / 6))
    assert value(scores, "nll") == pytest.approx(-math.log(0.8 * 0.3 * 0.7 * 0.9 * 0.2 * 0.5) / 6)
    # The bins of width 1/15 are (7/15, 8/15], ..., and each holds one confidence, but two are 0.5.
    assert [each.n for each in scores.calibration] == [2, 1, 1, 1, 1]
    assert (scores.calibration[0].low, scores.calibration[0].high) == pytest.approx((7 / 15, 8 / 15))
    assert [each.accuracy for each in scores.calibration] == [0.5, 0.0, 1.0, 1.0, 1.0]
    assert value(scores, "ece") == pytest.approx((2 * 0.0 + 0.6 + 0.3 + 0.2 + 0.1) / 6)
    assert [score.name for score in scores.scores] == [
        *("accuracy", "macro_precision", "macro_recall", "macro_f1", "brier", "nll"),
        *("mean_absolute_error", "quadratic_weighted_kappa", "ece", "ece_by_chance"),
    ]
    assert correct_items(PROBABILITIES, GOLD, LABELS).tolist() == [True, False, True, True, False, True]


def test_gold_as_tuples_and_as_columns_is_the_same() -> None:
    expected = classification_scores(PROBABILITIES, GOLD, LABELS, resamples=5).scores
    as_tuples = [(label,) for label in GOLD]
    assert classification_scores(PROBABILITIES, as_tuples, LABELS, resamples=5).scores == expected
    columns = numpy.array([LABELS.index(label) for label in GOLD])
    assert classification_scores(PROBABILITIES, columns, LABELS, resamples=5).scores == expected


def test_the_most_confident_errors_come_first() -> None:
    texts = ["a", "b", "c", "d", "e", "f"]
    first, second = classification_scores(PROBABILITIES, GOLD, LABELS, texts=texts, resamples=2).errors
    assert (first.number, first.gold, first.predicted, first.probability, first.text) == (2, "fair", "bad", 0.6, "b")
    assert (second.number, second.gold, second.predicted, second.text) == (5, "good", "bad", "e")
    assert classification_scores(PROBABILITIES, GOLD, LABELS, resamples=2).errors[0].text is None
    many = classification_scores([[0.5 + i / 100, 0.5 - i / 100] for i in range(30)], ["b"] * 30, "ab", resamples=2)
    assert [error.number for error in many.errors] == list(range(30, 20, -1))


def test_errors_of_several_labels_name_both_sets() -> None:
    probabilities = [[0.9, 0.2], [0.9, 0.6], [0.4, 0.3]]
    gold: list[tuple[str, ...]] = [("a",), ("b",), ("b", "a")]
    scores = classification_scores(probabilities, gold, "ab", multi=True, texts=["x", "y", "z"], resamples=2)
    first, second = scores.errors
    assert (first.number, first.gold, first.predicted, first.probability, first.text) == (2, "b", "a,b", 0.9, "y")
    assert (second.number, second.gold, second.predicted, second.probability) == (3, "a,b", "(none)", 0.7)
    assert "item 2     b        a,b        0.900\n    y\n" in scores.details()


def test_the_majority_is_one_answer_for_all_items() -> None:
    majority = classification_scores(PROBABILITIES, GOLD, LABELS, resamples=2).majority
    assert (majority.name, majority.value) == ("majority_accuracy", 0.5)  # "good" three times in six
    assert majority.confidence_interval == wilson_interval(3, 6)
    gold = [("a",), ("a", "b"), ("a",), ()]
    scores = classification_scores([[0.9, 0.1]] * 4, gold, "ab", multi=True, resamples=2)
    assert (scores.majority.name, scores.majority.value) == (
        "majority_subset_accuracy",
        0.5,
    )  # "a" alone is right twice
    assert "\nmost frequent label here: subset_accuracy 0.500 of the items (95 % CI " in scores.text()
    assert scores.to_json()["majority_subset_accuracy"] == 0.5


def test_intervals(seed: int) -> None:
    probabilities, gold = random_predictions(seed, 500, 3)
    names = ("x", "y", "z")
    scores = classification_scores(probabilities, gold, names, ordered=True)
    intervals = {score.name: score.confidence_interval for score in scores.scores}
    right = int((probabilities.argmax(axis=1) == gold).sum())
    assert intervals["accuracy"] == wilson_interval(right, 500)
    assert intervals.pop("ece") is None
    assert all(ends and ends[0] < value(scores, name) < ends[1] for name, ends in intervals.items())
    # The percentile interval of a mean is the normal one, 1.96 standard errors to each side.
    losses = -numpy.log(probabilities[numpy.arange(500), gold])
    low, high = intervals["nll"] or (0, 0)
    assert (high - low) / 2 == pytest.approx(1.96 * losses.std() / math.sqrt(500), rel=0.12)


def test_options_reach_the_signature_and_the_intervals(seed: int) -> None:
    probabilities, gold = random_predictions(seed, 50, 3)
    default = classification_scores(probabilities, gold, "xyz")
    assert default.signature.startswith(
        "task:classification|labels:one-3|ece:15-equal-width-bins|ci:wilson,bootstrap|resamples:1000|seed:12345|version:"
    )
    other = classification_scores(
        probabilities, gold, "xyz", resamples=50, seed=6, ordered=True, signature_parts={"data": "abc"}
    )
    assert "|labels:ordered-3|" in other.signature
    assert "|resamples:50|seed:6|data:abc|version:" in other.signature
    assert classification_scores(probabilities, gold, "xyz", seed=6).scores[1] != default.scores[1]
    several = classification_scores(probabilities, probabilities > 0.4, "xyz", multi=True, resamples=2)
    assert "|labels:several-3|" in several.signature
    assert several.scores[-1].name == "ece_by_chance"
    assert several.scores[-1].confidence_interval is None  # an item's decisions hang together
    alone = classification_scores(probabilities[:1], gold[:1], "xyz")
    assert [score.confidence_interval is None for score in alone.scores] == [False] + [True] * 6 + [False]


def test_an_impossible_label_makes_the_likelihood_infinite_and_the_json_null() -> None:
    scores = classification_scores([[1.0, 0.0], [1.0, 0.0], [0.5, 0.5]], ["a", "b", "a"], "ab")
    assert value(scores, "nll") == math.inf
    read = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    assert read["nll"] is None
    assert "nll" not in read["confidence_interval"]


def test_ratings_that_never_vary_have_no_kappa() -> None:
    scores = classification_scores([[1.0, 0.0]] * 3, ["a"] * 3, "ab", ordered=True)
    assert math.isnan(value(scores, "quadratic_weighted_kappa"))
    assert json.loads(json.dumps(scores.to_json(), allow_nan=False))["quadratic_weighted_kappa"] is None


def test_the_json_holds_the_tables() -> None:
    read = json.loads(json.dumps(classification_scores(PROBABILITIES, GOLD, LABELS).to_json(), allow_nan=False))
    names = ["accuracy", "macro_precision", "macro_recall", "macro_f1", "brier", "nll", "ece", "ece_by_chance"]
    names += ["majority_accuracy"]
    assert list(read) == ["task", "n", *names, "confidence_interval", "signature", "by_label", "confusion"]
    assert (read["task"], read["n"], read["accuracy"]) == ("classification", 6, pytest.approx(4 / 6))
    assert read["by_label"][0] == {"label": "bad", "precision": 1 / 3, "recall": 1.0, "f1": 0.5, "support": 1}
    assert read["confusion"][1] == [1, 1, 0, 0]
    several = classification_scores([[0.9, 0.1]], [("a",)], "ab", multi=True).to_json()
    assert several["confusion"] is None


def test_the_text_and_the_details() -> None:
    texts = ["one", "two\nlines", "three", "four", "five " * 100, "six"]
    scores = classification_scores(PROBABILITIES, GOLD, LABELS, texts=texts, resamples=3)
    lines = scores.text().splitlines()
    assert lines[0] == "accuracy 0.667 of the items (95 % CI 0.300-0.903, n=6)"
    assert lines[-4] == "ece 0.200 (n=6)"
    assert lines[-3].startswith("ece_by_chance 0.")
    assert " if every probability were exact (95 % CI 0." in lines[-3]
    expected = "most frequent label here: accuracy 0.500 of the items (95 % CI 0.188-0.812, n=6)"
    assert lines[-2] == expected
    assert lines[-1] == f"signature {scores.signature}"
    details = scores.details().splitlines()
    assert details[:2] == [
        "label  precision  recall     f1  support",
        "bad        0.333   1.000  0.500        1",
    ]
    assert details[6:9] == [
        "Confusion matrix (rows: gold, columns: predicted):",
        "       bad  fair  good  never",
        "bad      1     0     0      0",
    ]
    assert details[-5:-2] == [
        "        gold  predicted  probability",
        "item 2  fair        bad        0.600",
        "    two lines",
    ]
    assert details[-1] == "    " + ("five " * 100)[:199] + "…"  # a long text is cut
    without_texts = classification_scores(PROBABILITIES, GOLD, LABELS, resamples=3).details()
    assert without_texts.endswith("item 5  good        bad        0.500")
    perfect = classification_scores(numpy.eye(40), numpy.arange(40), [str(i) for i in range(40)])
    assert "Confusion" not in perfect.details()  # too wide
    assert "errors" not in perfect.details()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"probabilities": [[0.5, 0.5]]}, UsageError, r"shape \(1, 2\).*there are 4 labels"),
        ({"probabilities": [0.5]}, UsageError, r"shape \(1,\)"),
        ({"labels": ("a", "b", "a", "c")}, UsageError, "not all different: a, b, a, c"),
        ({"multi": True, "ordered": True}, UsageError, "multi or ordered, not both"),
        ({"gold": GOLD[:5]}, DataError, "6 predictions and 5 gold labels"),
        ({"probabilities": numpy.zeros((0, 4)), "gold": []}, DataError, "no item to score"),
        ({"gold": [*GOLD[:5], "awful"]}, DataError, "Item 6 has the label 'awful'.*it knows: bad, fair"),
        ({"gold": [("bad", "fair"), *GOLD[1:]]}, DataError, "Item 1 has 2 labels, 'bad', 'fair'"),
        ({"gold": [*GOLD[:2], (), *GOLD[3:]]}, DataError, "Item 3 has 0 labels, none"),
        ({"probabilities": [[2.0, 1.0, 0.0, 0.0]] * 6}, UsageError, "item 1 are .*softmax"),
        ({"probabilities": [*PROBABILITIES[:5], [0.1, 0.1, 0.1, 0.1]]}, UsageError, "item 6 are .* sum to 1"),
        ({"probabilities": [[math.nan] * 4] * 6}, UsageError, "item 1 are"),
        ({"probabilities": [[1.5, 0.1, 0.1, 0.1]] * 6, "multi": True}, UsageError, "numbers from 0 to 1. Put"),
        (
            {"gold": numpy.array([0, 1, 2, 3, 4, 0])},
            UsageError,
            r"shape \(6,\), from 0 to 4; it must be \(6,\), from 0",
        ),
        ({"gold": numpy.zeros((6, 4), dtype=int)}, UsageError, r"shape \(6, 4\)"),
        ({"gold": numpy.full((6, 4), 2), "multi": True}, UsageError, "from 2 to 2; it must be"),
        ({"texts": ["only one"]}, UsageError, "1 texts for 6 items"),
        ({"resamples": 0}, UsageError, "resamples is 0"),
    ],
)
def test_what_cannot_be_scored_is_refused(change: dict[str, Any], error: type[Exception], message: str) -> None:
    given: dict[str, Any] = {"probabilities": PROBABILITIES, "gold": GOLD, "labels": LABELS} | change
    with pytest.raises(error, match=message):
        classification_scores(given.pop("probabilities"), given.pop("gold"), given.pop("labels"), **given)
