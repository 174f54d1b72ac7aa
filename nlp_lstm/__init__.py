"""Recurrent networks for text: language models, classifiers and translators that train on a CPU.

The names below are imported when they are first used, so that `import nlp_lstm` costs nothing:

    >>> import nlp_lstm
    >>> model = nlp_lstm.load("runs/char_lm")
    >>> model.generate("The ", max_tokens=80)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlp_lstm._lazy import lazy_names

if TYPE_CHECKING:
    from nlp_lstm.cells import GRU as GRU
    from nlp_lstm.cells import LSTM as LSTM
    from nlp_lstm.cells import RNN as RNN
    from nlp_lstm.cli import run_recipe as run_recipe
    from nlp_lstm.data import DataOptions as DataOptions
    from nlp_lstm.data import LabelledOptions as LabelledOptions
    from nlp_lstm.data import LengthBuckets as LengthBuckets
    from nlp_lstm.data import PairOptions as PairOptions
    from nlp_lstm.data import TokenStream as TokenStream
    from nlp_lstm.data import load_labelled as load_labelled
    from nlp_lstm.data import load_pairs as load_pairs
    from nlp_lstm.data import load_text as load_text
    from nlp_lstm.data import tokenize as tokenize
    from nlp_lstm.data import tokenize_splits as tokenize_splits
    from nlp_lstm.decoding import BeamOptions as BeamOptions
    from nlp_lstm.decoding import SamplingOptions as SamplingOptions
    from nlp_lstm.errors import DataError as DataError
    from nlp_lstm.errors import NlpLstmError as NlpLstmError
    from nlp_lstm.errors import RunFolderError as RunFolderError
    from nlp_lstm.errors import ShapeError as ShapeError
    from nlp_lstm.errors import TokenizerError as TokenizerError
    from nlp_lstm.errors import TrainingError as TrainingError
    from nlp_lstm.errors import UsageError as UsageError
    from nlp_lstm.evaluation import ClassificationScores as ClassificationScores
    from nlp_lstm.evaluation import LanguageModelScores as LanguageModelScores
    from nlp_lstm.evaluation import Score as Score
    from nlp_lstm.evaluation import TranslationScores as TranslationScores
    from nlp_lstm.models import Classifier as Classifier
    from nlp_lstm.models import ClassifierOptions as ClassifierOptions
    from nlp_lstm.models import EncoderDecoder as EncoderDecoder
    from nlp_lstm.models import EncoderDecoderOptions as EncoderDecoderOptions
    from nlp_lstm.models import LanguageModel as LanguageModel
    from nlp_lstm.models import LanguageModelOptions as LanguageModelOptions
    from nlp_lstm.tasks import Classification as Classification
    from nlp_lstm.tasks import LanguageModeling as LanguageModeling
    from nlp_lstm.tasks import Reading as Reading
    from nlp_lstm.tasks import Search as Search
    from nlp_lstm.tasks import Summarization as Summarization
    from nlp_lstm.tasks import Translation as Translation
    from nlp_lstm.tasks import baselines as baselines
    from nlp_lstm.tasks import compare as compare
    from nlp_lstm.tasks import label_names as label_names
    from nlp_lstm.tasks import load as load
    from nlp_lstm.tasks import load_language_model as load_language_model
    from nlp_lstm.tasks import new_classification as new_classification
    from nlp_lstm.tasks import new_language_model as new_language_model
    from nlp_lstm.tasks import read_tokenizers as read_tokenizers
    from nlp_lstm.tasks import resume_task as resume_task
    from nlp_lstm.tasks import shorten_sources as shorten_sources
    from nlp_lstm.tasks import train_tokenizers as train_tokenizers
    from nlp_lstm.tokenization import BytePairTokenizer as BytePairTokenizer
    from nlp_lstm.tokenization import ByteTokenizer as ByteTokenizer
    from nlp_lstm.tokenization import CharacterTokenizer as CharacterTokenizer
    from nlp_lstm.tokenization import SentencePieceBPETokenizer as SentencePieceBPETokenizer
    from nlp_lstm.tokenization import SentencePieceUnigramTokenizer as SentencePieceUnigramTokenizer
    from nlp_lstm.tokenization import Tokenizer as Tokenizer
    from nlp_lstm.tokenization import WordTokenizer as WordTokenizer
    from nlp_lstm.tokenization import load_tokenizer as load_tokenizer
    from nlp_lstm.tokenization import train_tokenizer as train_tokenizer
    from nlp_lstm.training import ClassificationObjective as ClassificationObjective
    from nlp_lstm.training import LanguageModelObjective as LanguageModelObjective
    from nlp_lstm.training import TrainingOptions as TrainingOptions
    from nlp_lstm.training import TranslationObjective as TranslationObjective
    from nlp_lstm.training import describe_error as describe_error
    from nlp_lstm.training import fit as fit
    from nlp_lstm.training import report as report
    from nlp_lstm.training import start_run as start_run

__version__ = "0.1.0"

# The folder that each public name comes from; the imports above say the same to type checkers and editors.
_FOLDER_OF: dict[str, str] = {
    "Classification": "tasks",
    "LanguageModeling": "tasks",
    "Reading": "tasks",
    "baselines": "tasks",
    "label_names": "tasks",
    "compare": "tasks",
    "Search": "tasks",
    "Summarization": "tasks",
    "Translation": "tasks",
    "load": "tasks",
    "load_language_model": "tasks",
    "new_classification": "tasks",
    "new_language_model": "tasks",
    "read_tokenizers": "tasks",
    "resume_task": "tasks",
    "shorten_sources": "tasks",
    "train_tokenizers": "tasks",
    "run_recipe": "cli",
    "Classifier": "models",
    "ClassifierOptions": "models",
    "EncoderDecoder": "models",
    "EncoderDecoderOptions": "models",
    "LanguageModel": "models",
    "LanguageModelOptions": "models",
    "GRU": "cells",
    "LSTM": "cells",
    "RNN": "cells",
    "BytePairTokenizer": "tokenization",
    "ByteTokenizer": "tokenization",
    "CharacterTokenizer": "tokenization",
    "SentencePieceBPETokenizer": "tokenization",
    "SentencePieceUnigramTokenizer": "tokenization",
    "Tokenizer": "tokenization",
    "WordTokenizer": "tokenization",
    "load_tokenizer": "tokenization",
    "train_tokenizer": "tokenization",
    "DataOptions": "data",
    "LabelledOptions": "data",
    "LengthBuckets": "data",
    "PairOptions": "data",
    "TokenStream": "data",
    "load_labelled": "data",
    "load_pairs": "data",
    "load_text": "data",
    "tokenize": "data",
    "tokenize_splits": "data",
    "BeamOptions": "decoding",
    "SamplingOptions": "decoding",
    "ClassificationScores": "evaluation",
    "LanguageModelScores": "evaluation",
    "Score": "evaluation",
    "TranslationScores": "evaluation",
    "ClassificationObjective": "training",
    "LanguageModelObjective": "training",
    "describe_error": "training",
    "TrainingOptions": "training",
    "TranslationObjective": "training",
    "fit": "training",
    "report": "training",
    "start_run": "training",
    "DataError": "errors",
    "NlpLstmError": "errors",
    "RunFolderError": "errors",
    "ShapeError": "errors",
    "TokenizerError": "errors",
    "TrainingError": "errors",
    "UsageError": "errors",
}

__all__ = ["__version__", *_FOLDER_OF]

__getattr__ = lazy_names(__name__, _FOLDER_OF)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
