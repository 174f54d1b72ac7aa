"""Data: named texts, files and hub sets, as token ids on disk and as batches."""

from nlp_lstm.data._load import load_text
from nlp_lstm.data._options import DataOptions
from nlp_lstm.data._source import TextData, TextSource
from nlp_lstm.data._stream import StreamBatch, TokenStream, stream_batches
from nlp_lstm.data._tokenized import TokenizedText, tokenize

__all__ = [
    "DataOptions",
    "StreamBatch",
    "TextData",
    "TextSource",
    "TokenStream",
    "TokenizedText",
    "load_text",
    "stream_batches",
    "tokenize",
]
