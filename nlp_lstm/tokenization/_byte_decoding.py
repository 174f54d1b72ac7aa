"""Decoding where each token stands for a fixed string of UTF-8 bytes."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

import numpy as np

from nlp_lstm.tokenization._base import SPECIAL_TOKENS, StreamDecoder, Tokenizer

BYTE_TOKENS = tuple(f"<0x{byte:02X}>" for byte in range(256))  # the libraries' names for byte-fallback tokens
SPECIAL_BYTES = (b"", "\N{REPLACEMENT CHARACTER}".encode(), b"", b"")  # of <pad> <unk> <bos> <eos>
FIRST_BYTE_ID = len(SPECIAL_TOKENS)


class ByteTableTokenizer(Tokenizer):
    """A tokenizer whose every token is some bytes: text is their concatenation, read as UTF-8.

    Bytes that are not UTF-8 (a model may produce any sequence) become U+FFFD as in `bytes.decode(errors="replace")`;
    so does `<unk>`.
    """

    def __init__(self, token_bytes: Sequence[bytes], tokens: Sequence[str]) -> None:
        self._token_bytes = list(token_bytes)
        self._tokens = list(tokens)

    @property
    def vocab_size(self) -> int:
        return len(self._tokens)

    def id_to_token(self, token_id: int) -> str:
        return self._tokens[self._checked_id(token_id)]

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        table = self._token_bytes
        return b"".join([table[token_id] for token_id in self._checked_ids(ids)]).decode("utf-8", errors="replace")

    def stream_decoder(self) -> StreamDecoder:
        return _ByteStreamDecoder(self)

    def token_bytes(self, token_id: int) -> bytes:
        """Return the bytes that the token stands for: none for `<pad>`, `<bos>` and `<eos>`."""
        return self._token_bytes[self._checked_id(token_id)]


class _ByteStreamDecoder(StreamDecoder):
    def __init__(self, tokenizer: ByteTableTokenizer) -> None:
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, token_id: int) -> str:
        return self._utf8.decode(self._tokenizer.token_bytes(token_id))

    def flush(self) -> str:
        rest = self._utf8.decode(b"", final=True)
        self._utf8.reset()
        return rest
