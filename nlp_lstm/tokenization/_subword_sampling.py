"""Subword regularisation: a word is cut into other tokens each time that training reads it."""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
from typing import TYPE_CHECKING

from nlp_lstm.errors import UsageError
from nlp_lstm.tokenization._base import Tokenizer, check_encodable
from nlp_lstm.tokenization._bpe import BytePairTokenizer
from nlp_lstm.tokenization._sentencepiece import SentencePieceUnigramTokenizer

if TYPE_CHECKING:
    import numpy as np

_VARIANTS = 16
_WORD = re.compile(r"\s*\S+|\s+")


class SubwordSampler:
    """Encodes texts with the words cut at random, which decode to the same text.

    bpe: BPE dropout (Provilkov et al. 2020): each possible merge of a word is left out with the probability `amount`.
    sentencepiece-unigram: one of the 16 likeliest cuts of a word, drawn by their probabilities to the power of
    1 / `amount` - 1 (Kudo 2018, section 3.2).

    A word has 16 variants, which depend on the word and the amount alone and are remembered; a text draws one for each
    of its words from the generator it is given.

    Raises:
        UsageError: The amount is not between 0 and 1, or the tokenizer is of another kind.
    """

    def __init__(self, tokenizer: Tokenizer, amount: float) -> None:
        if not 0 < amount < 1:
            raise UsageError(f"--subword-sampling {amount} must be above 0 and below 1, or 0 for off.")
        if not isinstance(tokenizer, BytePairTokenizer | SentencePieceUnigramTokenizer):
            raise UsageError(
                f"--subword-sampling is not known to the tokenizer {tokenizer.name}. "
                f"Give --tokenizer bpe or sentencepiece-unigram, or --subword-sampling 0."
            )
        self._known: dict[str, list[list[int]]] = {}
        self._cut: _BpeDropout | _Unigram
        if isinstance(tokenizer, BytePairTokenizer):
            self._cut = _BpeDropout(tokenizer, amount)
        else:
            self._cut = _Unigram(tokenizer, amount)

    def sample(self, text: str, generator: np.random.Generator) -> list[int]:
        """Return ids of the text, drawn from the generator, one number a word."""
        words = _WORD.findall(check_encodable(text))
        ids: list[int] = []
        for word, draw in zip(words, generator.integers(_VARIANTS, size=len(words)).tolist(), strict=True):
            variants = self._known.get(word)
            if variants is None:
                variants = self._known[word] = self._cut.variants(word)
            ids += variants[draw]
        return ids


class _BpeDropout:
    """Algorithm 1 of Provilkov et al. 2020 on the merges of a tokenizer."""

    def __init__(self, tokenizer: BytePairTokenizer, amount: float) -> None:
        self._library, self._amount = tokenizer._library, amount
        merges = json.loads(self._library.to_str())["model"]["merges"]
        self._ids: dict[str, int] = self._library.get_vocab()
        self._ranks = {tuple(pair): rank for rank, pair in enumerate(merges)}

    def variants(self, word: str) -> list[list[int]]:
        """Cut a word 16 times."""
        chance = _random_of(word)
        pieces = [piece for piece, _ in self._library.pre_tokenizer.pre_tokenize_str(word)]
        return [
            [self._ids[token] for piece in pieces for token in self._merge(list(piece), chance)]
            for _ in range(_VARIANTS)
        ]

    def _merge(self, symbols: list[str], chance: random.Random) -> list[str]:
        while True:
            ranked = [
                (rank, place)
                for place in range(len(symbols) - 1)
                if (rank := self._ranks.get((symbols[place], symbols[place + 1]))) is not None
                and chance.random() >= self._amount
            ]
            if not ranked:
                return symbols
            _, place = min(ranked)
            symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]


class _Unigram:
    """The likeliest cuts of a word under a unigram model, drawn by their smoothed probabilities."""

    def __init__(self, tokenizer: SentencePieceUnigramTokenizer, amount: float) -> None:
        self._tokenizer, self._sharpness = tokenizer, 1 / amount - 1

    def variants(self, word: str) -> list[list[int]]:
        """Draw 16 cuts of a word."""
        library = self._tokenizer._library
        cuts: list[list[int]] = library.nbest_encode(word, nbest_size=_VARIANTS, out_type=int)
        if any(self._tokenizer.decode(cut) != word for cut in cuts):  # what the library does not write as it is
            cuts = [self._tokenizer.encode(word)]
        scores = [self._sharpness * sum(library.get_score(one) for one in cut) for cut in cuts]
        weights = [math.exp(score - max(scores)) for score in scores]
        return _random_of(word).choices(cuts, weights, k=_VARIANTS)


def _random_of(word: str) -> random.Random:
    return random.Random(hashlib.sha256(word.encode()).digest())
