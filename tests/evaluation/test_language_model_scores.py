"""The scores: closed forms, one distribution under three tokenizations, strict JSON, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy
import pytest

from nlp_lstm.errors import DataError, UsageError
from nlp_lstm.evaluation import LanguageModelScores, language_model_scores

COUNTS: dict[str, Any] = {
    "characters": 400,
    "bytes": 500,
    "words": 100,
    "unknown": 0,
    "state_policy": "carried",
    "signature_parts": {"tokenizer": "character", "version": "0.1.0"},
}


def value(scores: LanguageModelScores, name: str) -> float:
    return next(score.value for score in scores.scores if score.name == name)


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary() -> None:
    scores = language_model_scores(numpy.full(400, math.log(97)), **COUNTS)
    assert value(scores, "perplexity") == pytest.approx(97, rel=1e-12)
    assert value(scores, "bits_per_char") == pytest.approx(math.log2(97), rel=1e-12)
    assert value(scores, "bits_per_byte") == pytest.approx(math.log2(97) * 400 / 500, rel=1e-12)
    assert value(scores, "word_perplexity") == pytest.approx(97.0**4, rel=1e-12)
    for score in scores.scores[:-1]:  # nothing varies, so the intervals are points
        assert score.confidence_interval == pytest.approx((score.value, score.value), rel=1e-9)


def test_a_mixed_text_by_hand() -> None:
    # Three tokens with the probabilities 1/2, 1/4 and 1/8 cost 6 bits together.
    losses = numpy.log([2.0, 4.0, 8.0]).astype(numpy.float32)
    scores = language_model_scores(losses, **{**COUNTS, "characters": 4, "bytes": 6, "words": 2, "unknown": 1})
    assert value(scores, "loss") == pytest.approx(2 * math.log(2))
    assert value(scores, "perplexity") == pytest.approx(4.0)
    assert value(scores, "word_perplexity") == pytest.approx(8.0)
    assert value(scores, "bits_per_char") == pytest.approx(1.5)
    assert value(scores, "bits_per_byte") == pytest.approx(1.0)
    assert value(scores, "unknown_rate") == pytest.approx(1 / 3)
    assert all(score.confidence_interval is None for score in scores.scores)  # three tokens allow none


# A source that draws each character independently; they take one, two, three and four bytes, and share first bytes.
SOURCE = {"a": 0.35, " ": 0.2, "é": 0.15, "è": 0.1, "€": 0.08, "₤": 0.07, "🙂": 0.05}


def character_losses(text: str) -> list[float]:
    return [-math.log(SOURCE[character]) for character in text]


def chance_of_prefix(data: bytes) -> float:
    """Return the chance that the source's text begins with these bytes, by enumerating the characters that fit."""
    if not data:
        return 1.0
    total = 0.0
    for character, chance in SOURCE.items():
        encoded = character.encode()
        if data.startswith(encoded):
            total += chance * chance_of_prefix(data[len(encoded) :])
        elif encoded.startswith(data):
            total += chance
    return total


def chunk_losses(text: str, size: int) -> list[float]:
    """Return the losses of the same distribution over chunks of `size` bytes, each given all before, by the chain rule.

    Characters do not depend on each other, so what lies before the unfinished character is left out of the condition.
    """
    data, losses, boundaries = text.encode(), [], {0}
    for character in text:
        boundaries.add(max(boundaries) + len(character.encode()))
    for start in range(0, len(data), size):
        begun = max(boundary for boundary in boundaries if boundary <= start)
        before, after = data[begun:start], data[begun : start + size]
        losses.append(math.log(chance_of_prefix(before)) - math.log(chance_of_prefix(after)))
    return losses


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_one_distribution_has_one_number_of_bits_per_byte_under_every_tokenization(seed: int) -> None:
    random = numpy.random.default_rng(seed)
    text = "".join(random.choice(list(SOURCE), size=300, p=list(SOURCE.values())))
    counts: dict[str, Any] = {"characters": len(text), "bytes": len(text.encode()), "words": len(text.split())}
    views: Sequence[list[float]] = (character_losses(text), chunk_losses(text, 1), chunk_losses(text, 2))
    found = [language_model_scores(losses, **{**COUNTS, **counts}) for losses in views]
    assert [scores.tokens for scores in found] == [300, counts["bytes"], math.ceil(counts["bytes"] / 2)]
    for name in ("bits_per_byte", "bits_per_char", "word_perplexity"):
        assert [value(scores, name) for scores in found] == pytest.approx([value(found[0], name)] * 3, rel=1e-9)
    # The scores per token are another number in each view: they do not compare.
    assert len({round(value(scores, "perplexity"), 3) for scores in found}) == 3


def test_intervals_hold_the_value_and_follow_the_units() -> None:
    losses = numpy.random.default_rng(4).exponential(2.0, size=5_000)
    scores = language_model_scores(losses, **{**COUNTS, "characters": 5_000, "bytes": 10_000, "words": 2_500})
    intervals = {score.name: score.confidence_interval for score in scores.scores}
    low, high = intervals["loss"] or (0, 0)
    assert low < value(scores, "loss") < high
    # The standard error of the mean is 2 / sqrt(5000).
    assert high - low == pytest.approx(2 * 1.96 * 2 / math.sqrt(5_000), rel=0.25)
    assert intervals["perplexity"] == pytest.approx((math.exp(low), math.exp(high)))
    assert intervals["word_perplexity"] == pytest.approx((math.exp(2 * low), math.exp(2 * high)))
    assert intervals["bits_per_char"] == pytest.approx((low / math.log(2), high / math.log(2)))
    assert intervals["bits_per_byte"] == pytest.approx((low / math.log(4), high / math.log(4)))
    assert intervals["unknown_rate"] is None


