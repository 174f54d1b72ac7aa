"""The tokenizers of source and target: one for both or one each, trained on pairs or read from a run folder."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from nlp_lstm.data import PairSplit
from nlp_lstm.errors import RunFolderError, UsageError
from nlp_lstm.tasks._folder import read_tokenizer
from nlp_lstm.tokenization import SPECIAL_TOKENS, Tokenizer, train_tokenizer

SOURCE_FOLDER, TARGET_FOLDER = "source", "target"
_COMPARED = 2000


def train_tokenizers(
    name: str, pairs: PairSplit, vocab_size: int | None = None, shared: bool = True
) -> tuple[Tokenizer, Tokenizer]:
    """Train the tokenizers of source and target: the same one on both sides where `shared`, else one on each.

    `vocab_size` is that of each. Raises UsageError where the sides of pairs have no token in common to share.
    """
    if not shared:
        return train_tokenizer(name, pairs.sources, vocab_size), train_tokenizer(name, pairs.targets, vocab_size)
    tokenizer = train_tokenizer(name, chain(pairs.sources, pairs.targets), vocab_size)
    sides = (tokenizer.encode_batch(texts[:_COMPARED]) for texts in (pairs.sources, pairs.targets))
    source, target = ({one for ids in side for one in ids} for side in sides)
    if not any(one >= len(SPECIAL_TOKENS) for one in source & target):
        raise UsageError("Source and target have no token in common, so nothing can be shared. Give --shared false.")
    return tokenizer, tokenizer


def save_tokenizers(folder: Path, source: Tokenizer, target: Tokenizer) -> None:
    """Write two tokenizers into the folders `source` and `target` of a run folder."""
    source.save(folder / SOURCE_FOLDER)
    target.save(folder / TARGET_FOLDER)


def read_tokenizers(path: Path, shared: bool) -> tuple[Tokenizer, Tokenizer]:
    """Load the tokenizers of source and target, which are one where the vocabulary is shared."""
    if shared:
        tokenizer = read_tokenizer(path)
        return tokenizer, tokenizer
    return _read_below(path, SOURCE_FOLDER), _read_below(path, TARGET_FOLDER)


def _read_below(path: Path, name: str) -> Tokenizer:
    folder = path / name
    try:
        inside = folder.resolve().is_relative_to(path.resolve())
    except (OSError, RuntimeError):  # a link to itself
        inside = False
    if not inside:
        raise RunFolderError(f"{folder} is a link that leads out of the run folder; it is not read. Copy it there.")
    return read_tokenizer(folder)
