"""The stream: sampled frequencies, state in and out, determinism, the ring buffer, nothing that grows."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from nlp_lstm.decoding import SamplingOptions, next_token_distribution, sample_tokens
from nlp_lstm.decoding._sampling import RecentTokens
from nlp_lstm.errors import ShapeError

LOGITS = torch.tensor([2.0, 1.5, 1.5, 0.3, 0.0, -0.4, -1.0, -2.5])


def constant_step(ids: Tensor, state: None) -> tuple[Tensor, None]:
    """Give every row the same logits, whatever it read."""
    return LOGITS.expand(len(ids), -1), state


def markov_step(ids: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Give logits that depend on the last id and on the number of steps so far, which is the state."""
    table = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(7))
    return table[state % 3, ids], state + 1


def start(batch: int) -> Tensor:
    return torch.zeros(batch, dtype=torch.int64)


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def take(count: int, batch: int, options: SamplingOptions, seed: int = 1) -> Tensor:
    """Return the first `count` tokens of each row from the Markov chain: (count, batch)."""
    stream = sample_tokens(markov_step, start(batch), start(batch), options, seeded(seed))
    return torch.stack(list(itertools.islice(stream, count)))


def chi_square_p_value(counts: Tensor, probabilities: Tensor) -> float:
    """Return the chance of counts at least as far from their expectation (Pearson 1900); sampled zeros give 0."""
    possible = probabilities > 0
    if counts[~possible].any():
        return 0.0
    expected = probabilities[possible].double() * counts.sum()
    statistic = ((counts[possible] - expected) ** 2 / expected).sum()
    freedom = torch.tensor((int(possible.sum()) - 1) / 2, dtype=torch.float64)
    return float(torch.special.gammaincc(freedom, statistic / 2)) if freedom > 0 else 1.0


def test_the_chi_square_test_itself() -> None:
    # The 5 % point of the distribution with one degree of freedom is 3.841 (any statistics table).
    counts = torch.tensor([5000, 5000]) + torch.tensor([98, -98])  # a statistic of 2 * 98**2 / 5000 = 3.8416
    assert chi_square_p_value(counts, torch.tensor([0.5, 0.5])) == pytest.approx(0.05, abs=1e-4)
    assert chi_square_p_value(torch.tensor([5, 5]), torch.tensor([1.0, 0.0])) == 0.0


