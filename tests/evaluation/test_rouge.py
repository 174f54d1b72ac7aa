"""ROUGE by hand, and by the library sentence by sentence."""

from __future__ import annotations

import json
import sys

import numpy
import pytest

from nlp_lstm.errors import DataError, UsageError
from nlp_lstm.evaluation import rouge_scores

pytest.importorskip("rouge_score")


def test_by_hand() -> None:
    # Words 3 of 4 and 3 of 5; pairs "grey dog" of 3 and of 4; the longest common subsequence is "the grey dog".
    scores = rouge_scores(["the grey dog barks"], ["the very grey dog sleeps"], stemmer=False)
    f1 = [2 * 3 / (4 + 5), 2 * 1 / (3 + 4), 2 * 3 / (4 + 5)]
    assert [score.name for score in scores.scores] == ["rouge_1", "rouge_2", "rouge_l"]
    assert [score.value for score in scores.scores] == pytest.approx([100 * value for value in f1])
    assert scores.scores[0].confidence_interval is None  # one summary gives none


def test_the_mean_over_summaries_and_its_interval(seed: int) -> None:
    hypotheses, references = ["a dog ran", "cats sleep", "boats"] * 20, ["the dogs ran", "cat sleeping", "a ship"] * 20
    stemmed = rouge_scores(hypotheses, references, resamples=200, seed=seed)
    of_each = numpy.array([2 / 3, 1.0, 0.0] * 20)  # "dog ran" of three words, "cat sleep" of two, nothing
    score = stemmed.scores[0]
    assert score.value == pytest.approx(100 * of_each.mean())
    low, high = score.confidence_interval or (0, 0)
    assert (high - low) / 2 == pytest.approx(1.96 * 100 * of_each.std() / numpy.sqrt(60), rel=0.2)
    assert f"stemmer:porter|measure:f1|ci:bootstrap|resamples:200|seed:{seed}|" in stemmed.signature
    plain = rouge_scores(hypotheses, references, stemmer=False)
    assert plain.scores[0].value == pytest.approx(100 * (1 / 3) / 3)
    assert "stemmer:none" in plain.signature


def test_the_text_and_the_json() -> None:
    scores = rouge_scores(["a b", "c"], ["a b", "c"])
    lines = scores.text().splitlines()
    assert lines[0] == "rouge_1 100.0 (95 % CI 100.0-100.0, n=2)"
    assert lines[-1] == f"signature {scores.signature}"
    read = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    assert list(read) == ["task", "n", "rouge_1", "rouge_2", "rouge_l", "confidence_interval", "signature"]
    assert (read["task"], read["n"]) == ("summarization", 2)


def test_what_cannot_be_scored_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="1 hypotheses and 2 references"):
        rouge_scores(["a"], ["a", "b"])
    with pytest.raises(UsageError, match="resamples is 0"):
        rouge_scores(["a"], ["a"], resamples=0)
    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)
    with pytest.raises(UsageError, match=r"not installed: pip install 'nlp-lstm\[rouge\]'"):
        rouge_scores(["a"], ["a"])
