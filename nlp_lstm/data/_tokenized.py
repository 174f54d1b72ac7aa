"""From text to a file of token ids, made once and memory-mapped ever after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nlp_lstm.data._cache import TokenCache
from nlp_lstm.data._counts import TextCounts, count_text
from nlp_lstm.data._source import TextData, TextSource
from nlp_lstm.errors import DataError, TokenizerError

if TYPE_CHECKING:
    from nlp_lstm.tokenization import Tokenizer

Ids = npt.NDArray[np.integer[Any]]
_WRITE_TOKENS = 1 << 18


@dataclass(frozen=True)
class TokenizedText:
    """A text as token ids, with the counts of the original that scores per word, character and byte need.

    Attributes:
        ids: (tokens,) uint16 or int32, read-only and memory-mapped: only what is used is read from disk.
        characters: Characters of the original text; likewise `bytes` (UTF-8) and `words` (between whitespace).
        unknown: How many of the ids are the unknown token.
        sha: Hex digest of the original text.
    """

    ids: Ids
    characters: int
    bytes: int
    words: int
    unknown: int
    vocab_size: int
    sha: str

    def __len__(self) -> int:
        return len(self.ids)


def tokenize(
    source: TextSource,
    tokenizer: Tokenizer,
    cache_dir: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> TokenizedText:
    """Encode a text, or find its ids from an earlier time: equal content and equal tokenizer give the same file.

    The text is read once to know its content and, where the ids are not on disk yet, a second time to encode it, so
    memory does not grow with it. Records are each followed by the end-of-sequence token. The cache lies beside that
    of the hub, in `$HF_HOME/nlp_lstm/tokens` (by default `~/.cache/huggingface`), and may be deleted at any time.

    Args:
        cache_dir: A folder to hold the ids in place of that one.
        progress: Is told how many bytes of the text are encoded; the last call says all of them.

    Raises:
        DataError: The text cannot be read, changes meanwhile or has no tokens; or the cache folder cannot be written.
        TokenizerError: The tokenizer gives an id outside its vocabulary.
    """
    counts = count_text(source)
    dtype = np.dtype(np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.int32)
    cache = TokenCache(cache_dir, f"{counts.sha} {tokenizer.fingerprint()}", dtype)
    entry = cache.find()
    if entry is None:
        entry = cache.write(_encoded(source, tokenizer, counts, dtype, progress), tokenizer.unk_id)
    if progress is not None:
        progress(counts.bytes)
    ids, unknown = entry
    return TokenizedText(ids, counts.characters, counts.bytes, counts.words, unknown, tokenizer.vocab_size, counts.sha)


def tokenize_splits(data: TextData, tokenizer: Tokenizer) -> dict[str, TokenizedText]:
    """Tokenize every split that the data has; all of them before training, so that a fault in the last shows now.

    Raises DataError where there is no train or valid split, or where one has fewer than two tokens.
    """
    names = ["train", "valid", *(["test"] if data.test is not None else [])]
    texts = {name: tokenize(data.split(name), tokenizer) for name in names}
    for name, text in texts.items():
        if len(text) < 2:
            raise DataError(f"The {name} split has {len(text)} token; at least 2 are needed. Give more text.")
    return texts


def _encoded(
    source: TextSource,
    tokenizer: Tokenizer,
    counts: TextCounts,
    dtype: np.dtype[Any],
    progress: Callable[[int], None] | None,
) -> Iterator[Ids]:
    """Yield the ids of a text in arrays that are worth a write, however small its pieces are."""
    waiting: list[Ids] = []
    characters = size = tokens = total = 0
    for piece in source:
        arrays = _piece_arrays(piece, source.ends_with_eos, tokenizer)
        waiting += arrays
        tokens += sum(map(len, arrays))
        characters += len(piece)
        size += len(piece) if piece.isascii() else len(piece.encode())
        if tokens >= _WRITE_TOKENS:
            yield _joined(waiting, tokenizer.vocab_size, dtype)
            total += tokens
            waiting, tokens = [], 0
            if progress is not None:
                progress(size)
    if characters != counts.characters or size != counts.bytes:
        raise DataError(f"{source.name} changed while it was being read. Run again when nothing writes to it.")
    if not total + tokens:
        raise DataError(f"{source.name} gives no tokens. Give more text, or another --tokenizer.")
    if tokens:
        yield _joined(waiting, tokenizer.vocab_size, dtype)


def _piece_arrays(piece: str, ends_with_eos: bool, tokenizer: Tokenizer) -> list[Ids]:
    ids = tokenizer.encode_array(piece)
    # A tokenizer that turns line ends into eos has already ended a record that ends with one.
    ended = tokenizer.line_end_is_eos and len(ids) > 0 and int(ids[-1]) == tokenizer.eos_id
    return [ids, np.array([tokenizer.eos_id], np.int32)] if ends_with_eos and not ended else [ids]


def _joined(arrays: list[Ids], vocab_size: int, dtype: np.dtype[Any]) -> Ids:
    ids = np.concatenate(arrays)
    if ids.min() < 0 or ids.max() >= vocab_size:  # a cast to 16 bits would hide it
        outside = ids[(ids < 0) | (ids >= vocab_size)]
        raise TokenizerError(f"The tokenizer gave the id {outside[0]}, but its vocabulary has {vocab_size}.")
    return ids.astype(dtype, copy=False)
