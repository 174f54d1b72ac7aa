"""One id a byte of UTF-8."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from nlp_lstm.errors import UsageError
from nlp_lstm.tokenization._base import SPECIAL_TOKENS
from nlp_lstm.tokenization._byte_decoding import BYTE_TOKENS, FIRST_BYTE_ID, SPECIAL_BYTES, ByteTableTokenizer
from nlp_lstm.tokenization._character import byte_fallback_library
from nlp_lstm.tokenization._files import LIBRARY_JSON, read_config
from nlp_lstm.tokenization._library import read_library


class ByteTokenizer(ByteTableTokenizer):
    """The 256 bytes of UTF-8 after the four special tokens: 260 ids, nothing to learn, nothing lost.

    The file is the `tokenizers` library's: a BPE model without characters or merges and with byte fallback.
    """

    name: ClassVar[str] = "byte"

    def __init__(self) -> None:
        single_bytes = (bytes([byte]) for byte in range(256))
        super().__init__(token_bytes=[*SPECIAL_BYTES, *single_bytes], tokens=[*SPECIAL_TOKENS, *BYTE_TOKENS])

    @classmethod
    def train(cls, texts: Iterable[str] = (), vocab_size: int | None = None) -> Self:
        """Return the byte tokenizer; the texts are not read.

        Raises UsageError where `vocab_size` is not 260.
        """
        del texts  # the bytes are known beforehand
        tokenizer = cls()
        if vocab_size not in (None, tokenizer.vocab_size):
            raise UsageError(
                f"--vocab-size {vocab_size} is not possible: the byte tokenizer has {tokenizer.vocab_size} ids."
            )
        return tokenizer

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        folder = Path(folder)
        read_config(folder, cls.name)
        read_library(folder, "BPE", SPECIAL_TOKENS + BYTE_TOKENS)
        return cls()

    def _encode_span(self, text: str) -> np.ndarray:
        return np.frombuffer(text.encode("utf-8"), dtype=np.uint8).astype(self.dtype) + np.uint16(FIRST_BYTE_ID)

    def _library_file(self) -> tuple[str, bytes]:
        return LIBRARY_JSON, byte_fallback_library(self._tokens, byte_fallback=True)

    def _identity(self) -> Any:
        return self._tokens
