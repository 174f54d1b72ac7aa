"""From text to a file of token ids, made once and memory-mapped ever after."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nlp_lstm.data._cache import TokenCache
from nlp_lstm.data._counts import TextCounts, count_text
from nlp_lstm.data._shards import StreamedSource
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


@dataclass(frozen=True)
class StreamedText(TokenizedText):
    """A sample of a streamed text as token ids, and what it takes to tokenize the rest; all counts are of the sample.

    Attributes:
        sha: Hex digest of the sample, the names of all shards, and how they are held out and shuffled. A change in
            a shard outside the sample is not in it, so that one which is damaged can be mended.
        source: The text.
        tokenizer: What makes ids of it.
    """

    source: StreamedSource = field(repr=False)
    tokenizer: Tokenizer = field(repr=False)


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
    dtype = _dtype(tokenizer)
    cache = TokenCache(cache_dir, f"{counts.sha} {tokenizer.fingerprint()}", dtype)
    entry = cache.find()
    if entry is None:
        entry = cache.write(_encoded(source, tokenizer, counts, progress), tokenizer.unk_id)
    if progress is not None:
        progress(counts.bytes)
    ids, unknown = entry
    return TokenizedText(ids, counts.characters, counts.bytes, counts.words, unknown, tokenizer.vocab_size, counts.sha)


def encode_pieces(pieces: Iterable[str], ends_with_eos: bool, tokenizer: Tokenizer) -> Ids:
    """Encode pieces of a text, or records, as `tokenize` does, in memory: (tokens,) uint16 or int32.

    Raises:
        TokenizerError: The tokenizer gives an id outside its vocabulary.
    """
    blocks = list(_blocks(pieces, ends_with_eos, tokenizer))
    return np.concatenate(blocks) if blocks else np.empty(0, _dtype(tokenizer))


def tokenize_splits(data: TextData, tokenizer: Tokenizer) -> dict[str, TokenizedText]:
    """Tokenize every split that the data has; all of them before training, so that a fault in the last shows now.

    Of a split that is streamed, the sample alone is tokenized now: it becomes a `StreamedText`.
    Raises DataError where there is no train or valid split, or where one has fewer than two tokens.
    """
    names = ["train", "valid", *(["test"] if data.test is not None else [])]
    texts = {name: _tokenize_split(data.split(name), tokenizer) for name in names}
    for name, text in texts.items():
        if len(text) < 2:
            raise DataError(f"The {name} split has {len(text)} token; at least 2 are needed. Give more text.")
    return texts


def _tokenize_split(source: TextSource, tokenizer: Tokenizer) -> TokenizedText:
    text = tokenize(source, tokenizer)
    if not isinstance(source, StreamedSource):
        return text
    content = f"{text.sha} {source.identity} {list(source.held_out)} {source.buffer_characters}"
    values = {one.name: getattr(text, one.name) for one in fields(text)}
    values["sha"] = hashlib.sha256(content.encode()).hexdigest()
    return StreamedText(**values, source=source, tokenizer=tokenizer)


def _dtype(tokenizer: Tokenizer) -> np.dtype[Any]:
    return np.dtype(np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.int32)


def _encoded(
    source: TextSource, tokenizer: Tokenizer, counts: TextCounts, progress: Callable[[int], None] | None
) -> Iterator[Ids]:
    """Yield the ids of a text that must have these counts."""
    characters = size = tokens = 0

    def counted() -> Iterator[str]:
        nonlocal characters, size
        for piece in source:
            characters += len(piece)
            size += len(piece) if piece.isascii() else len(piece.encode())
            yield piece

    for ids in _blocks(counted(), source.ends_with_eos, tokenizer):
        yield ids
        tokens += len(ids)
        if progress is not None:
            progress(size)
    if characters != counts.characters or size != counts.bytes:
        raise DataError(f"{source.name} changed while it was being read. Run again when nothing writes to it.")
    if not tokens:
        raise DataError(f"{source.name} gives no tokens. Give more text, or another --tokenizer.")


def _blocks(pieces: Iterable[str], ends_with_eos: bool, tokenizer: Tokenizer) -> Iterator[Ids]:
    """Yield the ids of pieces in arrays that are worth a write, however small the pieces are."""
    dtype = _dtype(tokenizer)
    eos = np.array([tokenizer.eos_id], np.int32)
    waiting: list[Ids] = []
    tokens = 0
    for piece in pieces:
        ids = tokenizer.encode_array(piece)
        # A tokenizer that turns line ends into eos has already ended a record that ends with one.
        ended = tokenizer.line_end_is_eos and len(ids) > 0 and int(ids[-1]) == tokenizer.eos_id
        arrays = [ids, eos] if ends_with_eos and not ended else [ids]
        waiting += [one for one in arrays if len(one)]
        tokens += sum(map(len, arrays))
        if tokens >= _WRITE_TOKENS:
            yield _joined(waiting, tokenizer.vocab_size, dtype)
            waiting, tokens = [], 0
    if tokens:
        yield _joined(waiting, tokenizer.vocab_size, dtype)


def _joined(arrays: list[Ids], vocab_size: int, dtype: np.dtype[Any]) -> Ids:
    ids = np.concatenate(arrays)
    if ids.min() < 0 or ids.max() >= vocab_size:  # a cast to 16 bits would hide it
        outside = ids[(ids < 0) | (ids >= vocab_size)]
        raise TokenizerError(f"The tokenizer gave the id {outside[0]}, but its vocabulary has {vocab_size}.")
    return ids.astype(dtype, copy=False)
