"""SentencePiece: unigram and BPE models over its own library."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from nlp_lstm.errors import RunFolderError, TokenizerError
from nlp_lstm.tokenization._base import SPECIAL_TOKENS
from nlp_lstm.tokenization._byte_decoding import BYTE_TOKENS, SPECIAL_BYTES, ByteTableTokenizer
from nlp_lstm.tokenization._files import SENTENCEPIECE_MODEL, one_line, read_bytes, read_config
from nlp_lstm.tokenization._pieces import PieceCache
from nlp_lstm.tokenization._sentencepiece_file import check_model
from nlp_lstm.tokenization._training import DEFAULT_VOCAB_SIZE, check_vocab_size, checked_texts, no_text

_SPACE = "\u2581"  # how the library writes a space
_RESERVED = (*SPECIAL_TOKENS, "\n", *BYTE_TOKENS)  # ids 0 to 260
# Learned pieces hold a space at their start only, so a text may be cut before each run of spaces.
_PIECE = re.compile(rf"[\n{_SPACE}]| *[^ \n{_SPACE}]+| +")
# The trainer takes lines of up to 4192 bytes, without its own signs for a space (U+2581) and the unknown (U+2585).
_TRAINING_LINE = re.compile("[^\n\u2581\u2585]{1,1000}(?![^ \n\u2581\u2585])|[^\n\u2581\u2585]{1,1000}")
_SAMPLED_LINES = 500_000  # of longer texts the trainer draws so many lines, which bounds its memory


class _SentencePieceTokenizer(ByteTableTokenizer):
    """What the two models share; nothing is lost.

    No normalisation, no space put in front, all spaces kept, a line end is a token of its own, and what the
    vocabulary does not cover becomes UTF-8 bytes. U+2581, which the library uses for the space, is always bytes.
    A text is encoded piece by piece, cut before each run of spaces; where two segmentations of a line score exactly
    alike, the library's own call on the whole line may choose the other one.
    """

    model_type: ClassVar[str]

    def __init__(self, model: bytes) -> None:
        """Take a model in the library's format; raises ValueError where it does not read, or ids 0 to 260 differ."""
        import sentencepiece

        try:
            self._library = sentencepiece.SentencePieceProcessor(model_proto=model)
            tokens = [self._library.id_to_piece(token_id) for token_id in range(self._library.vocab_size())]
        except RuntimeError as fault:
            raise ValueError(f"the sentencepiece library does not read it ({fault})") from None
        if tuple(tokens[: len(_RESERVED)]) != _RESERVED:
            raise ValueError("ids 0 to 260 are not <pad> <unk> <bos> <eos>, the line end and the 256 bytes")
        learned = [token.replace(_SPACE, " ").encode() for token in tokens[len(_RESERVED) :]]
        super().__init__([*SPECIAL_BYTES, b"\n", *(bytes([byte]) for byte in range(256)), *learned], tokens)
        self._model = model
        first_byte = _RESERVED.index(BYTE_TOKENS[0])
        self._fixed = {"\n": [_RESERVED.index("\n")], _SPACE: [first_byte + byte for byte in _SPACE.encode()]}
        self._cache = PieceCache(self._encode_pieces)

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int | None = None) -> Self:
        """Learn up to `vocab_size` ids (default 8000); a small corpus gives fewer.

        Line by line, on half a million lines drawn from a longer text.
        Raises TokenizerError where there is no text or the characters do not fit, UsageError for too small a size.
        """
        check_vocab_size(vocab_size, len(_RESERVED) + 1, cls.name)
        return cls(
            _train_model(cls.name, cls.model_type, checked_texts(texts, cls.name), vocab_size or DEFAULT_VOCAB_SIZE)
        )

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        folder = Path(folder)
        read_config(folder, cls.name)
        try:
            model = read_bytes(folder, SENTENCEPIECE_MODEL)
            check_model(model)
            return cls(model)
        except ValueError as fault:
            raise RunFolderError(
                f"{folder / SENTENCEPIECE_MODEL} is damaged or of another kind: {one_line(fault)}."
            ) from None

    def _encode_pieces(self, pieces: list[str]) -> list[Sequence[int]]:
        encoded: list[Sequence[int]] = self._library.encode(pieces, num_threads=1)
        return [self._fixed.get(piece, ids) for piece, ids in zip(pieces, encoded, strict=True)]

    def _encode_span(self, text: str) -> np.ndarray:
        return self._cache.encode(_PIECE.findall(text), self.dtype)

    def _library_file(self) -> tuple[str, bytes]:
        return SENTENCEPIECE_MODEL, self._model

    def _identity(self) -> Any:
        return hashlib.sha256(self._model).hexdigest()


class SentencePieceUnigramTokenizer(_SentencePieceTokenizer):
    """A unigram language model over subwords (Kudo 2018), by the sentencepiece library; lossless."""

    name: ClassVar[str] = "sentencepiece-unigram"
    model_type: ClassVar[str] = "unigram"


class SentencePieceBPETokenizer(_SentencePieceTokenizer):
    """Byte-pair encoding over characters (Sennrich et al. 2016), by the sentencepiece library; lossless."""

    name: ClassVar[str] = "sentencepiece-bpe"
    model_type: ClassVar[str] = "bpe"


def _train_model(name: str, model_type: str, texts: Iterator[str], vocab_size: int) -> bytes:
    import sentencepiece

    model = io.BytesIO()
    special_tokens: dict[str, Any] = {}
    for token_id, token in enumerate(SPECIAL_TOKENS):
        special_tokens |= {f"{token[1:-1]}_id": token_id, f"{token[1:-1]}_piece": token}
    failures: list[BaseException] = []
    sentencepiece.set_random_generator_seed(0)  # of the draw of lines
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_training_lines(texts, failures),
            model_writer=model,
            model_type=model_type,
            vocab_size=vocab_size,
            hard_vocab_limit=False,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            byte_fallback=True,
            user_defined_symbols=["\n"],
            **special_tokens,
            input_sentence_size=_SAMPLED_LINES,
            shuffle_input_sentence=True,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as fault:
        if failures:  # the library hides what the texts themselves raised
            raise failures[0] from None
        raise _training_failure(name, str(fault)) from None
    return model.getvalue()


def _training_lines(texts: Iterator[str], failures: list[BaseException]) -> Iterator[str]:
    try:
        for text in texts:
            for line in _TRAINING_LINE.finditer(text):
                yield line.group()
    except BaseException as fault:
        failures.append(fault)
        raise


def _training_failure(name: str, reason: str) -> TokenizerError:
    if needed := re.search(r"smaller than required_chars\. (\d+) vs (\d+)", reason):
        return TokenizerError(
            f"--vocab-size {needed[1]} is too small for this text: the {name} tokenizer needs {needed[2]} ids for its "
            f"characters alone. Give at least --vocab-size {needed[2]}."
        )
    if "sentences_.empty()" in reason:
        return no_text(name)
    return TokenizerError(f"The sentencepiece library could not train the {name} tokenizer: {reason.strip()}")