def test_the_signature_says_how_the_interval_was_made_and_the_options_reach_it() -> None:
    losses = numpy.random.default_rng(5).exponential(size=400)
    scores = language_model_scores(losses, **COUNTS, block_length=17, resamples=50, seed=6)
    assert scores.signature == (
        "task:language_modeling|state:carried|tokenizer:character|ci:circular-block-bootstrap|block:17|resamples:50|"
        "seed:6|version:0.1.0"
    )
    assert {score.signature for score in scores.scores} == {scores.signature}
    default = language_model_scores(losses, **COUNTS)
    assert "|block:7|resamples:1000|seed:12345|" in default.signature
    assert language_model_scores(losses, **COUNTS) == default
    changes: list[dict[str, Any]] = [{"block_length": 17}, {"resamples": 50}, {"seed": 6}]
    for changed in changes:
        assert language_model_scores(losses, **COUNTS, **changed).scores[0] != default.scores[0]
    assert "|block:400|" in language_model_scores(losses, **COUNTS, block_length=10_000).signature
    assert "ci:" not in language_model_scores(losses[:29], **COUNTS).signature


def test_the_json_is_flat_and_strict() -> None:
    losses = numpy.random.default_rng(7).exponential(size=400)
    scores = language_model_scores(losses, **{**COUNTS, "unknown": 3})
    read = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    assert list(read) == [
        *("task", "n", "loss", "perplexity", "word_perplexity", "bits_per_char", "bits_per_byte", "unknown_rate"),
        *("tokens", "state_policy", "confidence_interval", "signature"),
    ]
    assert read["task"] == "language_modeling"
    assert read["n"] == read["tokens"] == 400
    assert read["state_policy"] == "carried"
    assert read["unknown_rate"] == pytest.approx(3 / 400)
    assert read["signature"] == scores.signature
    assert list(read["confidence_interval"]) == [
        *("loss", "perplexity", "word_perplexity", "bits_per_char", "bits_per_byte")
    ]
    assert all(low <= read[name] <= high for name, (low, high) in read["confidence_interval"].items())


def test_an_impossible_token_makes_the_scores_infinite_and_the_json_null() -> None:
    losses = numpy.ones(100)
    losses[50] = math.inf
    scores = language_model_scores(losses, **COUNTS)
    assert "perplexity inf per token (n=100)" in scores.text()
    read = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    assert read["loss"] is read["perplexity"] is read["bits_per_byte"] is None
    assert read["confidence_interval"] == {}


def test_a_perplexity_too_large_for_a_float_is_infinite() -> None:
    scores = language_model_scores(numpy.full(100, 20.0), **{**COUNTS, "words": 1})
    assert value(scores, "word_perplexity") == math.inf
    read = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    assert read["word_perplexity"] is None
    assert read["confidence_interval"]["word_perplexity"] == [None, None]
    assert read["perplexity"] == pytest.approx(math.exp(20))


@pytest.mark.parametrize(
    ("count", "name"), [("words", "word_perplexity"), ("characters", "bits_per_char"), ("bytes", "bits_per_byte")]
)
def test_a_score_without_its_unit_in_the_text_is_null(count: str, name: str) -> None:
    scores = language_model_scores(numpy.ones(40), **{**COUNTS, count: 0})
    assert name not in [score.name for score in scores.scores]
    assert name not in scores.text()
    read = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    assert read[name] is None
    assert name not in read["confidence_interval"]


def test_the_text_has_a_line_a_score_a_warning_where_due_and_the_signature_once() -> None:
    scores = language_model_scores(numpy.full(400, 1.5), **COUNTS)
    assert scores.text().splitlines() == [
        "loss 1.500 nats per token (95 % CI 1.500-1.500, n=400)",
        "perplexity 4.482 per token (95 % CI 4.482-4.482, n=400)",
        "word_perplexity 403.4 per word (95 % CI 403.4-403.4, n=400)",
        "bits_per_char 2.164 bits (95 % CI 2.164-2.164, n=400)",
        "bits_per_byte 1.731 bits (95 % CI 1.731-1.731, n=400)",
        "unknown_rate 0.000 of the tokens (n=400)",
        f"signature {scores.signature}",
    ]
    known_less = language_model_scores(numpy.full(400, 1.5), **{**COUNTS, "unknown": 1})
    assert known_less.text().splitlines()[-2].startswith("Some of the text is unknown to the tokenizer")


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(DataError, match=r"no token to score.*Give a split that holds text"):
        language_model_scores([], **COUNTS)


@pytest.mark.parametrize("broken", [math.nan, -math.inf])
def test_a_loss_that_is_none_is_refused_with_its_place(broken: float) -> None:
    with pytest.raises(DataError, match=rf"token 2 is {broken} \(1 of 4 are no losses\).*--learning-rate"):
        language_model_scores([1.0, 2.0, broken, 4.0], **COUNTS)


def test_losses_of_two_dimensions_are_refused() -> None:
    with pytest.raises(UsageError, match=r"shape \(2, 3\)"):
        language_model_scores(numpy.ones((2, 3)), **COUNTS)


def test_impossible_counts_are_refused_all_at_once() -> None:
    counts: dict[str, Any] = {"characters": -1, "bytes": -2, "words": -3, "unknown": -4}
    with pytest.raises(UsageError) as caught:
        language_model_scores([1.0], **{**COUNTS, **counts}, block_length=0, resamples=0)
    for name, given in (*counts.items(), ("block_length", 0), ("resamples", 0)):
        assert f"{name} is {given}; it must be" in str(caught.value)
    with pytest.raises(UsageError, match="unknown is 2; it must be at most the number of tokens, 1"):
        language_model_scores([1.0], **{**COUNTS, "unknown": 2})
