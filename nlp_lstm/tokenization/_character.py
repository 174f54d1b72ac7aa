"""One id a character."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from nlp_lstm.errors import RunFolderError
from nlp_lstm.tokenization._base import SPECIAL_TOKENS
from nlp_lstm.tokenization._byte_decoding import BYTE_TOKENS, FIRST_BYTE_ID, SPECIAL_BYTES, ByteTableTokenizer
from nlp_lstm.tokenization._files import LIBRARY_JSON, read_config, read_flag
from nlp_lstm.tokenization._library import read_library
from nlp_lstm.tokenization._training import check_min_frequency, check_vocab_size, checked_texts, most_frequent

_CODE_POINTS = 0x110000


class CharacterTokenizer(ByteTableTokenizer):
    """One id for each character (Unicode code point) seen in training.

    A character that was not seen becomes its UTF-8 bytes, which have 256 ids of their own; so nothing is lost. With
    `byte_fallback=False` it becomes `<unk>` instead: 256 ids less, and `lossless` is False.
    The file is the `tokenizers` library's: a BPE model without merges, which has the same byte fallback built in.
    """

    name: ClassVar[str] = "character"

    def __init__(self, characters: Sequence[str], byte_fallback: bool = True) -> None:
        byte_tokens = BYTE_TOKENS if byte_fallback else ()
        super().__init__(
            token_bytes=[
                *SPECIAL_BYTES,
                *(bytes([byte]) for byte in range(len(byte_tokens))),
                *map(str.encode, characters),
            ],
            tokens=[*SPECIAL_TOKENS, *byte_tokens, *characters],
        )
        self.byte_fallback = byte_fallback
        self.lossless = byte_fallback
        self._table = np.full(_CODE_POINTS, self.unk_id, dtype=self.dtype)  # code point -> id
        first = len(SPECIAL_TOKENS) + len(byte_tokens)
        self._table[[ord(character) for character in characters]] = range(first, first + len(characters))

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int | None = None,
        *,
        byte_fallback: bool = True,
        min_frequency: int = 1,
    ) -> Self:
        """Give an id to each character, the most frequent first; ties go by code point.

        `vocab_size` keeps the most frequent that fit; characters rarer than `min_frequency` get no id.
        Raises TokenizerError where there is no text, UsageError where an option is out of range.
        """
        reserved = len(SPECIAL_TOKENS) + (len(BYTE_TOKENS) if byte_fallback else 0)
        check_vocab_size(vocab_size, reserved + 1, cls.name)
        check_min_frequency(min_frequency)
        counts: Counter[str] = Counter()
        for text in checked_texts(texts, cls.name):
            counts.update(text)
        limit = None if vocab_size is None else vocab_size - reserved
        return cls(most_frequent(counts, limit, min_frequency), byte_fallback)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        folder = Path(folder)
        byte_fallback = read_flag(folder, read_config(folder, cls.name), "byte_fallback")
        expected = SPECIAL_TOKENS + (BYTE_TOKENS if byte_fallback else ())
        _, _, tokens = read_library(folder, "BPE", expected)
        characters = tokens[len(expected) :]
        if any(len(character) != 1 for character in characters):
            raise RunFolderError(
                f"{folder / LIBRARY_JSON}: a token is longer than one character: it is another tokenizer's."
            )
        return cls(characters, byte_fallback)

    def _encode_span(self, text: str) -> np.ndarray:
        codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
        ids: np.ndarray = self._table[codes]
        if not self.byte_fallback:
            return ids
        unseen = ids == self.unk_id
        if not unseen.any():
            return ids
        # Each unseen character is repeated once for each of its bytes, and the places that makes are filled in order.
        unseen_bytes = np.frombuffer(codes[unseen].tobytes().decode("utf-32-le").encode("utf-8"), dtype=np.uint8)
        lengths = np.where(unseen, _utf8_lengths(codes), 1)
        ids = np.repeat(ids, lengths)
        ids[np.repeat(unseen, lengths)] = unseen_bytes.astype(self.dtype) + FIRST_BYTE_ID
        return ids

    def _library_file(self) -> tuple[str, bytes]:
        return LIBRARY_JSON, byte_fallback_library(self._tokens, self.byte_fallback)

    def _identity(self) -> Any:
        return self._tokens

    def _options(self) -> dict[str, Any]:
        return {"byte_fallback": self.byte_fallback}


def byte_fallback_library(tokens: Sequence[str], byte_fallback: bool) -> bytes:
    """Return the `tokenizers` library's file for a vocabulary of characters and bytes."""
    from tokenizers import Tokenizer, decoders, models

    vocabulary = {token: token_id for token_id, token in enumerate(tokens)}
    library = Tokenizer(models.BPE(vocabulary, [], unk_token=SPECIAL_TOKENS[1], byte_fallback=byte_fallback))
    library.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return library.to_str(pretty=True).encode("utf-8")


def _utf8_lengths(codes: np.ndarray) -> np.ndarray:
    """Return the number of UTF-8 bytes of each code point (RFC 3629, section 3)."""
    return 1 + (codes >= 0x80).astype(np.int8) + (codes >= 0x800) + (codes >= 0x10000)
