"""What training the tokenizers shares: checks of texts and sizes, and the choice of the most frequent tokens."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator

from nlp_lstm.errors import TokenizerError, UsageError
from nlp_lstm.tokenization._base import check_encodable

DEFAULT_VOCAB_SIZE = 8000  # of the subword tokenizers; sentencepiece's own default


def checked_texts(texts: Iterable[str], name: str) -> Iterator[str]:
    """Return the texts without the empty ones; raises TokenizerError at once where none is left."""
    if isinstance(texts, str):
        raise UsageError(f"The {name} tokenizer trains on an iterable of texts; a single string was given: use [text].")
    checked = (check_encodable(text) for text in texts if text)
    first = next(checked, None)
    if first is None:
        raise no_text(name)
    return itertools.chain([first], checked)


def no_text(name: str) -> TokenizerError:
    """Build the error for texts that hold nothing to learn a vocabulary from."""
    return TokenizerError(f"There is no text to train the {name} tokenizer on: check what --data points to.")


def check_vocab_size(vocab_size: int | None, minimum: int, name: str) -> None:
    """Raise UsageError where the size has no room for the ids that the tokenizer needs in any case."""
    if vocab_size is not None and vocab_size < minimum:
        raise UsageError(
            f"--vocab-size {vocab_size} is too small: the {name} tokenizer needs at least {minimum} ids, "
            "the special tokens included."
        )


def check_min_frequency(min_frequency: int) -> None:
    """Raise UsageError where the frequency is below 1."""
    if min_frequency < 1:
        raise UsageError(f"--min-frequency {min_frequency} is out of range: 1 keeps all, 2 drops what occurs once.")


def most_frequent(counts: Counter[str], limit: int | None, min_frequency: int) -> list[str]:
    """Return up to `limit` tokens, the most frequent first and ties by code point, so that training is repeatable."""
    kept = [token for token, count in counts.items() if count >= min_frequency]
    return sorted(kept, key=lambda token: (-counts[token], token))[:limit]