@pytest.mark.parametrize("batch", [1, 16])
@pytest.mark.parametrize(
    ("options", "support"),
    [
        (SamplingOptions(), 8),
        (SamplingOptions(temperature=0.5), 8),
        (SamplingOptions(temperature=3.0), 8),
        (SamplingOptions(top_k=4), 4),
        (SamplingOptions(top_k=2), 3),  # two tokens share the second place
        (SamplingOptions(top_p=0.8), 3),
        (SamplingOptions(min_p=0.1), 5),
        (SamplingOptions(temperature=1.7, top_k=6, top_p=0.9), 5),
        (SamplingOptions(temperature=0.8, top_k=6, min_p=0.05, top_p=0.95), 4),
    ],
)
def test_frequencies_follow_the_truncated_distribution(options: SamplingOptions, support: int, batch: int) -> None:
    stream = sample_tokens(constant_step, start(batch), None, options, seeded(20))
    tokens = torch.cat(list(itertools.islice(stream, 16_000 // batch)))
    expected = next_token_distribution(LOGITS[None], options)[0]
    assert int((expected > 0).sum()) == support
    assert chi_square_p_value(tokens.bincount(minlength=8), expected) > 1e-4
    # The same counts refute a distribution only a little off, so the test can fail.
    tilted = torch.cat((expected[:1] * 0.85, expected[1:]))
    assert chi_square_p_value(tokens.bincount(minlength=8), tilted / tilted.sum()) < 1e-4


def test_rows_and_steps_are_independent_of_each_other() -> None:
    stream = sample_tokens(constant_step, start(2), None, SamplingOptions(top_k=4), seeded(21))
    tokens = torch.stack(list(itertools.islice(stream, 8_000)))  # (time, row)
    expected = next_token_distribution(LOGITS[None], SamplingOptions(top_k=4))[0]
    joint = (expected[:, None] * expected).flatten()
    for first, second in ((tokens[:, 0], tokens[:, 1]), (tokens[::2, 0], tokens[1::2, 0])):
        assert chi_square_p_value((first * 8 + second).bincount(minlength=64), joint) > 1e-4


def test_the_penalty_shapes_the_frequencies_of_pairs() -> None:
    # With a window of one, the chance of the next token depends on the last one only.
    options = SamplingOptions(repetition_penalty=3.0, repetition_window=1)
    stream = sample_tokens(constant_step, start(1), None, options, seeded(22))
    tokens = torch.cat(list(itertools.islice(stream, 16_000)))
    previous, following = torch.cat((start(1), tokens[:-1])), tokens
    for token in range(3):
        expected = next_token_distribution(LOGITS[None], options, torch.tensor([[token]]))[0]
        counts = following[previous == token].bincount(minlength=8)
        assert chi_square_p_value(counts, expected) > 1e-4
        assert chi_square_p_value(counts, LOGITS.softmax(-1)) < 1e-4


def test_greedy_follows_the_largest_logit_and_hands_the_state_on() -> None:
    ids, state, expected = start(3), torch.tensor([0, 1, 2]), []
    for _ in range(20):
        logits, state = markov_step(ids, state)
        ids = logits.argmax(-1)
        expected.append(ids)
    generator = seeded()
    before = generator.get_state()
    stream = sample_tokens(markov_step, start(3), torch.tensor([0, 1, 2]), SamplingOptions(temperature=0), generator)
    assert torch.equal(torch.stack(list(itertools.islice(stream, 20))), torch.stack(expected))
    assert torch.equal(generator.get_state(), before)  # nothing is left to chance, and nothing is drawn


def test_one_seed_gives_one_stream_however_many_tokens_are_taken() -> None:
    options = SamplingOptions(temperature=0.9, top_p=0.95)
    long = take(200, 3, options)
    assert torch.equal(take(200, 3, options), long)
    assert torch.equal(take(70, 3, options), long[:70])
    assert not torch.equal(take(200, 3, options, seed=2), long)


def test_without_a_generator_the_global_one_is_used() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        stream = sample_tokens(constant_step, start(2), None, SamplingOptions())
        got = torch.stack(list(itertools.islice(stream, 80)))
    stream = sample_tokens(constant_step, start(2), None, SamplingOptions(), seeded(5))
    assert torch.equal(got, torch.stack(list(itertools.islice(stream, 80))))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("window", [1, 3, 50])
@pytest.mark.parametrize("known", [0, 2, 9])
def test_the_ring_buffer_equals_the_naive_history(temperature: float, window: int, known: int) -> None:
    options = SamplingOptions(temperature, repetition_penalty=2.5, repetition_window=window)
    history = torch.randint(8, (2, known), generator=seeded(3))
    seen: list[list[int]] = []

    def recorded(ids: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(ids.tolist())
        return markov_step(ids, state)

    stream = sample_tokens(recorded, start(2), start(2), options, seeded(), history=history)
    tokens = torch.stack(list(itertools.islice(stream, 40)))
    ids, state, past = start(2), start(2), history
    noise = torch.rand(64, 2, 8, generator=seeded()).clamp_min(2.0**-25).log().neg()
    for number, token in enumerate(tokens):
        past = torch.cat((past, ids[:, None]), dim=1)
        logits, state = markov_step(ids, state)
        wanted = next_token_distribution(logits, options, past[:, -window:])
        ids = (wanted / noise[number] if temperature else wanted).argmax(-1)
        assert torch.equal(token, ids), f"token {number}"
    assert seen == [[0, 0], *tokens[:-1].tolist()]


def test_the_ring_buffer_holds_the_window_and_no_more() -> None:
    ring = RecentTokens(torch.tensor([1, 2]), 4, torch.tensor([[5, 6], [7, 8]]))
    assert [set(row) for row in ring.ids.tolist()] == [{5, 6, 1}, {7, 8, 2}]
    storage = ring.ids.data_ptr()
    for number in range(10, 1_000):
        ring.append(torch.tensor([number, -number]))
    assert ring.ids.data_ptr() == storage
    assert ring.ids.shape == (2, 4)
    assert [sorted(row) for row in ring.ids.tolist()] == [[996, 997, 998, 999], [-999, -998, -997, -996]]


def test_the_stream_holds_nothing_that_grows() -> None:
    options = SamplingOptions(repetition_penalty=1.2, repetition_window=16)
    stream = sample_tokens(markov_step, start(4), start(4), options, seeded())

    def held_values() -> int:
        local = stream.gi_frame.f_locals  # type: ignore[attr-defined]
        tensors = [value for value in (*local.values(), local["recent"].ids) if isinstance(value, Tensor)]
        return sum(tensor.untyped_storage().nbytes() for tensor in {id(tensor): tensor for tensor in tensors}.values())

    next(stream)
    after_one = held_values()
    for _ in range(500):
        next(stream)
    assert held_values() == after_one
    stream.close()  # type: ignore[attr-defined]


def test_gradients_and_modes_of_the_caller_are_left_alone() -> None:
    weight = torch.ones(8, requires_grad=True)
    modes: list[bool] = []

    def step(ids: Tensor, state: None) -> tuple[Tensor, None]:
        modes.append(torch.is_inference_mode_enabled())
        return (weight * LOGITS).expand(len(ids), -1), state

    stream = sample_tokens(step, start(1), None, SamplingOptions(), seeded())
    for _ in range(3):
        assert not next(stream).requires_grad
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()
    assert modes == [True] * 3


def test_a_huge_vocabulary_draws_noise_for_one_token_at_a_time() -> None:
    generator, vocab = seeded(4), 2**18 + 1

    def step(ids: Tensor, state: None) -> tuple[Tensor, None]:
        return torch.zeros(len(ids), vocab), state

    got = next(sample_tokens(step, start(1), None, SamplingOptions(), generator))
    again = seeded(4)
    noise = torch.rand(1, 1, vocab, generator=again).clamp_min(2.0**-25).log().neg()
    assert int(got) == int(noise.argmin())
    assert torch.equal(generator.get_state(), again.get_state())


@pytest.mark.parametrize(
    ("ids", "history", "message"),
    [
        (torch.zeros(2, 1, dtype=torch.int64), None, r"ids are torch.int64 of the shape \(2, 1\)"),
        (torch.zeros(2), None, r"ids are torch.float32"),
        (start(2), start(2), r"history is torch.int64 of the shape \(2,\); it must be int64 \(2, length\)"),
        (start(2), torch.zeros(3, 4, dtype=torch.int64), r"history .* \(3, 4\)"),
        (start(2), torch.zeros(2, 4), r"history is torch.float32"),
    ],
)
def test_wrong_ids_are_refused_before_the_first_token(ids: Tensor, history: Tensor | None, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        sample_tokens(constant_step, ids, None, SamplingOptions(), history=history)
