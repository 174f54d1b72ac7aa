"""Beam search against trying every sentence, and against itself in other batches and orders."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nlp_lstm.decoding import AnyOf, BeamOptions, Hypothesis, beam_search, greedy_search
from nlp_lstm.decoding._required import _automaton, share_beam
from nlp_lstm.decoding._scoring import likeliest
from nlp_lstm.errors import NlpLstmError, ShapeError, UsageError

_spec = importlib.util.spec_from_file_location("enumeration", Path(__file__).with_name("enumeration.py"))
enumeration = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(enumeration)

END = enumeration.END
ALL = 1500  # more places than the tests have prefixes


def search(decoder: Any, options: BeamOptions, cases: list[Any], forbidden: tuple[int, ...] = ()) -> Any:
    return beam_search(
        decoder,
        *decoder.start(),
        options,
        eos_id=END,
        forbidden_ids=forbidden,
        prefixes=[case.prefix for case in cases],
        required=[case.required for case in cases],
        source_lengths=torch.tensor(decoder.sources),
        max_lengths=torch.tensor([case.limit for case in cases]),
    )


def same(found: list[Hypothesis], expected: list[tuple[list[int], float, float]]) -> None:
    assert [one.ids for one in found] == [ids for ids, _, _ in expected]
    assert [one.score for one in found] == pytest.approx([score for _, score, _ in expected], abs=2e-5)
    assert [one.log_probability for one in found] == pytest.approx([total for _, _, total in expected], abs=2e-5)


@st.composite
def problems(draw: st.DrawFn, required: bool = False) -> tuple[Any, BeamOptions, list[Any], tuple[int, ...]]:
    vocab = draw(st.integers(3, 5))
    tokens = st.sampled_from([token for token in range(vocab) if token != END])
    batch = draw(st.integers(1, 3))
    decoder = enumeration.TableDecoder(
        draw(st.integers(0, 10**6)), vocab, [draw(st.integers(1, 5)) for _ in range(batch)]
    )
    forbidden = tuple(draw(st.sets(tokens, max_size=1)))
    cases = []
    for _ in range(batch):
        free = [token for token in range(vocab) if token not in (END, *forbidden)]
        phrases = []
        if required and draw(st.booleans()):
            # The first token stands in the first phrase alone, and the others in the second: they do not overlap.
            phrases = [
                draw(st.lists(st.sampled_from(part), min_size=1, max_size=2)) for part in (free[:1], free[1:]) if part
            ]
        cases.append(enumeration.Case(draw(st.integers(1, 4)), draw(st.lists(tokens, max_size=2)), phrases))
    options = BeamOptions(
        beam_size=ALL,
        length_penalty=draw(st.sampled_from([0.0, 0.6, 1.0, 3.0])),
        coverage_penalty=draw(st.sampled_from([0.0, 0.2, 2.0])),
        min_length=draw(st.integers(0, 2)),
        no_repeat_ngram_size=draw(st.integers(0, 2)),
        n_best=draw(st.sampled_from([1, 2, 7])),
    )
    return decoder, options, cases, forbidden


@settings(max_examples=60, deadline=None)
@given(problem=problems())
def test_a_beam_of_all_places_finds_what_trying_all_finds(problem: Any) -> None:
    decoder, options, cases, forbidden = problem
    found = search(decoder, options, cases, forbidden)
    for sentence, case in enumerate(cases):
        best = enumeration.enumerate_best(decoder, sentence, options, case, forbidden)
        same(found[sentence], best[: options.n_best])


@settings(max_examples=60, deadline=None)
@given(problem=problems(required=True))
def test_required_phrases_leave_what_trying_all_and_filtering_leaves(problem: Any) -> None:
    decoder, options, cases, forbidden = problem
    found = search(decoder, options, cases, forbidden)
    for sentence, case in enumerate(cases):
        best = enumeration.enumerate_best(decoder, sentence, options, case, forbidden)
        same(found[sentence], best[: options.n_best])


def plain_beam(decoder: Any, sentence: int, options: BeamOptions, limit: int) -> list[tuple[list[int], float, float]]:
    """Search as the docstring of `beam_search` says, for one sentence, one hypothesis at a time."""
    running: list[tuple[list[int], float]] = [([], 0.0)]
    finished: list[tuple[list[int], float, float]] = []
    while running:
        choices = [
            (total + gain, ids, token)
            for ids, total in running
            for token, gain in enumerate(decoder.following(sentence, ids))
            if token == END or len(ids) < limit
        ]
        running = []
        for total, ids, token in sorted(choices, reverse=True)[: options.beam_size - len(finished)]:
            if token == END:
                finished.append((ids, total / ((5 + len(ids) + 1) / 6) ** options.length_penalty, total))
            else:
                running.append(([*ids, token], total))
        returned = sorted(finished, key=lambda one: -one[1])[: options.n_best]
        worst = returned[-1][1] if len(returned) == options.n_best else float("-inf")
        running = [one for one in running if one[1] / ((5 + limit + 1) / 6) ** options.length_penalty > worst]
    return returned


@pytest.mark.parametrize(("beam_size", "n_best"), [(1, 1), (2, 1), (2, 2), (3, 1), (5, 3)])
@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 2.0])
def test_a_small_beam_equals_a_plain_one(beam_size: int, n_best: int, length_penalty: float, seed: int) -> None:
    sources = [3, 8, 1, 5, 2, 6]
    decoder = enumeration.TableDecoder(seed, 9, sources)
    options = BeamOptions(beam_size, length_penalty, n_best=n_best, max_length_ratio=0.5)
    found = beam_search(decoder, *decoder.start(), options, eos_id=END, source_lengths=torch.tensor(sources))
    for sentence, length in enumerate(sources):
        same(found[sentence], plain_beam(decoder, sentence, options, limit=-(-length // 2) + 10))


def many(seed: int, options: BeamOptions, sentences: list[int]) -> tuple[list[list[Hypothesis]], list[int]]:
    """Search for some of twelve sentences with conditions; return the hypotheses and the rows of each step."""
    random = torch.Generator().manual_seed(seed)
    sources, limits = torch.randint(1, 9, (2, 12), generator=random)
    tokens = torch.randint(2, 9, (12, 4), generator=random).tolist()
    decoder = enumeration.TableDecoder(
        seed, 9, [int(sources[one]) for one in sentences], [13 * one % enumeration.STATES for one in sentences]
    )
    found = beam_search(
        decoder,
        *decoder.start(),
        options,
        eos_id=END,
        prefixes=[tokens[one][: one % 3] for one in sentences],
        required=[[tokens[one][2:], tokens[one][1:2]] if one % 4 == 1 else [] for one in sentences],
        source_lengths=sources[sentences],
        max_lengths=limits[sentences] * 3,
    )
    return found, decoder.rows


@pytest.mark.parametrize(
    "options", [BeamOptions(), BeamOptions(beam_size=4, n_best=4, coverage_penalty=0.3, no_repeat_ngram_size=2)]
)
def test_a_batch_gives_each_sentence_what_it_gets_alone_in_any_order(options: BeamOptions, seed: int) -> None:
    together, rows = many(seed, options, list(range(12)))
    order = [7, 2, 11, 0, 9, 4, 1, 8, 3, 10, 5, 6]
    moved, _ = many(seed, options, order)
    alone, alone_rows = zip(*(many(seed, options, [sentence]) for sentence in range(12)), strict=True)
    for sentence in range(12):
        for other in (moved[order.index(sentence)], alone[sentence][0]):
            for one, expected in zip(other, together[sentence], strict=True):
                # The penalty for coverage sums logarithms, whose last bit depends on the shape they are computed in.
                assert one.score == pytest.approx(expected.score, rel=1e-6)
                assert dataclasses.replace(one, score=expected.score) == expected
                assert torch.equal(one.attention, expected.attention)  # type: ignore[arg-type]
    # A sentence costs the rows of its own hypotheses, and none once it is done.
    steps = max(map(len, alone_rows))
    assert rows == [sum(one[step] for one in alone_rows if step < len(one)) for step in range(steps)]
    assert len(set(map(len, alone_rows))) > 1


def test_attention_is_that_of_each_token_cut_to_the_source(seed: int) -> None:
    decoder = enumeration.TableDecoder(seed, 6, [5, 2])
    options = BeamOptions(beam_size=4, n_best=4, max_length=6, min_length=1)
    for lengths in (torch.tensor([5, 2]), None):
        for sentence, found in enumerate(
            beam_search(decoder, *decoder.start(), options, eos_id=END, source_lengths=lengths)
        ):
            for one in found:
                _, attention = decoder.alone(sentence, one.ids)
                expected = torch.zeros(len(one.ids), decoder.sources[sentence] if lengths is not None else 5)
                expected[:, : decoder.sources[sentence]] = torch.tensor(attention[:-1])
                torch.testing.assert_close(one.attention, expected)


def test_a_decoder_without_attention_gives_none() -> None:
    [[found]] = beam_search(Fixed([[0.5, 0.5]]), *start(1), BeamOptions(max_length=3), eos_id=END)
    assert found.attention is None


class Fixed:
    """Gives the same probabilities at every step: one row a sentence, or one for all. Notes what it is asked for."""

    def __init__(self, probabilities: list[list[float]]) -> None:
        self.logits = torch.tensor(probabilities).log()
        self.selections: list[list[int]] = []

    def step(self, ids: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        assert torch.is_inference_mode_enabled()
        return self.logits[state], state

    def select(self, state: Tensor, rows: Tensor) -> Tensor:
        self.selections.append(rows.tolist())
        return state[rows]


def start(batch: int) -> tuple[Tensor, Tensor]:
    return torch.zeros(batch, dtype=torch.int64), torch.arange(batch)


def test_the_state_is_moved_only_where_rows_change() -> None:
    # The first sentence is certain to go on, the second to stop.
    decoder = Fixed([[1.0, 0.0], [0.0, 1.0]])
    found = beam_search(decoder, *start(2), BeamOptions(beam_size=3, max_length=4), eos_id=END)
    assert [[one.ids for one in sentence] for sentence in found] == [[], [[]]]  # it has no way to end
    assert decoder.selections == [[0]]
    assert torch.equal(decoder.logits, torch.tensor([[1.0, 0.0], [0.0, 1.0]]).log())


def test_a_longer_hypothesis_may_win_after_the_first_has_finished() -> None:
    # P(end) = 0.4, then 0.6 * 0.4, and so on: the first is likeliest, and with a strong penalty the last scores best.
    short, long = (
        beam_search(Fixed([[0.6, 0.4]]), *start(1), BeamOptions(5, penalty, max_length=20), eos_id=END)[0][0]
        for penalty in (0.0, 5.0)
    )
    assert short.ids == []
    assert len(long.ids) > 2


def test_equal_hypotheses_are_told_apart_in_the_same_way_each_time() -> None:
    options = BeamOptions(beam_size=3, n_best=3, max_length=3)
    one, two = (beam_search(Fixed([[0.25] * 4] * 2), *start(2), options, eos_id=END) for _ in range(2))
    assert one == two
    assert one[0] == one[1]


@pytest.mark.parametrize("beam_size", [1, 2, 5])
@pytest.mark.parametrize("pairs", [1, 3])
def test_any_beam_fulfils_what_is_required(beam_size: int, pairs: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    required = torch.randint(2, 9, (20, pairs, 2), generator=generator).tolist()
    sources = torch.randint(1, 4, (20,), generator=generator)
    decoder = enumeration.TableDecoder(seed, 9, sources.tolist())
    options = BeamOptions(beam_size, n_best=beam_size, max_length_ratio=0.1)
    found = beam_search(decoder, *decoder.start(), options, eos_id=END, required=required, source_lengths=sources)
    for phrases, hypotheses in zip(required, found, strict=True):
        assert hypotheses
        for one in hypotheses:
            assert len(one.ids) <= 11
            assert all(enumeration.contains(one.ids, phrase) for phrase in phrases)


def test_the_beam_is_shared_among_the_banks_in_turn() -> None:
    totals = torch.tensor([[-1.0, -2, -3, -4, -5, -math.inf]] * 2)
    missing = torch.tensor([[2, 2, 2, 0, 1, 0], [0] * 6])
    # The first turn takes the best that misses nothing, one and two tokens; the second finds but one bank left.
    assert share_beam(totals, missing, 5)[0].tolist() == [3, 4, 0, 1, 2]
    assert share_beam(totals, missing, 2).tolist() == [[3, 4], [0, 1]]


def test_required_phrases_may_overlap_hold_their_own_beginning_and_be_named_twice() -> None:
    decoder = Fixed([[0.1, 0.6, 0.1, 0.1, 0.1]])
    options = BeamOptions(beam_size=40, max_length=6)
    for required, ids in (
        ([[2, 3], [3, 4]], [2, 3, 4]),
        ([[2, 2, 3], [2, 2]], [2, 2, 3]),
        ([[4], [4]], [4]),
    ):
        found = beam_search(decoder, *start(1), options, eos_id=END, required=[required])
        assert found[0][0].ids == ids
    prefix = [2, 2, 2]  # after the third 2, the last two are still the beginning of the phrase
    found = beam_search(decoder, *start(1), options, eos_id=END, required=[[[2, 2, 3]]], prefixes=[prefix])
    assert found[0][0].ids == [2, 2, 2, 3]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_phrase_in_several_ways_leaves_what_trying_all_and_filtering_leaves(data: st.DataObject) -> None:
    vocab = data.draw(st.integers(4, 5))
    decoder = enumeration.TableDecoder(data.draw(st.integers(0, 10**6)), vocab, [2, 3])
    free = [token for token in range(vocab) if token != END]
    # The ways of a phrase begin with tokens that stand in no other one, so that they do not overlap.
    phrases = st.tuples(
        st.lists(st.sampled_from(free[:1]), min_size=1, max_size=2),
        st.lists(st.sampled_from(free[1:2]), min_size=1, max_size=2),
        st.lists(st.sampled_from(free[2:]), min_size=1, max_size=1),
    )
    required = []
    for one, other, third in data.draw(st.lists(phrases, min_size=2, max_size=2)):
        required.append([AnyOf((tuple(one), tuple(other))), third])
    limit, penalty = data.draw(st.integers(3, 4)), data.draw(st.sampled_from([0.0, 0.6, 3.0]))
    options = BeamOptions(beam_size=ALL, length_penalty=penalty, n_best=3, max_length=limit)
    found = beam_search(decoder, *decoder.start(), options, eos_id=END, required=required)
    plain = enumeration.Case(limit)
    everything = dataclasses.replace(options, n_best=ALL)
    for sentence, (either, third) in enumerate(required):
        best = [
            one
            for one in enumeration.enumerate_best(decoder, sentence, everything, plain)
            if any(enumeration.contains(one[0], way) for way in either.ways) and enumeration.contains(one[0], third)
        ]
        same(found[sentence], best[:3])


def test_the_shortest_way_is_what_must_have_room() -> None:
    options = BeamOptions(beam_size=8, max_length=1)
    decoder = Fixed([[0.2, 0.1, 0.3, 0.3, 0.1]])
    [[found]] = beam_search(decoder, *start(1), options, eos_id=END, required=[[AnyOf(((2, 3, 4), (4,)))]])
    assert found.ids == [4]
    # Two of three tokens are there already, and the one that the other way takes is as far as the last.
    prefix = {"prefixes": [[2, 3]], "max_lengths": torch.tensor([3])}
    [[found]] = beam_search(decoder, *start(1), options, eos_id=END, required=[[AnyOf(((2, 3, 0), (4,)))]], **prefix)
    assert found.ids in ([2, 3, 0], [2, 3, 4])


def test_conditions_that_exclude_each_other_leave_an_empty_list() -> None:
    options = BeamOptions(beam_size=2, max_length=5, no_repeat_ngram_size=1)
    decoder = Fixed([[0.5, 0.2, 0.3]])
    assert beam_search(decoder, *start(1), options, eos_id=END, required=[[[2, 2]]]) == [[]]


def test_the_limits_of_length() -> None:
    decoder = Fixed([[0.9, 0.1]])
    longest = BeamOptions(length_penalty=9.0)  # the longest sentence always wins

    def lengths(options: BeamOptions, **conditions: Any) -> list[int]:
        found = beam_search(Fixed([[0.9, 0.1]] * 2), *start(2), options, eos_id=END, **conditions)
        return [len(one[0].ids) for one in found]

    sources = torch.tensor([1, 3])
    assert lengths(longest, source_lengths=sources) == [12, 16]
    assert lengths(dataclasses.replace(longest, max_length_ratio=1.5), source_lengths=sources) == [12, 15]
    assert lengths(dataclasses.replace(longest, max_length=7)) == [7, 7]
    # A greatest length takes the place of the ratio, which it may also exceed; named together, the lower one counts.
    assert lengths(dataclasses.replace(longest, max_length=30), source_lengths=sources) == [30, 30]
    both = dataclasses.replace(longest, max_length=13, max_length_ratio=2.0)
    assert lengths(both, source_lengths=sources) == [12, 13]
    assert lengths(longest, source_lengths=sources, max_lengths=torch.tensor([2, 0])) == [2, 0]
    assert lengths(dataclasses.replace(longest, min_length=4), max_lengths=torch.tensor([2, 5])) == [4, 5]
    assert lengths(longest, prefixes=[[0, 0], []], max_lengths=torch.tensor([1, 1])) == [2, 1]
    short = BeamOptions(length_penalty=0.0, min_length=9, max_length=20)
    assert lengths(short) == [9, 9]
    assert lengths(short, min_lengths=torch.tensor([0, 3])) == [0, 3]
    assert lengths(longest, min_lengths=torch.tensor([4, 0]), max_lengths=torch.tensor([2, 1])) == [4, 1]
    with pytest.raises(UsageError, match="--max-length"):
        beam_search(decoder, *start(1), longest, eos_id=END)


@pytest.mark.parametrize("beam_size", [1, 4])
def test_a_hypothesis_says_whether_the_limit_ended_it(beam_size: int) -> None:
    decoder = Fixed([[0.9, 0.1], [0.1, 0.9]])
    options = BeamOptions(beam_size, length_penalty=9.0, max_length=3)
    first, second = beam_search(decoder, *start(2), options, eos_id=END, max_lengths=torch.tensor([3, 3]))
    assert (len(first[0].ids), first[0].cut) == (3, True)
    [certain] = beam_search(Fixed([[0.0, 1.0]]), *start(1), options, eos_id=END)
    assert (certain[0].ids, certain[0].cut) == ([], False)
    assert second[0].cut is False, "it ends by itself, even where it is as long as the limit"


class Steps(Fixed):
    """Gives the probabilities of a row at each step, from the first."""

    def step(self, ids: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return self.logits[state], state + 1


@pytest.mark.parametrize("beam_size", [1, 4])
@pytest.mark.parametrize(
    ("last", "cut"), [([0.2, 0.7, 0.1], False), ([0.7, 0.2, 0.1], True), ([0.1, 0.2, 0.7], False)], ids=str
)
def test_what_ends_by_itself_at_the_limit_is_not_cut(beam_size: int, last: list[float], cut: bool) -> None:
    decoder = Steps([[0.8, 0.1, 0.1]] * 3 + [last])
    options = BeamOptions(beam_size, length_penalty=9.0, max_length=3)
    [[found]] = beam_search(decoder, *start(1), options, eos_id=END, forbidden_ids=(2,))
    assert (found.ids, found.cut) == ([0, 0, 0], cut)


class Wide:
    """A decoder of many tokens: a state is a number below 101, which every token changes."""

    def __init__(self, seed: int, vocab: int) -> None:
        self.logits = torch.randn(101, vocab, generator=torch.Generator().manual_seed(seed)) * 2

    def step(self, ids: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        state = (state * 31 + ids * 7 + 5) % 101
        return self.logits[state], state

    def select(self, state: Tensor, rows: Tensor) -> Tensor:
        return state[rows]


@pytest.mark.parametrize("vocab", [1280, 1311])
def test_a_large_vocabulary_with_conditions_equals_a_plain_full_sort(
    vocab: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sort_all(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
        ordered = scores.sort(dim=1, descending=True, stable=True)
        return ordered.values[:, :count], ordered.indices[:, :count]

    prefixes = [[], [5, vocab - 1], [], [7], [], [5, 6, 8], [], [9]]
    required = [[], [], [[vocab - 2, 3]], [[4], [10, 11]], [AnyOf(((12, 13), (14,)))], [[15]], [], []]
    conditions: Any = {"eos_id": END, "forbidden_ids": (0, 2), "prefixes": prefixes, "required": required}
    conditions["max_lengths"] = torch.tensor([1, 2, 4, 6, 7, 8, 9, 3])
    for options in (BeamOptions(n_best=3, length_penalty=3.0, no_repeat_ngram_size=1), BeamOptions(min_length=2)):
        found = beam_search(Wide(seed, vocab), *start(8), options, **conditions)
        with monkeypatch.context() as patched:
            patched.setattr("nlp_lstm.decoding._beam.likeliest", sort_all)
            assert beam_search(Wide(seed, vocab), *start(8), options, **conditions) == found
        for hypotheses, prefix, phrases in zip(found, prefixes, required, strict=True):
            assert hypotheses
            for one in hypotheses:
                assert one.ids[: len(prefix)] == prefix
                ways = [phrase.ways if isinstance(phrase, AnyOf) else [phrase] for phrase in phrases]
                assert all(any(enumeration.contains(one.ids, way) for way in either) for either in ways)


def test_the_automaton_of_a_phrase_is_built_once_for_all_sentences() -> None:
    _automaton.cache_clear()
    options = BeamOptions(beam_size=4, max_length=6)
    for _ in range(3):
        found = beam_search(
            Fixed([[0.4, 0.2, 0.2, 0.2]] * 20), *start(20), options, eos_id=END, required=[[[2, 2, 3], [0]]] * 20
        )
        assert all(enumeration.contains(sentence[0].ids, [2, 2, 3]) for sentence in found)
    assert _automaton.cache_info().misses == 2
    assert _automaton.cache_info().maxsize is not None


@pytest.mark.parametrize("vocab", [5, 400, 1280, 1311, 6000])
@pytest.mark.parametrize("count", [1, 5, 20])
def test_the_largest_values_are_those_of_topk(vocab: int, count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(30, vocab, generator=generator)
    scores[3:6] = -math.inf
    scores[4, -1] = scores[5, 2] = -1.0
    scores[6:9] = scores[6:9].mul(3).round()  # many are equal
    values, places = likeliest(scores, count)
    assert torch.equal(values, scores.topk(min(count, vocab), dim=1).values)
    assert torch.equal(scores.gather(1, places), values)
    assert all(len(set(row)) == len(row) for row in places.tolist())
    scores[7, vocab // 2] = math.nan
    assert likeliest(scores, count)[0][7].isnan().any()


def test_no_sentences_give_no_hypotheses() -> None:
    assert beam_search(Fixed([[0.5, 0.5]]), *start(0), BeamOptions(max_length=3), eos_id=END) == []
    assert greedy_search(Fixed([[0.5, 0.5]]), *start(0), BeamOptions(max_length=3), eos_id=END) == []


@pytest.mark.parametrize(
    ("conditions", "error", "message"),
    [
        ({"prefixes": [[0]]}, ShapeError, "There are 1 prefixes for 2 sentences"),
        ({"required": [[[0]]]}, ShapeError, "There are 1 required for 2 sentences"),
        ({"max_lengths": torch.tensor([1])}, ShapeError, "There are 1 max_lengths for 2"),
        ({"source_lengths": torch.tensor([1, 2, 3])}, ShapeError, "There are 3 source_lengths for 2"),
        ({"prefixes": [[], [0, END]]}, UsageError, "prefix contains the end of sentence"),
        ({"required": [[], [[0], []]]}, UsageError, "A required phrase has no tokens"),
        ({"required": [[], [AnyOf(())]]}, UsageError, "A required phrase has no tokens"),
        ({"required": [[AnyOf(((0,), (END,)))], []]}, UsageError, r"ids \[1\] contains an id"),
        ({"min_lengths": torch.tensor([1])}, ShapeError, "There are 1 min_lengths for 2"),
        ({"required": [[], [[0, END]]]}, UsageError, r"ids \[0, 1\] contains an id"),
        ({"required": [[], [[2, 0]]], "forbidden_ids": [2]}, UsageError, r"ids \[2, 0\] contains an id .*\[1, 2\]"),
    ],
)
def test_conditions_that_do_not_fit_are_refused(conditions: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        beam_search(Fixed([[0.5, 0.3, 0.2]] * 2), *start(2), BeamOptions(max_length=3), eos_id=END, **conditions)


@pytest.mark.parametrize("ids", [torch.zeros(2, 1, dtype=torch.int64), torch.zeros(2)])
def test_wrong_first_ids_are_refused(ids: Tensor) -> None:
    with pytest.raises(ShapeError, match=r"must be int64 \(batch,\)"):
        beam_search(Fixed([[0.5, 0.5]]), ids, torch.arange(2), BeamOptions(max_length=3), eos_id=END)


@pytest.mark.parametrize("beam_size", [1, 5])
def test_logits_that_are_not_numbers_are_an_error(beam_size: int) -> None:
    with pytest.raises(NlpLstmError, match="logits for token 1 are not numbers"):
        beam_search(Fixed([[0.5, float("nan")]]), *start(1), BeamOptions(beam_size, max_length=3), eos_id=END)


@pytest.mark.parametrize("beam_size", [1, 5])
def test_a_coverage_penalty_needs_attention(beam_size: int) -> None:
    options = BeamOptions(beam_size, coverage_penalty=0.1, max_length=3)
    with pytest.raises(ShapeError, match="--coverage-penalty 0"):
        beam_search(Fixed([[0.5, 0.5]]), *start(1), options, eos_id=END)
