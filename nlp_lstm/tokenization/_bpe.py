"""Byte-level byte-pair encoding."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from nlp_lstm.errors import RunFolderError
from nlp_lstm.tokenization._base import SPECIAL_TOKENS, check_encodable
from nlp_lstm.tokenization._byte_decoding import SPECIAL_BYTES, ByteTableTokenizer
from nlp_lstm.tokenization._files import LIBRARY_JSON, read_config
from nlp_lstm.tokenization._library import read_library
from nlp_lstm.tokenization._pieces import PieceCache
from nlp_lstm.tokenization._training import DEFAULT_VOCAB_SIZE, check_min_frequency, check_vocab_size, checked_texts

if TYPE_CHECKING:
    import tokenizers

# What other programs set in such a model, and would make one text be cut in several ways or not at all.
_FOREIGN = (
    *("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"),
    *("fuse_unk", "byte_fallback", "ignore_merges"),
)
# A piece ends only where plain white space follows a character that no Unicode table calls white space: the library's
# splitter always starts a new token there. (Other white space is left inside: tables differ on U+001C and its like.)
_PIECE = re.compile(r"\s*\S+(?:[^\S \t\n\r]\s*(?:\S+|\Z))*|\s+")


class BytePairTokenizer(ByteTableTokenizer):
    """Byte-level byte-pair encoding (Sennrich et al. 2016; bytes as in GPT-2, Radford et al. 2019), lossless.

    All 256 bytes have an id, so there is no unknown text. Words are split by GPT-2's rule before merging.
    """

    name: ClassVar[str] = "bpe"

    def __init__(self, model: tokenizers.models.BPE) -> None:
        self._library = _assemble(model)
        vocabulary = self._library.get_vocab()
        tokens = sorted(vocabulary, key=vocabulary.__getitem__)
        byte_of = _byte_of_character()
        learned = [bytes(byte_of[character] for character in token) for token in tokens[len(SPECIAL_TOKENS) :]]
        super().__init__(token_bytes=[*SPECIAL_BYTES, *learned], tokens=tokens)
        self._cache = PieceCache(self._encode_library)

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int | None = None, *, min_frequency: int = 2) -> Self:
        """Learn merges until there are `vocab_size` ids (default 8000) or no pair occurs `min_frequency` times.

        Raises TokenizerError where there is no text, UsageError where an option is out of range.
        """
        from tokenizers import models, pre_tokenizers, trainers

        check_vocab_size(vocab_size, len(SPECIAL_TOKENS) + 256, cls.name)
        check_min_frequency(min_frequency)
        library = _assemble(models.BPE())
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size or DEFAULT_VOCAB_SIZE,
            min_frequency=min_frequency,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        library.train_from_iterator(checked_texts(texts, cls.name), trainer)
        return cls(library.model)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        folder = Path(folder)
        read_config(folder, cls.name)
        library, _, tokens = read_library(folder, "BPE")
        path = folder / LIBRARY_JSON
        alphabet = set(_byte_of_character())
        learned = tokens[len(SPECIAL_TOKENS) :]
        if not alphabet.issubset(learned) or not alphabet.issuperset("".join(learned)):
            raise RunFolderError(f"{path} is not byte-level: its tokens must hold each of the 256 bytes and no more.")
        foreign = [name for name in _FOREIGN if getattr(library.model, name)]
        if foreign:
            raise RunFolderError(f"{path} sets {', '.join(foreign)}, which no tokenizer of nlp_lstm does.")
        return cls(library.model)

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._library.encode(check_encodable(text)).ids
        return ids

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        return self._encode_library([check_encodable(text) for text in texts])

    def _encode_library(self, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._library.encode_batch_fast(texts)]

    def _encode_span(self, text: str) -> np.ndarray:
        return self._cache.encode(_PIECE.findall(text), self.dtype)

    def _library_file(self) -> tuple[str, bytes]:
        return LIBRARY_JSON, self._library.to_str(pretty=True).encode("utf-8")

    def _identity(self) -> Any:
        model = json.loads(self._library.to_str())["model"]
        return [self._tokens, model["merges"]]


def _assemble(model: tokenizers.models.BPE) -> tokenizers.Tokenizer:
    """Put GPT-2's splitter and decoder around the model; no added tokens, so that special ones are never typed."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers

    library = Tokenizer(model)
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    return library


def _byte_of_character() -> dict[str, int]:
    """Return GPT-2's alphabet: printable Latin-1 stands for itself, the other bytes for U+0100 onwards in order."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}
