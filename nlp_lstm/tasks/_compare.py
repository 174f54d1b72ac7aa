"""Two runs on the same data: the outputs of both, side by side, and the test that fits their task."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nlp_lstm.data import DataOptions, TextSource, TokenizedText, load_text
from nlp_lstm.errors import DataError, UsageError
from nlp_lstm.evaluation import (
    Comparison,
    compare_classifications,
    compare_language_models,
    compare_summaries,
    compare_translations,
    correct_items,
    require_rouge,
)
from nlp_lstm.tasks._summarization import Summarization
from nlp_lstm.tokenization import Tokenizer

_SPAN_CHARACTERS = 128
# Every tokenizer begins a new token at a space or line end after a character that is no white space: what stands
# between two of these places has the same ids alone as in the whole text, whichever tokenizer it is.
_SAFE_CUT = re.compile(r"(?<=\S)(?=[ \n])")


def compare(a: Any, b: Any, data: Any = None, split: str = "test") -> Comparison:
    """Compare two tasks that `nlp_lstm.load` gave, on a split of `data` or of the data that each was trained on.

    Translations are compared by BLEU, chrF and TER, and where one of the two is a summarizer by ROUGE, BLEU and chrF
    (paired bootstrap and approximate randomisation), classifiers by accuracy (McNemar's exact test), language models
    by bits per character (paired block bootstrap: over tokens where both have one tokenizer, else over stretches of
    text). `data` are the options of the task's own kind.

    Raises:
        UsageError: the runs have different tasks; or they sum up, and the library of ROUGE is not installed.
        DataError: without `data`, the runs were trained on data with different test texts; or the split is missing
            or too short.
    """
    if a.kind != b.kind:
        raise UsageError(
            f"Run A is for {a.kind.replace('_', ' ')} and run B for {b.kind.replace('_', ' ')}; they have no score in "
            "common. Give two runs of one task."
        )
    compare_kind: dict[str, Callable[[Any, Any, Any, str], Comparison]] = {
        "translation": _compare_translations,
        "classification": _compare_classifications,
        "language_modeling": _compare_language_models,
    }
    return compare_kind[a.kind](a, b, data, split)


def _compare_translations(a: Any, b: Any, data: Any, split: str) -> Comparison:
    summaries = isinstance(a, Summarization) or isinstance(b, Summarization)
    if summaries:
        require_rouge()  # before both runs have written their summaries
    sources_a, hypotheses_a, references_a = a.outputs(data, split)
    sources_b, hypotheses_b, references_b = b.outputs(data, split)
    _require_equal((sources_a, references_a), (sources_b, references_b), split)
    return (compare_summaries if summaries else compare_translations)(hypotheses_a, hypotheses_b, references_a)


def _compare_classifications(a: Any, b: Any, data: Any, split: str) -> Comparison:
    texts_a, probabilities_a, gold_a = a.outputs(data, split)
    texts_b, probabilities_b, gold_b = b.outputs(data, split)
    _require_equal((texts_a, gold_a), (texts_b, gold_b), split)
    return compare_classifications(
        correct_items(probabilities_a, gold_a, a.labels, multi=a.several),
        correct_items(probabilities_b, gold_b, b.labels, multi=b.several),
    )


def _compare_language_models(a: Any, b: Any, data: Any, split: str) -> Comparison:
    if a.backward or b.backward or a.preparation != b.preparation:
        raise UsageError(
            "Language models compare where both read forward, with the same --lowercase and --html-line-breaks. Give "
            "two such runs."
        )
    source_a, source_b = (task.prepare(load_text(data or task.own_data(DataOptions)).split(split)) for task in (a, b))
    if data is None:
        _require_equal(list(source_a), list(source_b), split)
    one_tokenizer = a.tokenizer.fingerprint() == b.tokenizer.fingerprint()
    span = "token" if one_tokenizer else f"{_SPAN_CHARACTERS}-characters"
    losses = []
    for task in (a, b):
        text, tokens = _tokenize_spans(source_a, task.tokenizer)
        of_tokens = task.token_losses(text).astype(np.float64)
        losses.append(of_tokens if one_tokenizer else _sums(of_tokens, tokens))
    return compare_language_models(*losses, characters=text.characters, span=span)


def _require_equal(of_a: Sequence[Any], of_b: Sequence[Any], split: str) -> None:
    """Raise DataError where the data of the two runs differ; given as columns, or as pieces of text."""
    if [list(column) for column in of_a] != [list(column) for column in of_b]:
        raise DataError(
            f"The {split} splits of the runs' own data differ, so their scores do not compare. Name one test set for "
            "both with --data."
        )


def _tokenize_spans(source: TextSource, tokenizer: Tokenizer) -> tuple[TokenizedText, npt.NDArray[np.int64]]:
    """Tokenize a text as `tokenize` does, and count the tokens (spans,) of each of its `_spans`."""
    arrays, characters = [], 0
    for span, is_last in _spans(source):
        ids = tokenizer.encode_array(span)
        ended = tokenizer.line_end_is_eos and len(ids) > 0 and int(ids[-1]) == tokenizer.eos_id
        if is_last and source.ends_with_eos and not ended:
            ids = np.append(ids, np.array([tokenizer.eos_id], ids.dtype))
        arrays.append(ids)
        characters += len(span)
    if not arrays:
        raise DataError(f"{source.name} is empty. Give more text.")
    ids = np.concatenate(arrays)
    unknown = int((ids == tokenizer.unk_id).sum())
    text = TokenizedText(ids, characters, 0, 0, unknown, tokenizer.vocab_size, "")
    return text, np.array([len(each) for each in arrays])


def _spans(source: TextSource) -> Iterator[tuple[str, bool]]:
    """Yield stretches of 128 characters and up (less where a piece ends), and whether a stretch ends its piece."""
    for piece in source:
        start = 0
        while cut := _SAFE_CUT.search(piece, start + _SPAN_CHARACTERS):
            yield piece[start : cut.start()], False
            start = cut.start()
        yield piece[start:], True


def _sums(values: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the sums of runs of `values`, `counts` of them at a time; a run of none is 0."""
    totals = np.concatenate(([0.0], np.cumsum(values)))
    ends = np.cumsum(counts)
    sums: npt.NDArray[np.float64] = totals[ends] - totals[ends - counts]
    return sums
