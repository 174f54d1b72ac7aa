"""One id a word."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from nlp_lstm.errors import RunFolderError
from nlp_lstm.tokenization._base import SPECIAL_TOKENS, StreamDecoder, Tokenizer
from nlp_lstm.tokenization._files import LIBRARY_JSON, read_config, read_flag
from nlp_lstm.tokenization._library import read_library
from nlp_lstm.tokenization._pieces import PieceCache
from nlp_lstm.tokenization._training import check_min_frequency, check_vocab_size, checked_texts, most_frequent, no_text
from nlp_lstm.tokenization._words import SpaceJoiner, WordClasses, WordJoiner

# The special tokens as the library's vocabulary spells them: the end of a line is the text's own "\n", and <pad> and
# <bos> have a space, which no word has; so the literal words "<pad>", "<bos>" and "<eos>" are words like any other.
_SPELLED = (" <pad>", "<unk>", " <bos>", "\n")
_PRETOKENIZED = "[^ \n]+|\n"
_LINE_END = "\r\n"  # read as "\n"


class WordTokenizer(Tokenizer):
    r"""One id for each word seen in training; a line end ("\n" or "\r\n") is `<eos>`, any other word is `<unk>`.

    Running text is split into words (letters, marks, digits and "_", with inner apostrophes: "don't"), numbers
    ("1,000.5") and single punctuation marks, by Unicode's categories; a script without spaces gives one word for each
    run of its letters. `decode` joins words by the habits of English punctuation.
    Lost: which white space stood between words, at both ends of a line and around punctuation; the "\r" of "\r\n"; and
    every word without an id.

    With `pretokenized=True` words are what stands between spaces, and nothing else is split; the literal word
    "<unk>" is `<unk>`. `decode` joins with single spaces. Lost: how many spaces stood between words, those at both
    ends of a line, the "\r" of "\r\n", and every word without an id.
    """

    name: ClassVar[str] = "word"
    lossless = False
    line_end_is_eos = True

    def __init__(self, words: Sequence[str], pretokenized: bool = False, classes: WordClasses | None = None) -> None:
        """Take the words in the order of their ids; `classes` are those of this Python unless a file says others."""
        self.pretokenized = pretokenized
        self._words = list(words)
        self._pattern = _PRETOKENIZED if pretokenized else (classes or WordClasses.of_this_python()).pattern
        self._compiled = re.compile(self._pattern)
        self._ids = {word: token_id for token_id, word in enumerate([*_SPELLED, *self._words])}
        self._cache = PieceCache(self._encode_chunks)

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int | None = None,
        *,
        min_frequency: int = 1,
        pretokenized: bool = False,
    ) -> Self:
        """Give an id to each word, the most frequent first; ties go by code point.

        `vocab_size` keeps the most frequent that fit; words rarer than `min_frequency` get no id.
        Raises TokenizerError where there is no word, UsageError where an option is out of range.
        """
        check_vocab_size(vocab_size, len(_SPELLED) + 1, cls.name)
        check_min_frequency(min_frequency)
        find_words = cls([], pretokenized)._compiled.findall
        counts: Counter[str] = Counter()
        for text in checked_texts(texts, cls.name):
            counts.update(find_words(text.replace(_LINE_END, "\n")))
        for spelled in _SPELLED:
            counts.pop(spelled, None)
        if not counts:
            raise no_text(cls.name)
        limit = None if vocab_size is None else vocab_size - len(_SPELLED)
        return cls(most_frequent(counts, limit, min_frequency), pretokenized)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        folder = Path(folder)
        pretokenized = read_flag(folder, read_config(folder, cls.name), "pretokenized")
        _, content, tokens = read_library(folder, "WordLevel", _SPELLED)
        try:
            pattern = content["pre_tokenizer"]["pattern"]["Regex"]
            classes = None if pretokenized else WordClasses.from_pattern(pattern)
        except (KeyError, TypeError, ValueError):
            raise RunFolderError(
                f"{folder / LIBRARY_JSON} splits words by a rule that nlp_lstm does not write."
            ) from None
        return cls(tokens[len(_SPELLED) :], pretokenized, classes)

    @property
    def vocab_size(self) -> int:
        return len(self._ids)

    def id_to_token(self, token_id: int) -> str:
        self._checked_id(token_id)
        first = len(SPECIAL_TOKENS)
        return SPECIAL_TOKENS[token_id] if token_id < first else self._words[token_id - first]

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        decoder = self.stream_decoder()
        return "".join([decoder.feed(token_id) for token_id in self._checked_ids(ids)])

    def stream_decoder(self) -> StreamDecoder:
        return _WordStreamDecoder(self)

    def _encode_span(self, text: str) -> np.ndarray:
        chunks = text.replace(_LINE_END, "\n").replace("\n", " \n ").split(" ")
        if not self.pretokenized:
            return self._cache.encode(chunks, self.dtype)
        get = self._ids.get
        return np.array([get(word, self.unk_id) for word in chunks if word], dtype=self.dtype)

    def _encode_chunks(self, chunks: list[str]) -> list[Sequence[int]]:
        get, find_words = self._ids.get, self._compiled.findall
        return [[get(word, self.unk_id) for word in find_words(chunk)] for chunk in chunks]

    def _library_file(self) -> tuple[str, bytes]:
        from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

        library = Tokenizer(models.WordLevel(self._ids, unk_token=_SPELLED[self.unk_id]))
        library.normalizer = normalizers.Replace(_LINE_END, "\n")
        library.pre_tokenizer = pre_tokenizers.Split(Regex(self._pattern), behavior="removed", invert=True)
        return LIBRARY_JSON, library.to_str(pretty=True).encode("utf-8")

    def _identity(self) -> Any:
        return [self._pattern, self._words]

    def _options(self) -> dict[str, Any]:
        return {"pretokenized": self.pretokenized}


class _WordStreamDecoder(StreamDecoder):
    def __init__(self, tokenizer: WordTokenizer) -> None:
        self._tokenizer = tokenizer
        self._joiner = self._new_joiner()

    def feed(self, token_id: int) -> str:
        word = self._tokenizer.id_to_token(token_id)
        if token_id in (self._tokenizer.pad_id, self._tokenizer.bos_id):
            return ""
        return self._joiner.feed("\n" if token_id == self._tokenizer.eos_id else word)

    def flush(self) -> str:
        self._joiner = self._new_joiner()
        return ""

    def _new_joiner(self) -> SpaceJoiner | WordJoiner:
        return SpaceJoiner() if self._tokenizer.pretokenized else WordJoiner()
