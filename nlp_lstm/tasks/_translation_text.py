"""Text around a translator: what is read of a line, which words its tokens belong to, and unknown words put back."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from nlp_lstm.decoding import Hypothesis, attention_between_words, replace_unknown
from nlp_lstm.tasks._translated import Attended
from nlp_lstm.tokenization import Tokenizer

# Where a word ends, every tokenizer begins a new token: the ids of the words are those of the whole.
_BETWEEN_WORDS = re.compile(r"(?<=\S)(?=[ \n])")
# Where a text is best cut: after a sentence, after a clause, between words, anywhere.
_CUTS = (re.compile(r"(?<=[.!?…。！？])\s+|(?<=[。！？])"), re.compile(r"(?<=[,;:，；、])\s+"), re.compile(r"\s+"))
_UNKNOWN = "<unk>"


class Words(NamedTuple):
    """A text as words: `numbers` says of each of the `ids` which word, from 0, it belongs to."""

    words: list[str]
    ids: list[int]
    numbers: list[int]


def clean(text: str) -> str:
    """Return a line that a tokenizer takes: control characters and line ends are spaces, lone surrogates U+FFFD."""
    if text.isprintable():
        return text
    return "".join(map(_clean_character, text))


def control_characters(text: str) -> int:
    """Count the characters that `clean` reads as spaces though they are no white space; a tab is one."""
    if text.isprintable():
        return 0
    return sum(not character.isspace() and _clean_character(character) == " " for character in text)


def _clean_character(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cs":
        return "\N{REPLACEMENT CHARACTER}"
    return " " if category in ("Cc", "Zl", "Zp") else character


def cut_to_fit(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Cut a text into parts that fit, halving what does not: near its middle, at the end of a sentence where one is.

    Without one it is cut behind a clause, else between words, else anywhere. A single character always fits.
    """
    text = text.strip()
    if len(text) < 2 or fits(text):
        return [text] if text else []
    middle = len(text) // 2
    start, stop = middle, middle
    for cut in _CUTS:
        places = [match.span() for match in cut.finditer(text) if 0.2 * len(text) < match.start() < 0.8 * len(text)]
        if places:
            start, stop = min(places, key=lambda place: abs(place[0] - middle))
            break
    return [*cut_to_fit(text[:start], fits), *cut_to_fit(text[stop:], fits)]


def words_of_source(tokenizer: Tokenizer, text: str) -> Words:
    """Split a source text at its spaces and encode it."""
    chunks = _BETWEEN_WORDS.split(text)
    of_each = tokenizer.encode_batch(chunks)
    numbers = [number for number, ids in enumerate(of_each) for _ in ids]
    return Words([chunk.strip() for chunk in chunks], [one for ids in of_each for one in ids], numbers)


def words_of_target(tokenizer: Tokenizer, ids: Sequence[int]) -> Words:
    """Decode what a model wrote, and find the words that its tokens belong to; their texts are joined by a space."""
    decoder = tokenizer.stream_decoder()
    words, numbers = [""], []
    for one in ids:
        piece = decoder.feed(one)
        if piece[:1].isspace() and words[-1]:
            words.append("")
        words[-1] += piece.strip()
        numbers.append(len(words) - 1)
    words[-1] += decoder.flush()
    return Words(words if ids else [], list(ids), numbers)


def attended(source: Tokenizer, target: Tokenizer, text: str, hypothesis: Hypothesis | None) -> Attended:
    """Say what the words of a translation attended to in the text; without a translation, only which words it has."""
    words = words_of_source(source, text)
    if hypothesis is None:
        return Attended(words.words, [], [])
    written = words_of_target(target, hypothesis.ids)
    if hypothesis.attention is None:
        return Attended(words.words, written.words, [])
    weights = attention_between_words(hypothesis.attention, [*words.numbers, -1], written.numbers)
    return Attended(words.words, written.words, weights)


def put_unknown_back(tokenizer: Tokenizer, text: str, ids: Sequence[int], source: list[str], attention: object) -> str:
    """Put the source's most attended token in the place of each unknown word of a translation.

    `source` holds a text for each row's column of `attention`, (ids, source tokens). A text in which the unknown words
    are not to be found is returned as it is.
    """
    parts = text.split(_UNKNOWN)
    unknown = [place for place, one in enumerate(ids) if one == tokenizer.unk_id]
    if not unknown or len(parts) != len(unknown) + 1:
        return text
    names = [_UNKNOWN if one == tokenizer.unk_id else "" for one in ids]
    replaced = replace_unknown(names, source, attention, _UNKNOWN)  # type: ignore[arg-type]
    return "".join(_interleave(parts, [replaced[place] for place in unknown]))


def _interleave(parts: list[str], between: list[str]) -> Iterator[str]:
    yield parts[0]
    for word, part in zip(between, parts[1:], strict=True):
        yield word
        yield part


def token_texts(tokenizer: Tokenizer, source: Words) -> list[str]:
    """Give the piece of the text that each token of a source stands for, also where the vocabulary lacks it."""
    texts: list[str] = []
    for number, word in enumerate(source.words):
        ids = [one for one, its in zip(source.ids, source.numbers, strict=True) if its == number]
        known = [None if one == tokenizer.unk_id else tokenizer.decode([one]).strip() for one in ids]
        pattern = r"\s*".join("(.+?)" if text is None else re.escape(text) for text in known)
        match = re.fullmatch(pattern, word) if None in known else None
        found = iter(match.groups() if match else ())
        texts += [next(found, word) if text is None else text for text in known]
    return texts
