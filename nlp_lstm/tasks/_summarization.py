"""Summarization as a user holds it: a translator from texts to their summaries, scored by ROUGE."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from nlp_lstm.data import PairData, PairOptions, PairSplit
from nlp_lstm.decoding import BeamOptions
from nlp_lstm.errors import UsageError
from nlp_lstm.evaluation import SummaryScores, summary_scores
from nlp_lstm.models import EncoderDecoder
from nlp_lstm.tasks._translated import Translated
from nlp_lstm.tasks._translation import Translation
from nlp_lstm.tasks._translation_limits import LengthLimits
from nlp_lstm.tasks._translation_search import Search
from nlp_lstm.tokenization import Tokenizer

MOST_SOURCE_WORDS = 1_000_000
"""More than any summarizer reads, so that a hostile folder cannot ask for more."""


class Summarization(Translation):
    """A summarizer: a translator that reads the first `source_words` words of a text and is scored by ROUGE.

    To all commands it is a translator, and so is its `kind`: `nlp-lstm translate` writes a summary for each line. What
    is longer than all texts of its training is summed up in parts, as a translator does, one behind the other.

    See et al. (2017, section 2.2) copy words that the vocabulary lacks by extending it with those of each source. With
    one vocabulary of subwords for both sides there is nothing to extend: a word that was never seen has its pieces too,
    the same ones wherever it stands behind a space, and to copy them one after the other is to copy the word. Over a
    vocabulary of words an unknown word is copied as `<unk>`, and what was attended to most takes its place.
    """

    pipeline_tag = "summarization"
    description = "A recurrent summarizer"
    noun = "summary"

    def __init__(
        self,
        model: EncoderDecoder,
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer,
        config: dict[str, Any] | None = None,
        limits: LengthLimits | None = None,
        source_words: int = 400,
    ) -> None:
        super().__init__(model, source_tokenizer, target_tokenizer, config, limits)
        _check(source_words)
        self.source_words = source_words

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), "source_words": self.source_words}

    def translate_n_best(
        self, texts: Sequence[str], options: BeamOptions | None = None, search: Search | None = None
    ) -> list[list[Translated]]:
        """Give the best summaries of each text, of which the first `source_words` words are read; see `Translation`."""
        read = texts if isinstance(texts, str) else [_first_words(text, self.source_words) for text in texts]
        return super().translate_n_best(read, options, search)

    def _load(self, data: PairOptions | None) -> PairData:
        return shorten_sources(super()._load(data), self.source_words)

    def score(self, pairs: PairSplit, training_text: Iterable[str] | None = None) -> SummaryScores:
        """Score pairs that are loaded already, where known with the summaries of training; see `summary_scores`."""
        found = self.translate(pairs.sources)
        return summary_scores(found, pairs.targets, sources=pairs.sources, training_text=training_text or None)


def shorten_sources(data: PairData, source_words: int) -> PairData:
    """Cut the sources of all splits to their first `source_words` words, and note how many were longer.

    Raises UsageError where `source_words` is not from 1 to 1,000,000.
    """
    _check(source_words)
    splits, notes = {}, list(data.notes)
    for name, pairs in data.splits.items():
        sources = [_first_words(source, source_words) for source in pairs.sources]
        longer = sum(short != source for short, source in zip(sources, pairs.sources, strict=True))
        if longer:
            notes.append(f"{longer:,} of {len(pairs):,} {name} texts are read up to their word {source_words:,} only.")
        splits[name] = PairSplit(name, sources, pairs.targets)
    return PairData(splits, data.description, notes)


def _first_words(text: str, count: int) -> str:
    found = re.match(rf"\s*(?:\S+\s+){{{count}}}(?=\S)", text)
    return found[0].rstrip() if found else text


def _check(source_words: int) -> None:
    if not 1 <= source_words <= MOST_SOURCE_WORDS:
        raise UsageError(f"--source-words is {source_words}; it must be from 1 to {MOST_SOURCE_WORDS:,}.")
