"""Greedy search and sampling of whole sentences: every row follows one path to its end, and leaves the batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Unpack

import torch
from torch import Tensor

from nlp_lstm.decoding._beam_options import BeamOptions
from nlp_lstm.decoding._decoder import Decoder, attention_of
from nlp_lstm.decoding._distribution import is_greedy, next_token_distribution
from nlp_lstm.decoding._finished import Finished
from nlp_lstm.decoding._options import SamplingOptions
from nlp_lstm.decoding._rules import Conditions, Rules
from nlp_lstm.decoding._scoring import Coverage, length_normalizer, require_numbers
from nlp_lstm.decoding._step import State
from nlp_lstm.decoding._trace import Hypothesis, Trace
from nlp_lstm.errors import ShapeError, UsageError

Choice = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""From log-probabilities (rows, vocab), minus infinity for what is not allowed, the logits that they come from, the
tokens so far, int64 (rows, length), and the sentences, int64 (rows,), to the next token of each row."""


def greedy_search(
    decoder: Decoder[State], ids: Tensor, state: State, options: BeamOptions, **conditions: Unpack[Conditions]
) -> list[list[Hypothesis]]:
    """Follow the likeliest token; return a list of one hypothesis for each sentence, as `beam_search` with a beam of 1.

    A conflict between the conditions that leaves no token at some step leaves the sentence's list empty. Arguments
    and errors are those of `beam_search`; the beam size and `n_best` of the options are not used.

    Raises:
        UsageError: phrases are required, which needs the choices of a beam.
    """
    with torch.inference_mode():
        return follow_likeliest(decoder, ids, state, _rules_without_phrases(ids, options, conditions))


def follow_likeliest(decoder: Decoder[State], ids: Tensor, state: State, rules: Rules) -> list[list[Hypothesis]]:
    """Do what `greedy_search` does, under rules that are ready and in inference mode."""
    return _follow(decoder, ids, state, rules, 1, lambda scores, *_: scores.argmax(dim=-1))


def sample_search(
    decoder: Decoder[State],
    ids: Tensor,
    state: State,
    sampling: SamplingOptions,
    options: BeamOptions,
    *,
    samples: int = 1,
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
    **conditions: Unpack[Conditions],
) -> list[list[Hypothesis]]:
    """Draw whole sentences; return `samples` hypotheses for each sentence, drawn independently, by falling score.

    Each token is drawn from `next_token_distribution` of the logits that the conditions leave, with all tokens of the
    sentence, up to the repetition window, as the recent ones. `log_probability` is that of the model before the
    sampling options. `generator` lives on the device of `ids`; None takes torch's global one. What one draws depends
    on the whole batch and its order; where each sentence has its own, they draw the same in any batch.

    Other arguments and errors are those of `greedy_search`.

    Raises:
        ShapeError: there are generators, but not one for each sentence.
    """
    if isinstance(generator, Sequence) and len(generator) != len(ids):
        raise ShapeError(f"There are {len(generator)} generators for {len(ids)} sentences; give one for each.")
    greedy, window = is_greedy(sampling), sampling.repetition_window

    def draw(scores: Tensor, logits: Tensor, history: Tensor, sentence: Tensor) -> Tensor:
        recent = history[:, -window:] if history.shape[1] else None
        # The repetition penalty asks for the sign of a logit, which its log-probability does not have.
        allowed = logits.masked_fill(scores == -math.inf, -math.inf)
        probabilities = next_token_distribution(allowed, sampling, recent)
        if greedy:
            return probabilities.argmax(dim=-1)
        # Of independent exponential clocks with these rates, each is the first to ring with its own probability.
        noise = _exponential(probabilities, sentence, generator)
        return (probabilities / noise.clamp_min_(torch.finfo(noise.dtype).tiny)).argmax(dim=-1)

    with torch.inference_mode():
        rules = _rules_without_phrases(ids, options, conditions)
        found = _follow(decoder, ids, state, rules, samples, draw)
    return [sorted(drawn, key=lambda hypothesis: -hypothesis.score) for drawn in found]


def _exponential(
    like: Tensor, sentence: Tensor, generator: torch.Generator | Sequence[torch.Generator] | None
) -> Tensor:
    """Draw from the exponential distribution for each value of (rows, vocab), whose rows are sorted by sentence."""
    noise = torch.empty_like(like)
    if not isinstance(generator, Sequence):
        return noise.exponential_(generator=generator)
    sentences, counts = sentence.unique_consecutive(return_counts=True)
    for number, rows in zip(sentences.tolist(), noise.split(counts.tolist()), strict=True):
        rows.exponential_(generator=generator[number])
    return noise


def _rules_without_phrases(ids: Tensor, options: BeamOptions, conditions: Conditions) -> Rules:
    rules = Rules(ids, options, conditions)
    if rules.phrases is not None:
        raise UsageError("Required phrases need the choices of a beam; take beam search, with a beam of 5 or more.")
    return rules


def _follow(
    decoder: Decoder[State], ids: Tensor, state: State, rules: Rules, samples: int, choose: Choice
) -> list[list[Hypothesis]]:
    """Let `samples` rows of each sentence go their way."""
    options, device = rules.options, ids.device
    finished = Finished(len(ids), samples, device)
    path = torch.arange(len(ids) * samples, device=device)  # the place in the list of finished ones
    totals = torch.zeros(len(path), device=device)
    history = ids.new_zeros(len(path), 0)
    coverage = Coverage(options.coverage_penalty, rules.source_lengths) if options.coverage_penalty else None
    if samples > 1:
        ids, state = ids.repeat_interleave(samples), decoder.select(state, path.div(samples, rounding_mode="floor"))
    trace, length = Trace(), 0
    while len(ids):
        sentence = path.div(samples, rounding_mode="floor")
        logits, state = decoder.step(ids, state)
        attention = attention_of(decoder, state)
        if coverage is not None:
            coverage.add(attention)
        scores = logits.float().log_softmax(dim=-1)
        cut = rules.apply(scores, sentence, history, length)
        ids = choose(scores, logits, history, sentence)
        totals = totals + scores.gather(1, ids[:, None])[:, 0]
        require_numbers(totals, length)
        possible, ends = totals > -math.inf, ids == rules.eos_id
        done = (possible & ends).nonzero()[:, 0]
        if len(done):
            ranks = totals / length_normalizer(length + 1, options)
            if coverage is not None:
                ranks = ranks + coverage.scores(sentence)
            finished.put(path[done], ranks[done], totals[done], length, done, cut[done])
        rows = (possible & ~ends).nonzero()[:, 0]
        trace.append(rows, ids[rows], attention)
        if 0 < len(rows) < len(ids):
            state = decoder.select(state, rows)
            if coverage is not None:
                coverage.select(rows)
        history = torch.cat((history, ids[:, None]), dim=1)[rows]
        path, totals, ids = path[rows], totals[rows], ids[rows]
        length += 1
    return finished.read(trace, rules)
