"""Text to ids and back: six tokenizers behind one interface, stored in their libraries' own formats."""

from __future__ import annotations

from nlp_lstm.tokenization._base import SPECIAL_TOKENS, StreamDecoder, Tokenizer
from nlp_lstm.tokenization._bpe import BytePairTokenizer
from nlp_lstm.tokenization._byte import ByteTokenizer
from nlp_lstm.tokenization._character import CharacterTokenizer
from nlp_lstm.tokenization._sentencepiece import SentencePieceBPETokenizer, SentencePieceUnigramTokenizer
from nlp_lstm.tokenization._subword_sampling import SubwordSampler
from nlp_lstm.tokenization._table import TOKENIZERS, load_tokenizer, train_tokenizer
from nlp_lstm.tokenization._word import WordTokenizer

__all__ = [
    "SPECIAL_TOKENS",
    "TOKENIZERS",
    "BytePairTokenizer",
    "ByteTokenizer",
    "CharacterTokenizer",
    "SentencePieceBPETokenizer",
    "SentencePieceUnigramTokenizer",
    "StreamDecoder",
    "SubwordSampler",
    "Tokenizer",
    "WordTokenizer",
    "load_tokenizer",
    "train_tokenizer",
]
