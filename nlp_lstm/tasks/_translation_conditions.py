"""What a user asks of a translation in words, as the tokens of its tokenizer."""

from __future__ import annotations

import unicodedata

from nlp_lstm.decoding import AnyOf
from nlp_lstm.errors import UsageError
from nlp_lstm.tokenization import Tokenizer

# Scripts that write words without spaces between, by the beginning of their letters' names in Unicode.
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "YI ")


def prefix_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """Encode what translations begin with; raises UsageError where the vocabulary lacks one of its words."""
    ids = tokenizer.encode(text)
    if tokenizer.unk_id in ids:
        raise _unknown(tokenizer, "--prefix", text)
    return ids


def required_phrase(tokenizer: Tokenizer, text: str) -> AnyOf:
    """Encode words that translations hold, in all ways in which they can stand inside a sentence.

    A word has its space before it, which most tokenizers keep with the word. A punctuation mark may stand at the end
    of a word too, and so may a word of a script that is written without spaces.

    Raises UsageError where the vocabulary lacks one of the words.
    """
    text = text.strip()
    ways = [tokenizer.encode(" " + text)]
    if _stands_without_space(text):
        # Some tokenizers put a space before every text, so that the way inside one is only seen behind another token.
        before = tokenizer.encode("." if text[0].isalpha() else "a")
        behind = tokenizer.encode(("." if text[0].isalpha() else "a") + text)
        ways += [tokenizer.encode(text), *([behind[len(before) :]] if behind[: len(before)] == before else [])]
    known = dict.fromkeys(tuple(way) for way in ways if way and tokenizer.unk_id not in way)
    if not known:
        raise _unknown(tokenizer, "--required", text)
    return AnyOf(tuple(known))


def _stands_without_space(text: str) -> bool:
    return bool(text) and (not text[0].isalnum() or unicodedata.name(text[0], "").startswith(_UNSPACED))


def _unknown(tokenizer: Tokenizer, flag: str, text: str) -> UsageError:
    words = [word for word in text.split() if tokenizer.unk_id in tokenizer.encode(" " + word)]
    named = ", ".join(map(repr, words)) or repr(text)
    return UsageError(
        f"{flag} {text!r} cannot be written: the vocabulary of the run's tokenizer lacks {named}. Name words that it "
        "has, or train with --tokenizer bpe, which can write any word."
    )
