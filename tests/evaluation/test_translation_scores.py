"""BLEU, chrF and TER against sacrebleu itself, to the last digit, and everything that stands beside them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import sacrebleu

from nlp_lstm.errors import DataError, UsageError
from nlp_lstm.evaluation import TranslationScores, corpus_statistics, translation_scores, wilson_interval
from nlp_lstm.evaluation._bootstrap import resampled_sums

WORDS = [
    "the",
    "a",
    "small",
    "grey",
    "dog",
    "boat",
    "runs",
    "under",
    "harbour,",
    "wall.",
    "“Über”",
    "3,5",
    "don't",
    "!",
]


def made_up(seed: int, sentences: int) -> tuple[list[str], list[str]]:
    """References of random words, and hypotheses that leave out, repeat and swap some of them."""
    random = numpy.random.default_rng(seed)
    hypotheses, references = [], []
    for _ in range(sentences):
        words = list(random.choice(WORDS, size=random.integers(1, 26)))
        references.append(" ".join(words))
        kept = [word for word in words for _ in range(random.choice([0, 1, 1, 1, 1, 1, 2]))]
        if len(kept) > 3 and random.random() < 0.5:
            kept[0], kept[-1] = kept[-1], kept[0]
        hypotheses.append(" ".join(words if random.random() < 0.2 else kept))
    return hypotheses, references


def value(scores: TranslationScores, name: str) -> float:
    return next(score.value for score in scores.scores if score.name == name)


@pytest.mark.parametrize("sentences", [1, 2, 40])
def test_equal_to_the_library(seed: int, sentences: int) -> None:
    hypotheses, references = made_up(seed, sentences)
    scores = translation_scores(hypotheses, references, resamples=3)
    assert value(scores, "bleu") == sacrebleu.corpus_bleu(hypotheses, [references]).score
    assert value(scores, "chrf") == sacrebleu.corpus_chrf(hypotheses, [references]).score
    assert value(scores, "ter") == sacrebleu.corpus_ter(hypotheses, [references]).score


def test_equal_to_the_command(seed: int, tmp_path: Path) -> None:
    hypotheses, references = made_up(seed + 1, 60)
    hypotheses[7] = ""
    for name, lines in (("hypotheses", hypotheses), ("references", references)):
        (tmp_path / name).write_text("".join(line + " \n" for line in lines), encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", "references", "-i", "hypotheses", "-m", "bleu", "chrf", "ter"]
    printed = subprocess.run(
        [*command, "-w", "9", "-f", "json", "--confidence", "--confidence-n", "200"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    scores = translation_scores([line + " " for line in hypotheses], references, resamples=200, seed=12345)
    theirs = json.loads(printed.stdout)
    assert [entry["name"] for entry in theirs] == ["BLEU", "chrF2", "TER"]
    for entry, score in zip(theirs, scores.scores, strict=False):
        assert entry["score"] == round(score.value, 9)
        assert f"{entry['name']}|{entry['signature']}" == score.signature
        # The same draws: the mean over resamples is theirs; they give half the distance of two order statistics.
        statistics = corpus_statistics(score.name, hypotheses, references)
        sums = resampled_sums(statistics.statistics, resamples=200, seed=12345)
        mean = numpy.mean([statistics.value(row) for row in sums])
        assert mean == pytest.approx(entry["confidence_mean"], rel=1e-6)
        assert score.confidence_interval is not None
        low, high = score.confidence_interval
        assert low < score.value < high
        assert (high - low) / 2 == pytest.approx(entry["confidence_var"], rel=0.05)


def test_sentence_statistics_give_the_score_of_any_set_of_sentences(seed: int) -> None:
    hypotheses, references = made_up(seed + 2, 30)
    chosen = [3, 3, 5, 11, 29]
    for name, metric in (("bleu", sacrebleu.BLEU()), ("chrf", sacrebleu.CHRF()), ("ter", sacrebleu.TER())):
        statistics = corpus_statistics(name, hypotheses, references)
        expected = metric.corpus_score([hypotheses[i] for i in chosen], [[references[i] for i in chosen]])
        assert statistics.value(statistics.statistics[chosen].sum(axis=0)) == expected.score
    of_each = corpus_statistics("chrf", hypotheses, references).sentence_values()
    pairs = zip(hypotheses, references, strict=True)
    assert of_each.tolist() == [sacrebleu.sentence_chrf(h, [r]).score for h, r in pairs]


def test_exact_matches_are_counted_but_for_white_space_at_the_end() -> None:
    scores = translation_scores(["a b", "c\r", "d", ""], ["a b ", "c", "D", ""])
    score = scores.scores[-1]
    assert (score.name, score.value, score.n) == ("exact_match", 0.75, 4)
    assert score.confidence_interval == wilson_interval(3, 4)


def test_resamples_and_seed_decide_the_intervals_and_stand_in_the_signature(seed: int) -> None:
    hypotheses, references = made_up(seed + 3, 30)
    first = translation_scores(hypotheses, references, resamples=20)
    assert first == translation_scores(hypotheses, references, resamples=20, seed=12345)
    other = translation_scores(hypotheses, references, resamples=20, seed=7)
    assert first.scores[0].confidence_interval != other.scores[0].confidence_interval
    assert "|bs:20|seed:7|" in other.scores[0].signature
    alone = translation_scores(hypotheses[:1], references[:1])
    assert [score.confidence_interval for score in alone.scores[:3]] == [None] * 3
    assert "bs:" not in alone.signature


def test_buckets_by_length(seed: int) -> None:
    hypotheses, references = made_up(seed + 4, 80)
    references[0] = hypotheses[0] = " ".join(["long"] * 70)
    scores = translation_scores(hypotheses, references, resamples=2)
    assert [(bucket.low, bucket.high) for bucket in scores.by_length] == [(0, 9), (10, 19), (20, 29), (60, None)]
    assert sum(bucket.n for bucket in scores.by_length) == 80
    for bucket in scores.by_length:
        inside = [i for i in range(80) if bucket.low <= len(references[i].split()) <= (bucket.high or 99)]
        chosen_hypotheses, chosen = [hypotheses[i] for i in inside], [references[i] for i in inside]
        assert bucket.n == len(inside)
        assert bucket.bleu == sacrebleu.corpus_bleu(chosen_hypotheses, [chosen]).score
        assert bucket.chrf == sacrebleu.corpus_chrf(chosen_hypotheses, [chosen]).score
        assert bucket.exact_match == pytest.approx(numpy.mean([hypotheses[i] == references[i] for i in inside]))
    assert scores.by_length[-1].exact_match == 1.0


def test_words_by_training_frequency_by_hand() -> None:
    training = ["the boat ", "the dog.", "the cat", "the owl", "the gull"]  # "the" five times, the others once
    scores = translation_scores(
        ["the the boat", "a dog", "x"], ["the boat", "the dog.", "unseen"], training_text=iter(training)
    )
    unseen, once, five = scores.by_frequency
    # Unseen: "unseen" is wanted; "a" and "x" are given. Once: boat, dog and the full stop, which is left out, are
    # wanted. Five to nine times: both "the" are wanted, two are given in the first sentence, where one is.
    assert (unseen.low, unseen.high, unseen.words, unseen.recall, unseen.f1) == (0, 0, 1, 0.0, 0.0)
    assert (once.low, once.high, once.words) == (1, 1, 3)
    assert (once.recall, once.f1) == pytest.approx((2 / 3, 2 * 2 / (3 + 2)))
    assert (five.low, five.high, five.words) == (5, 9, 2)
    assert (five.recall, five.f1) == pytest.approx((1 / 2, 2 * 1 / (2 + 2)))
    assert translation_scores(["a"], ["a"]).by_frequency == ()


def test_the_worst_and_the_best_sentences() -> None:
    references = ["all is well today"] * 12
    hypotheses = ["all is well today"[:length] for length in (17, 3, 9, 17, 0, 12, 4, 17, 5, 17, 16, 15)]
    scores = translation_scores(hypotheses, references, sources=[f"Satz {i}" for i in range(12)])
    assert [each.number for each in scores.worst] == [5, 2, 7, 9, 3]
    assert [each.number for each in scores.best] == [1, 4, 8, 10, 11]
    worst = scores.worst[1]
    assert (worst.source, worst.hypothesis, worst.reference) == ("Satz 1", "all", references[1])
    assert worst.chrf == sacrebleu.sentence_chrf("all", [references[1]]).score
    assert translation_scores(["a"], ["a"]).worst[0].source is None


def test_the_json_is_strict_and_holds_what_the_details_show(seed: int) -> None:
    hypotheses, references = made_up(seed + 5, 10)
    scores = translation_scores(hypotheses, references, resamples=5, training_text=references[:5])
    read = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    names = ["bleu", "chrf", "ter", "exact_match"]
    parts = ["by_length", "by_frequency", "worst", "best"]
    assert list(read) == ["task", "n", *names, "confidence_interval", "signature", *parts]
    first = scores.by_length[0]
    assert read["by_length"][0] == {
        **{"low": first.low, "high": first.high, "n": first.n},
        **{"bleu": first.bleu, "chrf": first.chrf, "exact_match": first.exact_match},
    }
    frequent = scores.by_frequency[-1]
    assert read["by_frequency"][-1] == {
        **{"low": frequent.low, "high": frequent.high, "words": frequent.words},
        **{"recall": frequent.recall, "f1": frequent.f1},
    }
    assert [each["number"] for each in read["worst"]] == [each.number for each in scores.worst]
    best = scores.best[0]
    assert read["best"][0] == {
        **{"number": best.number, "chrf": best.chrf, "source": None},
        **{"hypothesis": best.hypothesis, "reference": best.reference},
    }
    assert [len(read[part]) for part in parts] == [len(getattr(scores, part)) for part in parts]
    assert (read["task"], read["n"]) == ("translation", 10)
    assert list(read["confidence_interval"]) == names
    assert read["bleu"] == value(scores, "bleu")
    assert [part.split("|")[0] for part in read["signature"].split("; ")] == ["BLEU", "chrF2", "TER"]


def test_the_text_and_the_details() -> None:
    scores = translation_scores(
        ["a cat sat here now"] * 3, ["a cat sat here now"] * 3, sources=["x"] * 3, training_text=["cat"]
    )
    lines = scores.text().splitlines()
    assert lines[:4] == [
        "bleu 100.0 (95 % CI 100.0-100.0, n=3)",
        "chrf 100.0 (95 % CI 100.0-100.0, n=3)",
        "ter 0.000 (95 % CI 0.000-0.000, n=3)",
        "exact_match 1.000 of the sentences (95 % CI 0.439-1.000, n=3)",
    ]
    assert lines[4] == f"signature {scores.scores[0].signature}"
    assert len(lines) == 7
    details = scores.details()
    assert "words  sentences    bleu    chrf  exact_match\n0-9            3  100.00  100.00        1.000\n" in details
    assert "times  words  recall     f1\n0         12   1.000  1.000\n1          3   1.000  1.000\n" in details
    assert "Worst sentences by chrF:\n  line 1, chrf 100.0\n    source     x\n    hypothesis a cat" in details
    assert "Best sentences" in details


def test_the_details_show_each_sentence_in_one_line_that_a_reader_can_see_the_end_of() -> None:
    details = translation_scores(["a\nb " + "c" * 300], ["a b"], sources=["x\ty"]).details()
    assert f"    source     x y\n    hypothesis a b {'c' * 195}…\n    reference  a b\n" in details


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(DataError, match="2 hypotheses and 1 references"):
        translation_scores(["a", "b"], ["a"])
    with pytest.raises(DataError, match="no sentence to score"):
        translation_scores([], [])
    with pytest.raises(DataError, match="2 hypotheses and 1 references"):
        translation_scores(["a"], ["a"], sources=["a", "b"])
    with pytest.raises(UsageError, match="not one string"):
        translation_scores("a", ["a"])
    with pytest.raises(UsageError, match="resamples is 0"):
        translation_scores(["a"], ["a"], resamples=0)


def test_scoring_needs_no_torch_and_importing_no_sacrebleu() -> None:
    program = (
        "import sys, nlp_lstm.evaluation as e\n"
        "assert not {'torch', 'sacrebleu', 'matplotlib', 'rouge_score'} & set(sys.modules)\n"
        "e.translation_scores(['a'], ['a'])\n"
        "assert 'sacrebleu' in sys.modules and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
