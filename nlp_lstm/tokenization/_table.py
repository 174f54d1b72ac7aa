"""The table of tokenizers by name, and what goes through it."""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nlp_lstm.errors import RunFolderError, UsageError, unknown_name
from nlp_lstm.tokenization._base import Tokenizer
from nlp_lstm.tokenization._bpe import BytePairTokenizer
from nlp_lstm.tokenization._byte import ByteTokenizer
from nlp_lstm.tokenization._character import CharacterTokenizer
from nlp_lstm.tokenization._files import CONFIG_NAME, read_config
from nlp_lstm.tokenization._sentencepiece import SentencePieceBPETokenizer, SentencePieceUnigramTokenizer
from nlp_lstm.tokenization._word import WordTokenizer

TOKENIZERS: dict[str, type[Tokenizer]] = {
    "character": CharacterTokenizer,
    "byte": ByteTokenizer,
    "word": WordTokenizer,
    "bpe": BytePairTokenizer,
    "sentencepiece-unigram": SentencePieceUnigramTokenizer,
    "sentencepiece-bpe": SentencePieceBPETokenizer,
}


def train_tokenizer(name: str, texts: Iterable[str], vocab_size: int | None = None, **options: Any) -> Tokenizer:
    """Train the tokenizer of that name; `options` are those of its `train`.

    Raises UsageError for an unknown name or option, and what the tokenizer's `train` raises.
    """
    if name not in TOKENIZERS:
        raise unknown_name("tokenizer", name, TOKENIZERS)
    allowed = set(inspect.signature(TOKENIZERS[name].train).parameters) - {"texts", "vocab_size"}
    if unknown := sorted(options.keys() - allowed):
        options_there_are = f"it takes {', '.join(sorted(allowed))}" if allowed else "it takes none"
        raise UsageError(f"The {name} tokenizer has no option {', '.join(map(repr, unknown))}: {options_there_are}.")
    return TOKENIZERS[name].train(texts, vocab_size, **options)


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """Return the tokenizer that was saved in the folder, whichever it is.

    Raises RunFolderError where a file is missing, damaged, too big, a link out of the folder, or names no tokenizer.
    """
    name = read_config(Path(folder)).get("tokenizer")
    if not isinstance(name, str) or name not in TOKENIZERS:
        raise RunFolderError(
            f"{Path(folder) / CONFIG_NAME} names the tokenizer {reprlib.repr(name)}, which this version of nlp_lstm "
            f"does not have. Allowed: {', '.join(TOKENIZERS)}."
        )
    return TOKENIZERS[name].load(folder)
