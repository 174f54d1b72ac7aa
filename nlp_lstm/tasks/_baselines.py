"""What a classifier has to beat: the most frequent label, and a linear model over bags of words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nlp_lstm import __version__
from nlp_lstm.data import LabelledSplit
from nlp_lstm.evaluation import Score, signature, wilson_interval
from nlp_lstm.tasks._classification_labels import Targets, label_targets

_WITHOUT = "bag of words: absent, since scikit-learn is not installed (pip install 'nlp-lstm[baselines]')"
_WORD = r"(?u)\b\w+(?:'\w+)?\b|[^\w\s]"
_INTERPOLATION = 0.25
Table = npt.NDArray[Any]


def baselines(train: LabelledSplit, test: LabelledSplit, labels: Sequence[str], several: bool = False) -> list[str]:
    """Score the baselines on `test` and say each in a line: the most frequent label, and NB-SVM on words and bigrams.

    NB-SVM (Wang and Manning 2012, "Baselines and Bigrams", section 2.3) is a linear support vector machine over which
    words and pairs of neighbours a text has, each weighed by the ratio of its frequencies in the classes; with more
    than two labels, one machine for each. It needs scikit-learn; without, the line says so. With `several` labels a
    text the whole set must be right.
    """
    answers, gold = label_targets(train, labels, several), label_targets(test, labels, several)
    lines = [_line("most frequent label of training", most_frequent(answers, len(test)), gold, test)]
    try:
        predicted = nb_svm(train.texts, answers, test.texts, len(labels))
    except ImportError:
        return [*lines, _WITHOUT]
    return [*lines, _line("NB-SVM on words and bigrams", predicted, gold, test)]


def most_frequent(answers: Targets, texts: int) -> Targets:
    """Predict for all texts the label that most have; of several labels a text, those that more than half have."""
    if answers.ndim == 2:
        return np.tile((answers.mean(axis=0) > 0.5).astype(np.int64), (texts, 1))
    return np.full(texts, np.bincount(answers).argmax())


def nb_svm(train: Sequence[str], answers: Targets, test: Sequence[str], labels: int) -> Targets:
    """Train NB-SVM and predict the labels of `test`, as columns or as a table of 0 and 1, like `answers`."""
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(binary=True, ngram_range=(1, 2), token_pattern=_WORD)
    seen, new = vectorizer.fit_transform(train), vectorizer.transform(test)
    several = answers.ndim == 2
    table = answers if several else np.eye(labels, dtype=np.int64)[answers]
    if labels == 2 and not several:
        return (_margins(seen, table[:, 1], new) > 0).astype(np.int64)
    margins = np.stack([_margins(seen, column, new) for column in table.T], axis=1)
    return (margins > 0).astype(np.int64) if several else margins.argmax(axis=1)


def log_count_ratios(features: Any, has: Targets) -> Table:
    """Return r = ln((p / |p|) / (q / |q|)) of each feature, (features,): Wang and Manning 2012, section 2.1.

    p and q are 1 plus the number of texts with the label (`has` is 1) and without it that have the feature.
    """
    p = 1 + np.asarray(features[has == 1].sum(axis=0)).ravel()
    q = 1 + np.asarray(features[has == 0].sum(axis=0)).ravel()
    ratios: Table = np.log((p / p.sum()) / (q / q.sum()))
    return ratios


def _margins(seen: Any, has: Targets, new: Any) -> Table:
    """Train one machine, its weights drawn towards their mean size (section 2.4); the margins of the new texts."""
    from sklearn.svm import LinearSVC

    if len(np.unique(has)) < 2:  # a label that all texts have, or none
        return np.full(new.shape[0], 1.0 if has[0] else -1.0)
    ratios = log_count_ratios(seen, has)
    machine = LinearSVC(C=1.0, random_state=0, max_iter=10_000).fit(seen.multiply(ratios).tocsr(), has)
    weights = machine.coef_[0]
    weights = (1 - _INTERPOLATION) * np.abs(weights).mean() + _INTERPOLATION * weights
    margins: Table = new.multiply(ratios).tocsr() @ weights + machine.intercept_[0]
    return margins


def _line(name: str, predicted: Targets, gold: Targets, test: LabelledSplit) -> str:
    equal = predicted == gold
    right = int((equal.all(axis=1) if equal.ndim == 2 else equal).sum())
    signed = signature({"task": "classification", "data": test.sha[:8], "version": __version__})
    score = Score("accuracy", right / len(gold), "of the items", len(gold), wilson_interval(right, len(gold)), signed)
    return f"{name}: {score.brief()}"
