"""ROUGE by hand, and by the library summary by summary; what else is said of summaries."""

from __future__ import annotations

import json
import random
import sys
from dataclasses import asdict

import numpy
import pytest

from nlp_lstm.errors import DataError, UsageError
from nlp_lstm.evaluation import require_rouge, rouge_scores, summary_scores, translation_scores
from nlp_lstm.evaluation._summary import first_sentence

rouge_scorer = pytest.importorskip("rouge_score.rouge_scorer")
HYPOTHESES = ["the grey dog barks", "a cat sleeps", "boats sail"]
REFERENCES = ["the very grey dog sleeps", "a cat sleeps", "the boat sank"]
SOURCES = ["The grey dog sleeps. It barks.", "Rain again! A cat sleeps.", "The boat sank"]


def test_by_hand() -> None:
    # Words 3 of 4 and 3 of 5; pairs "grey dog" of 3 and of 4; the longest common subsequence is "the grey dog".
    scores = rouge_scores(["the grey dog barks"], ["the very grey dog sleeps"], stemmer=False)
    f1 = [2 * 3 / (4 + 5), 2 * 1 / (3 + 4), 2 * 3 / (4 + 5)]
    assert [score.name for score in scores] == ["rouge_1", "rouge_2", "rouge_l"]
    assert [score.value for score in scores] == pytest.approx([100 * value for value in f1])
    assert scores[0].confidence_interval is None  # one summary gives none


def test_equal_to_the_library(seed: int) -> None:
    chance = random.Random(seed)
    words = ["one", "runs", "running", "two", "boats", "boat", "three", "dog", "dogs", "41", "412", "the"]
    texts = [[" ".join(chance.choices(words, k=chance.randint(0, 12))) for _ in range(40)] for _ in range(2)]
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    found = [scorer.score(target=reference, prediction=given) for given, reference in zip(*texts, strict=True)]
    for score, kind in zip(rouge_scores(*texts), ("rouge1", "rouge2", "rougeL"), strict=True):
        assert score.value == pytest.approx(100 * numpy.mean([each[kind].fmeasure for each in found]))
        assert score.n == 40


def test_the_mean_over_summaries_and_its_interval(seed: int) -> None:
    hypotheses, references = ["a dog ran", "cats sleep", "boats"] * 20, ["the dogs ran", "cat sleeping", "a ship"] * 20
    score = rouge_scores(hypotheses, references, resamples=200, seed=seed)[0]
    of_each = numpy.array([2 / 3, 1.0, 0.0] * 20)  # "dog ran" of three words, "cat sleep" of two, nothing
    assert score.value == pytest.approx(100 * of_each.mean())
    low, high = score.confidence_interval or (0, 0)
    assert (high - low) / 2 == pytest.approx(1.96 * 100 * of_each.std() / numpy.sqrt(60), rel=0.2)
    assert score.signature.startswith(
        f"ROUGE|stemmer:porter|measure:f1|ci:bootstrap|resamples:200|seed:{seed}|version:"
    )
    plain = rouge_scores(hypotheses, references, stemmer=False)[0]
    assert plain.value == pytest.approx(100 * (1 / 3) / 3)
    assert "stemmer:none" in plain.signature


def test_summaries_have_rouge_before_the_scores_of_translations(seed: int) -> None:
    found = summary_scores(HYPOTHESES, REFERENCES, sources=SOURCES, resamples=50, seed=seed)
    others = translation_scores(HYPOTHESES, REFERENCES, sources=SOURCES, resamples=50, seed=seed)
    bleu, chrf, _, exact = others.scores
    assert found.scores == (*rouge_scores(HYPOTHESES, REFERENCES, resamples=50, seed=seed), bleu, chrf, exact)
    assert found.signature == "; ".join(score.signature for score in (found.scores[0], bleu, chrf))
    assert (found.worst, found.best, found.by_length, found.n) == (
        others.worst,
        others.best,
        others.by_length,
        others.n,
    )
    assert found.details() == others.details()
    without = translation_scores(HYPOTHESES, REFERENCES, ter=False)
    assert [score.name for score in without.scores] == ["bleu", "chrf", "exact_match"]
    assert without.signature == "; ".join(score.signature for score in without.scores[:2])
    assert "signature TER" not in without.text()


