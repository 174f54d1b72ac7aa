"""Data: named texts, files and hub sets, as token ids on disk, as labelled texts and pairs, and as batches."""

from nlp_lstm.data._buckets import LengthBuckets
from nlp_lstm.data._buffered import BufferedStream
from nlp_lstm.data._folder_lock import lock_folder, unlock
from nlp_lstm.data._labelled import LabelledData, LabelledSplit, load_labelled
from nlp_lstm.data._load import load_text
from nlp_lstm.data._named import lasting_name
from nlp_lstm.data._options import DataOptions, LabelledOptions, PairOptions
from nlp_lstm.data._pairs import PairData, PairSplit, load_pairs
from nlp_lstm.data._shards import Place, StreamedSource
from nlp_lstm.data._source import TextData, TextSource
from nlp_lstm.data._stream import StreamBatch, TokenStream
from nlp_lstm.data._tokenized import StreamedText, TokenizedText, tokenize, tokenize_splits

__all__ = [
    "BufferedStream",
    "DataOptions",
    "LabelledData",
    "LabelledOptions",
    "LabelledSplit",
    "LengthBuckets",
    "PairData",
    "PairOptions",
    "PairSplit",
    "Place",
    "StreamBatch",
    "StreamedSource",
    "StreamedText",
    "TextData",
    "TextSource",
    "TokenStream",
    "TokenizedText",
    "lasting_name",
    "load_labelled",
    "load_pairs",
    "load_text",
    "lock_folder",
    "tokenize",
    "tokenize_splits",
    "unlock",
]
