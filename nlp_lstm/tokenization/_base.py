"""The interface of every tokenizer, and what all of them share."""

from __future__ import annotations

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from nlp_lstm.errors import TokenizerError
from nlp_lstm.tokenization._files import CONFIG_NAME, FORMAT_VERSION, write_atomically

SPECIAL_TOKENS = ("<pad>", "<unk>", "<bos>", "<eos>")
SPAN_CHARACTERS = 1 << 22  # encode_array works on pieces of about this size, so that its temporaries stay small
# Every tokenizer here starts a new token at a space or line end that follows a character that is not white space.
_SAFE_CUT = re.compile(r"(?<=\S)(?=[ \n])")


class StreamDecoder(ABC):
    """Turns ids into text one by one: the pieces and the final `flush` together are `decode` of all the ids.

    Needs the same small memory and time for each id however many came before.
    """

    @abstractmethod
    def feed(self, token_id: int) -> str:
        """Return the text that this id completes: "" for a special token or a part of a character.

        Raises TokenizerError where the id is not in the vocabulary.
        """

    @abstractmethod
    def flush(self) -> str:
        """Return what is still held (U+FFFD for an incomplete character) and start anew."""


class Tokenizer(ABC):
    """Text to ids and back; the first four ids are `<pad> <unk> <bos> <eos>` whatever the tokenizer.

    Ordinary text never yields a special id, even where it contains "<eos>"; the word tokenizer says its exceptions.
    `lossless` tokenizers give `decode(encode(text)) == text` for every text that UTF-8 can hold.
    """

    name: ClassVar[str]
    lossless: bool = True
    line_end_is_eos: bool = False
    pad_id: ClassVar[int] = 0
    unk_id: ClassVar[int] = 1
    bos_id: ClassVar[int] = 2
    eos_id: ClassVar[int] = 3

    @classmethod
    @abstractmethod
    def train(cls, *args: Any, **options: Any) -> Self:
        """Build a tokenizer: `train(texts, vocab_size=None, **options)`, options as the tokenizer's own `train` says.

        `texts` is any iterable of strings and is gone through once, so it need not fit in memory; `vocab_size`
        counts every id, special tokens and bytes included. The same texts give the same tokenizer.
        Raises TokenizerError where there is no text, UsageError where an option is out of range.
        """

    @classmethod
    @abstractmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote; raises RunFolderError where a file is missing, damaged or of another kind."""

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """Number of ids, the special ones included."""

    @abstractmethod
    def id_to_token(self, token_id: int) -> str:
        """Return the token's name as the library's file spells it; raises TokenizerError for an unknown id."""

    @abstractmethod
    def stream_decoder(self) -> StreamDecoder:
        """Return a decoder that takes ids one by one."""

    @abstractmethod
    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """Return the text of the ids; `<pad>` and `<bos>` vanish, and so does `<eos>` unless it is a line end.

        Raises TokenizerError where an id is not in the vocabulary.
        """

    def encode(self, text: str) -> list[int]:
        """Return the ids of the text; raises TokenizerError where it holds a lone surrogate."""
        ids: list[int] = self.encode_array(text).tolist()
        return ids

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        """Return `encode` of each text, quicker where the library has a batch call."""
        return [self.encode(text) for text in texts]

    def encode_array(self, text: str) -> np.ndarray:
        """Return the ids as an array of shape (tokens,): the fast path for corpora, equal to `encode`.

        The dtype is the smallest of uint8, uint16 and int32 that holds `vocab_size` ids.
        """
        spans = [self._encode_span(check_encodable(span)) for span in _spans(text)]
        return spans[0] if len(spans) == 1 else np.concatenate(spans)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of `encode_array`."""
        return np.dtype(
            np.uint8 if self.vocab_size <= 1 << 8 else np.uint16 if self.vocab_size <= 1 << 16 else np.int32
        )

    def save(self, folder: str | Path) -> None:
        """Write the library's file, then `tokenizer_config.json`, each under a temporary name first.

        Raises RunFolderError where the folder cannot be written.
        """
        name, content = self._library_file()
        write_atomically(Path(folder), name, content)
        config = {"tokenizer": self.name, "format_version": FORMAT_VERSION, **self._options()}
        write_atomically(Path(folder), CONFIG_NAME, (json.dumps(config, indent=2) + "\n").encode())

    def fingerprint(self) -> str:
        """Return a hex digest (SHA-256) of what decides the ids: where two are equal, so are all encodings."""
        identity = json.dumps([self.name, self._options(), self._identity()], sort_keys=True)
        return hashlib.sha256(identity.encode()).hexdigest()

    @abstractmethod
    def _encode_span(self, text: str) -> np.ndarray:
        """Encode a piece of text that may be cut off at a space or line end."""

    @abstractmethod
    def _library_file(self) -> tuple[str, bytes]:
        """Return the name and content of the file in the library's own format."""

    @abstractmethod
    def _identity(self) -> Any:
        """Return what, beside the options, decides the ids, as plain JSON values."""

    def _options(self) -> dict[str, Any]:
        return {}

    def _checked_id(self, token_id: int) -> int:
        if not 0 <= token_id < self.vocab_size:
            raise TokenizerError(
                f"Token id {token_id} is not in the {self.name} vocabulary: its {self.vocab_size} ids are 0 to "
                f"{self.vocab_size - 1}. The ids come from another tokenizer."
            )
        return token_id

    def _checked_ids(self, ids: Sequence[int] | np.ndarray) -> list[int]:
        array = np.asarray(ids, dtype=np.int64)
        if array.size:
            self._checked_id(int(array.min()))
            self._checked_id(int(array.max()))
        checked: list[int] = array.tolist()
        return checked


def check_encodable(text: str) -> str:
    """Return the text; raises TokenizerError where it holds a lone surrogate, which no UTF-8 file can hold."""
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as fault:
            raise TokenizerError(
                f"The text has the lone surrogate U+{ord(text[fault.start]):04X} before {text[fault.end :][:20]!a}: "
                "UTF-8 cannot hold it, so no tokenizer can. Read the file as UTF-8 with errors='replace'."
            ) from None
    return text


def _spans(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > SPAN_CHARACTERS and (cut := _SAFE_CUT.search(text, start + SPAN_CHARACTERS)):
        yield text[start : cut.start()]
        start = cut.start()
    yield text[start:]
