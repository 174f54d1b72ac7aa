"""Subword sampling: what it cuts decodes to the same text, is repeatable, and follows the papers' rules."""

from __future__ import annotations

import collections
import itertools
import json

import numpy as np
import pytest

from nlp_lstm.errors import TokenizerError, UsageError
from nlp_lstm.tokenization import SubwordSampler, Tokenizer, train_tokenizer
from nlp_lstm.tokenization import _subword_sampling as module

SAMPLED = ("bpe", "sentencepiece-unigram")


def merges_that_remain(symbols: tuple[str, ...], ranks: dict[tuple[str, ...], int], amount: float) -> dict[str, float]:
    """The probability of each cut, by following every choice of merges to leave out at every step."""
    possible = [
        (rank, place)
        for place in range(len(symbols) - 1)
        if (rank := ranks.get(symbols[place : place + 2])) is not None
    ]
    found: collections.Counter[str] = collections.Counter()
    for kept in itertools.product((True, False), repeat=len(possible)):
        probability = float(np.prod([1 - amount if one else amount for one in kept]))
        remaining = [one for one, keep in zip(possible, kept, strict=True) if keep]
        if not remaining:
            found["|".join(symbols)] += probability
            continue
        place = min(remaining)[1]
        merged = (*symbols[:place], symbols[place] + symbols[place + 1], *symbols[place + 2 :])
        for cut, share in merges_that_remain(merged, ranks, amount).items():
            found[cut] += probability * share
    return found


@pytest.mark.parametrize("name", SAMPLED)
def test_every_cut_decodes_to_the_text(name: str, trained: dict[str, Tokenizer], corpus: str) -> None:
    tokenizer = trained[name]
    sampler, generator = SubwordSampler(tokenizer, 0.3), np.random.default_rng(5)
    for line in [*corpus.splitlines(), "", " ", "two  spaces\tand a\ttab ", "ünknown 漢字 🎈", "\u2581"]:
        assert tokenizer.decode(sampler.sample(line, generator)) == line


@pytest.mark.parametrize("name", SAMPLED)
def test_cuts_differ_from_time_to_time_and_repeat_with_the_generator(
    name: str, trained: dict[str, Tokenizer], corpus: str
) -> None:
    text = corpus[:400].replace("\n", " ")
    drawn = []
    for _ in range(2):
        sampler, generator = SubwordSampler(trained[name], 0.3), np.random.default_rng(5)
        drawn.append([sampler.sample(text, generator) for _ in range(5)])
    assert drawn[0] == drawn[1]
    assert len({tuple(ids) for ids in drawn[0]}) > 1
    assert any(len(ids) > len(trained[name].encode(text)) for ids in drawn[0])


def test_bpe_dropout_has_the_probabilities_of_algorithm_1(
    trained: dict[str, Tokenizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_VARIANTS", 4000)
    tokenizer = trained["bpe"]
    merges = json.loads(tokenizer._library.to_str())["model"]["merges"]
    exact = merges_that_remain(tuple("tide"), {tuple(pair): rank for rank, pair in enumerate(merges)}, 0.4)
    assert len(exact) > 2
    cuts = SubwordSampler(tokenizer, 0.4)._cut.variants("tide")
    counted = collections.Counter("|".join(tokenizer.id_to_token(one) for one in cut) for cut in cuts)
    assert counted.keys() <= exact.keys()
    for cut, probability in exact.items():
        deviation = (probability * (1 - probability) / 4000) ** 0.5
        assert counted[cut] / 4000 == pytest.approx(probability, abs=4 * deviation + 1e-9)


def test_unigram_cuts_are_drawn_by_their_smoothed_probabilities(
    trained: dict[str, Tokenizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = trained["sentencepiece-unigram"]
    library = tokenizer._library
    best = library.nbest_encode(" harbour", nbest_size=16, out_type=int)
    scores = np.array([sum(library.get_score(one) for one in cut) for cut in best])
    exact = np.exp(scores * (1 / 0.8 - 1))
    exact /= exact.sum()
    monkeypatch.setattr(module.random.Random, "choices", lambda self, cuts, weights, k: [cuts, weights])
    cuts, weights = SubwordSampler(tokenizer, 0.8)._cut.variants(" harbour")
    assert cuts == best
    np.testing.assert_allclose(np.array(weights) / sum(weights), exact, rtol=1e-6)


@pytest.mark.parametrize("amount", [0.0, 1.0, -0.1, float("nan")])
def test_an_amount_out_of_range_is_refused(amount: float, trained: dict[str, Tokenizer]) -> None:
    with pytest.raises(UsageError, match=r"--subword-sampling .* must be above 0 and below 1"):
        SubwordSampler(trained["bpe"], amount)


def test_other_tokenizers_are_refused(trained: dict[str, Tokenizer]) -> None:
    with pytest.raises(UsageError, match=r"not known to the tokenizer word. Give --tokenizer bpe"):
        SubwordSampler(trained["word"], 0.1)


def test_a_lone_surrogate_is_refused() -> None:
    sampler = SubwordSampler(train_tokenizer("bpe", ["some text of ours"]), 0.1)
    with pytest.raises(TokenizerError, match=r"lone surrogate U\+D800"):
        sampler.sample("a\ud800", np.random.default_rng(0))