def test_the_first_sentence_is_scored_beside() -> None:
    firsts = ["The grey dog sleeps.", "Rain again!", "The boat sank"]
    assert [first_sentence(source) for source in SOURCES] == firsts
    found = summary_scores(HYPOTHESES, REFERENCES, sources=SOURCES)
    expected = rouge_scores(firsts, REFERENCES)
    assert [score.value for score in found.lead] == [score.value for score in expected]
    values = ", ".join(f"{score.name} {score.value:.2f}" for score in expected)
    assert f"\nfirst sentence as the summary: {values}\n" in found.text()
    assert summary_scores(HYPOTHESES, REFERENCES).lead == ()
    assert "first sentence" not in summary_scores(HYPOTHESES, REFERENCES).text()


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("One. Two.", "One."),
        ("  One two", "One two"),
        ("It is 3.5 m. So?", "It is 3.5 m."),
        ("一。二。", "一。"),
        ("Wait… what", "Wait…"),
        ("", ""),
    ],
)
def test_where_the_first_sentence_ends(text: str, first: str) -> None:
    assert first_sentence(text) == first


def test_words_that_training_does_not_have_are_counted() -> None:
    # New are "zub" twice and "412"; one "zub" and "412" are found.
    found = summary_scores(
        ["a zub ran", "a dog sat 412"], ["a zub ran", "a zub sat 412"], training_text=["a dog ran sat"]
    )
    assert "\nwords that no training summary has: 3, of which 0.667 are in their summary\n" in found.text()
    assert found.to_json()["by_frequency"] == [asdict(bucket) for bucket in found.by_frequency] != []
    assert "no training summary" not in summary_scores(["a dog"], ["a dog"], training_text=["a dog"]).text()
    assert summary_scores(["a dog"], ["a dog"]).to_json()["by_frequency"] == []


def test_the_text_and_the_json() -> None:
    scores = summary_scores(["a b", "c"], ["a b", "c"], sources=["a b. c", "d"])
    lines = scores.text().splitlines()
    assert lines[0] == "rouge_1 100.0 (95 % CI 100.0-100.0, n=2)"
    assert [line.split("|")[0] for line in lines[-3:]] == ["signature ROUGE", "signature BLEU", "signature chrF2"]
    read = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    names = ["rouge_1", "rouge_2", "rouge_l", "bleu", "chrf", "exact_match"]
    lead = ["lead_rouge_1", "lead_rouge_2", "lead_rouge_l"]
    parts = ["by_length", "by_frequency", "worst", "best"]
    assert list(read) == ["task", "n", *names, *lead, "confidence_interval", "signature", *parts]
    assert [each["source"] for each in read["best"]] == ["a b. c", "d"]
    assert (read["task"], read["n"], read["lead_rouge_1"]) == ("summarization", 2, 50.0)
    assert list(read["confidence_interval"]) == [*names, *lead]


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(DataError, match="1 hypotheses and 2 references"):
        rouge_scores(["a"], ["a", "b"])
    with pytest.raises(UsageError, match="resamples is 0"):
        rouge_scores(["a"], ["a"], resamples=0)
    with pytest.raises(DataError, match="There are"):
        summary_scores(["a"], ["a"], sources=["a", "b"])
    with pytest.raises(UsageError, match="resamples is 0"):
        summary_scores(["a"], ["a"], resamples=0)


def test_without_the_library_the_rest_is_scored_and_one_line_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)
    how = "ROUGE needs rouge-score, which is not installed: pip install 'nlp-lstm[rouge]'"
    for call in (require_rouge, lambda: rouge_scores(["a"], ["a"])):
        with pytest.raises(UsageError) as raised:
            call()
        assert str(raised.value) == how
    found = summary_scores(HYPOTHESES, REFERENCES, sources=SOURCES)
    assert [score.name for score in found.scores] == ["bleu", "chrf", "exact_match"]
    assert found.lead == ()
    assert found.text().splitlines().count(how) == 1
    assert found.signature.startswith("BLEU|")
