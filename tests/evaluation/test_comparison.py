"""Comparisons of two systems: their numbers are those of the scores and tests they are made of."""

from __future__ import annotations

import json
import math

import numpy
import pytest
import sacrebleu

from nlp_lstm.errors import DataError, UsageError
from nlp_lstm.evaluation import (
    Difference,
    approximate_randomization,
    block_bootstrap_means,
    compare_classifications,
    compare_language_models,
    compare_summaries,
    compare_translations,
    corpus_statistics,
    default_block_length,
    mcnemar,
    paired_bootstrap,
    percentile_interval,
    rouge_scores,
)

WORDS = ["a", "grey", "dog", "runs", "over", "the", "old", "wall", "near", "our", "house", "today"]


def translations(seed: int, quality: float) -> tuple[list[str], list[str]]:
    """Hypotheses with the share `quality` of the words right, and their references."""
    random = numpy.random.default_rng(seed)
    references = [list(random.choice(WORDS, size=12)) for _ in range(60)]
    given = [[word if random.random() < quality else "wrong" for word in reference] for reference in references]
    return [" ".join(words) for words in given], [" ".join(words) for words in references]


def test_translations(seed: int) -> None:
    worse, references = translations(seed, 0.7)
    better, _ = translations(seed, 0.9)
    found = compare_translations(worse, better, references, resamples=100, trials=300, seed=4)
    bleu, chrf, ter = found.differences
    assert bleu.a == sacrebleu.corpus_bleu(worse, [references]).score
    assert bleu.b == sacrebleu.corpus_bleu(better, [references]).score
    assert chrf.difference == pytest.approx(sacrebleu.corpus_chrf(better, [references]).score - chrf.a)
    assert ter.a == sacrebleu.corpus_ter(worse, [references]).score
    assert ter.b == sacrebleu.corpus_ter(better, [references]).score
    assert ter.difference < 0, "less is better"
    a, b = (corpus_statistics("bleu", hypotheses, references) for hypotheses in (worse, better))
    expected = paired_bootstrap(a.statistics, b.statistics, a.value, resamples=100, seed=4)
    assert (bleu.difference, bleu.confidence_interval) == (expected.difference, expected.confidence_interval)
    swapped = approximate_randomization(a.statistics, b.statistics, a.value, trials=300, seed=4)
    assert bleu.p_values == {"paired_bootstrap": expected.p_value, "approximate_randomization": swapped}
    assert bleu.p_values["approximate_randomization"] == 1 / 301
    assert found.signature.startswith("BLEU|nrefs:1|bs:100|ar:300|seed:4|case:mixed|")
    assert "; chrF2|nrefs:1|bs:100|ar:300|seed:4|" in found.signature
    assert "; TER|nrefs:1|bs:100|ar:300|seed:4|" in found.signature
    assert (found.task, found.n) == ("translation", 60)
    a, b = (corpus_statistics("ter", hypotheses, references) for hypotheses in (worse, better))
    expected = paired_bootstrap(a.statistics, b.statistics, a.value, resamples=100, seed=4)
    assert ter.confidence_interval == expected.confidence_interval


def test_summaries(seed: int) -> None:
    pytest.importorskip("rouge_score")
    worse, references = translations(seed, 0.7)
    better, _ = translations(seed, 0.9)
    found = compare_summaries(worse, better, references, resamples=100, trials=300, seed=4)
    assert [each.name for each in found.differences] == ["rouge_1", "rouge_2", "rouge_l", "bleu", "chrf"]
    of_a, of_b = rouge_scores(worse, references), rouge_scores(better, references)
    for each, a, b in zip(found.differences, of_a, of_b, strict=False):
        assert (each.a, each.b) == pytest.approx((a.value, b.value))
        assert each.difference == pytest.approx(b.value - a.value)
        low, high = each.confidence_interval
        assert 0 < low < each.difference < high
        assert each.p_values == {"paired_bootstrap": 1 / 101, "approximate_randomization": 1 / 301}
    others = compare_translations(worse, better, references, ter=False, resamples=100, trials=300, seed=4)
    assert found.differences[3:] == others.differences
    assert found.signature.startswith("ROUGE|stemmer:porter|measure:f1|bs:100|ar:300|seed:4|version:")
    assert found.signature.endswith(f"; {others.signature}")
    assert (found.task, found.n) == ("summarization", 60)
    same = compare_summaries(worse, worse, references, resamples=10, trials=10)
    assert same.differences[0].p_values == {"paired_bootstrap": 1.0, "approximate_randomization": 1.0}


def test_translations_of_other_length_are_refused() -> None:
    with pytest.raises(DataError, match="1 hypotheses and 2 references"):
        compare_translations(["a", "b"], ["a"], ["a", "b"])
    with pytest.raises(DataError, match="1 hypotheses and 2 references"):
        compare_translations(["a"], ["a", "b"], ["a", "b"])


