"""The scores of a language model, in units that can be compared across tokenizers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy
from numpy.typing import ArrayLike, NDArray

from nlp_lstm.errors import DataError, UsageError
from nlp_lstm.evaluation._bootstrap import block_bootstrap_means, default_block_length, percentile_interval
from nlp_lstm.evaluation._score import Score, finite_or_none, interval_to_json, signature

# With fewer tokens the resamples say more about the resampling than about the model, and no interval is given.
_FEWEST_TOKENS_FOR_INTERVAL = 30


@dataclass(frozen=True)
class LanguageModelScores:
    """What `language_model_scores` found.

    Attributes:
        scores: `loss`, `perplexity`, `word_perplexity`, `bits_per_char`, `bits_per_byte` and `unknown_rate`; one
            that the text does not allow (words, characters or bytes were 0) is missing.
        tokens: How many tokens were scored.
        state_policy: What the recurrent state was at each token: "carried", "reset every 64 tokens", ...
        signature: What decides the numbers.
    """

    scores: tuple[Score, ...]
    tokens: int
    state_policy: str
    signature: str

    def to_json(self) -> dict[str, object]:
        """Return one flat object for strict JSON; a score that is missing or infinite is null."""
        values: dict[str, object] = dict.fromkeys(_NAMES)
        values |= {score.name: finite_or_none(score.value) for score in self.scores}
        intervals = {
            score.name: interval_to_json(score.confidence_interval)
            for score in self.scores
            if score.confidence_interval is not None
        }
        return {
            "task": "language_modeling",
            "n": self.tokens,
            **values,
            "tokens": self.tokens,
            "state_policy": self.state_policy,
            "confidence_interval": intervals,
            "signature": self.signature,
        }

    def text(self) -> str:
        """Return the lines for a terminal: a score each, what limits them, and the signature once."""
        lines = [score.brief() for score in self.scores]
        if any(score.name == "unknown_rate" and score.value > 0 for score in self.scores):
            lines.append(
                "Some of the text is unknown to the tokenizer: the model names it <unk> and does not pay for spelling "
                "it, so that its scores look better than those of a model that knows every character."
            )
        return "\n".join([*lines, f"signature {self.signature}"])


_NAMES = ("loss", "perplexity", "word_perplexity", "bits_per_char", "bits_per_byte", "unknown_rate")


def language_model_scores(
    losses: ArrayLike,
    *,
    characters: int,
    bytes: int,
    words: int,
    unknown: int,
    state_policy: str,
    signature_parts: Mapping[str, object],
    block_length: int | None = None,
    resamples: int = 1000,
    seed: int = 12345,
) -> LanguageModelScores:
    """Score a language model by what it paid for each token of a text.

    `losses` (tokens,) are minus the natural logarithms of the tokens' probabilities, in text order. `characters`,
    `bytes` (UTF-8) and `words` (between white space) count the original text that these tokens stand for, whatever
    the tokenizer made of it, and `unknown` counts the tokens that are the unknown token. With L the sum of losses:

        loss = L / tokens              perplexity = exp(L / tokens)        word_perplexity = exp(L / words)
        bits_per_char = L / (ln 2 · characters)    bits_per_byte = L / (ln 2 · bytes)    unknown_rate = unknown / tokens

    Only the scores per character, byte and word compare models with different tokenizers. The 95 % intervals are
    percentiles of a circular block bootstrap over the tokens, with `default_block_length` unless `block_length` says
    otherwise; the counts are held fixed. There are none for fewer than 30 tokens or an infinite loss.
    `signature_parts` name what else decides the numbers: data, split, tokenizer, version.

    Raises:
        DataError: there is no token, or a loss is not a number.
        UsageError: losses of more than one dimension, a negative count, more unknown tokens than tokens, or a block
            length or a number of resamples below 1.
    """
    values = _checked_losses(losses)
    tokens = len(values)
    block = default_block_length(tokens) if block_length is None else block_length
    _check_counts(tokens, block, resamples, characters=characters, bytes=bytes, words=words, unknown=unknown)
    block = min(block, tokens)
    mean = float(values.mean())
    interval = _interval(values, block, resamples, seed)
    parts: dict[str, object] = {"task": "language_modeling", "state": state_policy, **signature_parts}
    if interval is not None:
        parts |= {"ci": "circular-block-bootstrap", "block": block, "resamples": resamples, "seed": seed}
    signed = signature(parts)

    def score(name: str, unit: str, of_mean: Callable[[float], float]) -> Score:
        # Every score grows with the mean loss, so it takes the ends of the mean's interval to those of its own.
        ends = None if interval is None else (of_mean(interval[0]), of_mean(interval[1]))
        return Score(name, of_mean(mean), unit, tokens, ends, signed)

    scores = [score("loss", "nats per token", lambda loss: loss), score("perplexity", "per token", _exponential)]
    if words:
        scores.append(score("word_perplexity", "per word", lambda loss: _exponential(loss * tokens / words)))
    for name, count in (("bits_per_char", characters), ("bits_per_byte", bytes)):
        if count:
            per_token = tokens / (math.log(2) * count)
            scores.append(score(name, "bits", lambda loss, per_token=per_token: loss * per_token))  # type: ignore[misc]
    # What share is unknown is a fact of the text and the tokenizer, not an estimate of the model: no interval.
    scores.append(Score("unknown_rate", unknown / tokens, "of the tokens", tokens, None, signed))
    return LanguageModelScores(tuple(scores), tokens, state_policy, signed)


def _interval(values: NDArray[numpy.float64], block: int, resamples: int, seed: int) -> tuple[float, float] | None:
    if len(values) < _FEWEST_TOKENS_FOR_INTERVAL or not numpy.isfinite(values).all():
        return None
    return percentile_interval(block_bootstrap_means(values, block_length=block, resamples=resamples, seed=seed))


def _checked_losses(losses: ArrayLike) -> NDArray[numpy.float64]:
    values = numpy.asarray(losses, dtype=numpy.float64)
    if values.ndim != 1:
        raise UsageError(f"The losses have the shape {values.shape}; they must be one row, a number for each token.")
    if not len(values):
        raise DataError("There is no token to score: the text is empty. Give a split that holds text.")
    broken = numpy.flatnonzero(~(values > -numpy.inf))
    if len(broken):
        raise DataError(
            f"The loss of token {broken[0]:,} is {values[broken[0]]} ({len(broken):,} of {len(values):,} are no "
            "losses); the model's weights are probably not finite. Train again with a smaller --learning-rate."
        )
    return values


def _check_counts(tokens: int, block: int, resamples: int, **counts: int) -> None:
    faults = [f"{name} is {count}; it must be 0 or more." for name, count in counts.items() if count < 0]
    if counts["unknown"] > tokens:
        faults.append(f"unknown is {counts['unknown']}; it must be at most the number of tokens, {tokens}.")
    if block < 1:
        faults.append(f"block_length is {block}; it must be 1 or more.")
    if resamples < 1:
        faults.append(f"resamples is {resamples}; it must be 1 or more.")
    if faults:
        raise UsageError(" ".join(faults))


def _exponential(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
