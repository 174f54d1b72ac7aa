"""Data: named texts, files and hub sets, as token ids on disk and as batches."""

from nlp_lstm.data._load import lasting_name, load_text
from nlp_lstm.data._options import DataOptions
from nlp_lstm.data._source import TextData, TextSource
from nlp_lstm.data._stream import StreamBatch, TokenStream
from nlp_lstm.data._tokenized import TokenizedText, tokenize, tokenize_splits

__all__ = [
    "DataOptions",
    "StreamBatch",
    "TextData",
    "TextSource",
    "TokenStream",
    "TokenizedText",
    "lasting_name",
    "load_text",
    "tokenize",
    "tokenize_splits",
]