def test_classifications(seed: int) -> None:
    random = numpy.random.default_rng(seed)
    a, b = random.random(200) < 0.7, random.random(200) < 0.8
    found = compare_classifications(a, b, resamples=100, seed=5)
    (accuracy,) = found.differences
    assert (accuracy.a, accuracy.b, accuracy.difference) == (a.mean(), b.mean(), pytest.approx(b.mean() - a.mean()))
    assert accuracy.p_values == {"mcnemar": mcnemar(a, b).p_value}
    low, high = accuracy.confidence_interval
    both_or_none = float((b.astype(int) - a.astype(int)).std())
    assert (high - low) / 2 == pytest.approx(1.96 * both_or_none / math.sqrt(200), rel=0.3)
    assert f"|only_a:{int((a & ~b).sum())}|only_b:{int((b & ~a).sum())}|" in found.signature
    assert "|resamples:100|seed:5|" in found.signature
    assert found.n == 200
    with pytest.raises(DataError, match="no item"):
        compare_classifications([], [])


def test_language_models(seed: int) -> None:
    random = numpy.random.default_rng(seed)
    a = random.exponential(2.0, size=3_000)
    b = a + random.normal(0.05, 0.3, size=3_000)
    found = compare_language_models(a, b, characters=9_000, span="token", resamples=500, seed=6)
    (bits,) = found.differences
    assert bits.a == pytest.approx(a.sum() / math.log(2) / 9_000)
    assert bits.difference == pytest.approx((b.sum() - a.sum()) / math.log(2) / 9_000)
    block = default_block_length(3_000)
    drawn = block_bootstrap_means(b - a, block_length=block, resamples=500, seed=6) * 3_000 / math.log(2) / 9_000
    assert bits.confidence_interval == pytest.approx(percentile_interval(drawn))
    # 0.05 nats is nine standard errors of 0.3 / sqrt(3000); the losses themselves vary too much to show it.
    assert bits.p_values["paired_block_bootstrap"] == 1 / 501
    assert f"|span:token|characters:9000|ci:paired-circular-block-bootstrap|block:{block}|" in found.signature
    assert "|resamples:500|seed:6|" in found.signature
    same = compare_language_models(a, a, characters=9_000, span="token")
    assert same.differences[0].p_values["paired_block_bootstrap"] == 1.0


def test_language_models_without_a_difference_are_seldom_told_apart(seed: int) -> None:
    random = numpy.random.default_rng(seed)
    told_apart = 0
    for repetition in range(200):
        a, b = random.exponential(2.0, size=(2, 200))
        found = compare_language_models(a, b, characters=500, span="token", resamples=99, seed=repetition)
        told_apart += found.differences[0].p_values["paired_block_bootstrap"] <= 0.05
    assert 1 <= told_apart <= 30  # 10 are expected, a few more since 40 blocks are not many


@pytest.mark.parametrize(
    ("a", "b", "options", "error", "message"),
    [
        (numpy.ones(40), numpy.ones(41), {}, UsageError, r"shapes \(40,\) and \(41,\)"),
        (numpy.ones((40, 1)), numpy.ones((40, 1)), {}, UsageError, "must be a row"),
        (numpy.ones(40), numpy.ones(40), {"characters": 0}, UsageError, "characters is 0"),
        (numpy.ones(40), numpy.ones(40), {"resamples": 0}, UsageError, "resamples 0"),
        (numpy.ones(29), numpy.ones(29), {}, DataError, r"29 spans \(token\); at least 30"),
        (numpy.ones(40), numpy.full(40, math.inf), {}, DataError, "not finite"),
    ],
)
def test_losses_that_do_not_compare_are_refused(a, b, options, error, message) -> None:
    with pytest.raises(error, match=message):
        compare_language_models(a, b, **{"characters": 100, "span": "token"} | options)


def test_the_text_and_the_json() -> None:
    found = compare_classifications([True] * 2 + [False] * 8 + [True] * 10, [False] * 2 + [True] * 18)
    line, signature = found.text().splitlines()
    assert line.startswith("accuracy A 0.6000, B 0.9000 of the items; B - A +0.3000 (95 % CI ")
    assert line.endswith("); p 0.1094 (mcnemar)")
    assert signature == f"signature {found.signature}"
    bleu = Difference("bleu", "", 30.104, 29.0, -1.104, (-2.0, -0.25), {"paired_bootstrap": 0.002, "x": 1.0})
    assert bleu.brief() == (
        "bleu A 30.10, B 29.00; B - A -1.10 (95 % CI -2.00 to -0.25); p 0.0020 (paired bootstrap), p 1.0000 (x)"
    )
    read = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert list(read) == ["task", "n", "accuracy", "signature"]
    assert list(read["accuracy"]) == ["a", "b", "difference", "confidence_interval", "p_values"]
    assert read["accuracy"]["p_values"] == {"mcnemar": 112 / 1024}
