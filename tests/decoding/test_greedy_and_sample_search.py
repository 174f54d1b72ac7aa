"""Greedy search against a plain loop and the beam; sampled sentences against the probabilities of all sentences."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nlp_lstm.decoding import (
    BeamOptions,
    SamplingOptions,
    beam_search,
    greedy_search,
    next_token_distribution,
    sample_search,
)
from nlp_lstm.decoding._beam import _Search
from nlp_lstm.decoding._rules import Rules
from nlp_lstm.errors import ShapeError, UsageError

_spec = importlib.util.spec_from_file_location("enumeration", Path(__file__).with_name("enumeration.py"))
enumeration = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(enumeration)

END = enumeration.END


def plain_greedy(
    decoder: Any, sentence: int, options: BeamOptions, case: Any, forbidden: tuple[int, ...]
) -> list[int] | None:
    """Take the likeliest token that the conditions allow, one after the other; None where there is none."""
    ids: list[int] = []
    while True:
        choices = []
        for token, gain in enumerate(decoder.following(sentence, ids)):
            extended, forced = [*ids, token], len(ids) < len(case.prefix)
            if forced:
                allowed = token == case.prefix[len(ids)]
            elif token == END:
                allowed = len(ids) >= options.min_length
            else:
                size = options.no_repeat_ngram_size
                repeated = bool(size) and enumeration.repeats(extended, size, len(ids))
                allowed = len(ids) < case.raised_limit(options) and token not in forbidden and not repeated
            if allowed:
                choices.append((gain, token))
        if not choices:
            return None
        token = max(choices)[1]
        if token == END:
            return ids
        ids.append(token)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_greedy_search_equals_a_plain_loop_and_a_beam_of_one(data: st.DataObject) -> None:
    batch, vocab = data.draw(st.integers(1, 4)), data.draw(st.integers(3, 7))
    tokens = st.sampled_from([token for token in range(vocab) if token != END])
    sources = data.draw(st.lists(st.integers(1, 5), min_size=batch, max_size=batch))
    decoder = enumeration.TableDecoder(data.draw(st.integers(0, 10**6)), vocab, sources)
    forbidden = tuple(data.draw(st.sets(tokens, max_size=1)))
    cases = [
        enumeration.Case(data.draw(st.integers(0, 9)), data.draw(st.lists(tokens, max_size=3))) for _ in range(batch)
    ]
    options = BeamOptions(
        beam_size=1,
        coverage_penalty=data.draw(st.sampled_from([0.0, 0.5])),
        min_length=data.draw(st.integers(0, 4)),
        no_repeat_ngram_size=data.draw(st.integers(0, 2)),
    )
    conditions = {
        "eos_id": END,
        "forbidden_ids": forbidden,
        "prefixes": [case.prefix for case in cases],
        "max_lengths": torch.tensor([case.limit for case in cases]),
        "source_lengths": torch.tensor(sources),
    }
    ids, state = decoder.start()
    found = greedy_search(decoder, ids, state, options, **conditions)
    assert beam_search(decoder, ids, state, options, **conditions) == found
    with torch.inference_mode():
        general = _Search(Rules(ids, options, conditions), ids).run(decoder, ids, state)
    for sentence, case in enumerate(cases):
        expected = plain_greedy(decoder, sentence, options, case, forbidden)
        assert [one.ids for one in found[sentence]] == ([] if expected is None else [expected])
        assert [one.ids for one in general[sentence]] == [one.ids for one in found[sentence]]
        for one, other in zip(found[sentence], general[sentence], strict=True):
            total, attention = decoder.alone(sentence, one.ids)
            covered = sum(math.log(min(max(received, 1e-10), 1.0)) for received in attention.sum(axis=0))
            score = total / ((5 + len(one.ids) + 1) / 6) ** options.length_penalty + options.coverage_penalty * covered
            assert one.log_probability == pytest.approx(total, abs=2e-5)
            assert one.score == pytest.approx(score, abs=2e-5)
            assert other.score == pytest.approx(score, abs=2e-5)
            torch.testing.assert_close(one.attention, torch.tensor(attention[:-1]).float())
            torch.testing.assert_close(one.attention, other.attention)


def test_finished_rows_leave_the_batch(seed: int) -> None:
    decoder = enumeration.TableDecoder(seed, 6, [1] * 20)
    found = greedy_search(decoder, *decoder.start(), BeamOptions(max_length=12), eos_id=END)
    lengths = [len(one[0].ids) for one in found]
    assert decoder.rows == [sum(length >= step for length in lengths) for step in range(max(lengths) + 1)]
    assert len(set(lengths)) > 2


def chi_square_p_value(counts: torch.Tensor, probabilities: torch.Tensor) -> float:
    """Return the chance of counts at least as far from their expectation (Pearson 1900)."""
    expected = probabilities * counts.sum()
    statistic = ((counts - expected) ** 2 / expected).sum()
    return float(torch.special.gammaincc(torch.tensor((len(counts) - 1) / 2, dtype=torch.float64), statistic / 2))


@pytest.mark.parametrize(
    "sampling", [SamplingOptions(), SamplingOptions(temperature=0.7, top_k=3), SamplingOptions(repetition_penalty=2.0)]
)
def test_sentences_come_as_often_as_they_are_probable(sampling: SamplingOptions, seed: int) -> None:
    limit, samples = 3, 20_000
    decoder = enumeration.TableDecoder(5, 4, [1])
    generator = torch.Generator().manual_seed(seed)
    [found] = sample_search(
        decoder,
        *decoder.start(),
        sampling,
        BeamOptions(max_length=limit),
        samples=samples,
        generator=generator,
        eos_id=END,
    )
    expected: dict[tuple[int, ...], float] = {}
    for tokens in enumeration.every_sentence(4, limit):
        probability = 1.0
        for at in range(len(tokens) + 1):
            # A penalty looks at the sign of a logit, so it must see the decoder's own.
            logits = decoder.logits[decoder.numbers(0, tokens[:at])[-1], (0, *tokens)[at]][None].clone()
            if at == limit:
                logits[:, [token for token in range(4) if token != END]] = -math.inf
            recent = torch.tensor([tokens[:at]]) if at else None
            next_token = (*tokens, END)[at]
            probability *= float(next_token_distribution(logits, sampling, recent)[0, next_token])
        if probability > 0:
            expected[tokens] = probability
    assert sum(expected.values()) == pytest.approx(1, abs=1e-5)
    counts = dict.fromkeys(expected, 0)
    for one in found:
        counts[tuple(one.ids)] += 1
        assert one.log_probability == pytest.approx(decoder.alone(0, one.ids)[0], abs=2e-5)
    common = [tokens for tokens in expected if expected[tokens] * samples >= 5]
    common_probability = sum(expected[tokens] for tokens in common)
    probabilities = torch.tensor([expected[tokens] / common_probability for tokens in common], dtype=torch.float64)
    tally = torch.tensor([counts[tokens] for tokens in common], dtype=torch.float64)
    assert len(common) > 8
    assert chi_square_p_value(tally, probabilities) > 1e-4
    tilted = torch.cat((probabilities[:1] * 0.8, probabilities[1:]))
    assert chi_square_p_value(tally, tilted / tilted.sum()) < 1e-4
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_no_temperature_is_greedy_search_and_a_seed_repeats(seed: int) -> None:
    decoder = enumeration.TableDecoder(seed, 8, [2, 5, 3])
    options = BeamOptions(max_length=10, no_repeat_ngram_size=2)

    def draw(sampling: SamplingOptions, number: int, samples: int = 1) -> Any:
        generator = torch.Generator().manual_seed(number)
        ids, state = decoder.start()
        return sample_search(decoder, ids, state, sampling, options, samples=samples, generator=generator, eos_id=END)

    assert draw(SamplingOptions(temperature=0), 1) == greedy_search(decoder, *decoder.start(), options, eos_id=END)
    assert draw(SamplingOptions(), 1, 4) == draw(SamplingOptions(), 1, 4)
    assert draw(SamplingOptions(), 1, 4) != draw(SamplingOptions(), 2, 4)
    assert [len(one) for one in draw(SamplingOptions(), 1, 4)] == [4, 4, 4]


def test_sentences_with_their_own_generators_are_drawn_alike_in_any_batch(seed: int) -> None:
    sources, starts = [2, 5, 3, 4], [0, 13, 26, 39]

    def draw(sentences: list[int]) -> Any:
        decoder = enumeration.TableDecoder(seed, 8, [sources[at] for at in sentences], [starts[at] for at in sentences])
        generators = [torch.Generator().manual_seed(seed + at) for at in sentences]
        options, lengths = BeamOptions(max_length=10), torch.tensor(decoder.sources)
        return sample_search(
            decoder,
            *decoder.start(),
            SamplingOptions(),
            options,
            samples=3,
            generator=generators,
            eos_id=END,
            source_lengths=lengths,
        )

    together = draw([0, 1, 2, 3])
    assert draw([3, 1]) == [together[3], together[1]]
    assert [draw([at])[0] for at in range(4)] == together
    assert len({tuple(one.ids) for found in together for one in found}) > 4
    decoder = enumeration.TableDecoder(seed, 8, sources)
    with pytest.raises(ShapeError, match="There are 1 generators for 4 sentences"):
        sample_search(
            decoder,
            *decoder.start(),
            SamplingOptions(),
            BeamOptions(max_length=3),
            generator=[torch.Generator()],
            eos_id=END,
        )


@pytest.mark.parametrize("window", [1, 2, 50])
def test_the_repetition_window_counts_back_from_the_last_token(window: int, seed: int) -> None:
    decoder = enumeration.TableDecoder(seed, 5, [1])
    sampling = SamplingOptions(temperature=0, repetition_penalty=5.0, repetition_window=window)
    options = BeamOptions(max_length=8, min_length=8)
    [[found]] = sample_search(decoder, *decoder.start(), sampling, options, eos_id=END)
    ids: list[int] = []
    while len(ids) < 8:
        logits = decoder.logits[decoder.numbers(0, ids)[-1], (ids or [0])[-1]][None].clone()
        logits[:, END] = -math.inf
        recent = torch.tensor([ids[-window:]]) if ids else None
        ids.append(int(next_token_distribution(logits, sampling, recent).argmax()))
    assert found.ids == ids


def test_required_phrases_need_a_beam() -> None:
    decoder = enumeration.TableDecoder(0, 5, [1])
    conditions: Any = {"eos_id": END, "required": [[[2]]]}
    with pytest.raises(UsageError, match="need the choices of a beam"):
        greedy_search(decoder, *decoder.start(), BeamOptions(max_length=3), **conditions)
    with pytest.raises(UsageError, match="need the choices of a beam"):
        sample_search(decoder, *decoder.start(), SamplingOptions(), BeamOptions(max_length=3), **conditions)
