"""What a user holds: a task's object, made of tokenizer, model, decoding and evaluation, saved to a run folder."""

from nlp_lstm.tasks._baselines import baselines
from nlp_lstm.tasks._classification import Classification
from nlp_lstm.tasks._classification_labels import balancing_weights, label_names
from nlp_lstm.tasks._classification_reading import Reading, pad
from nlp_lstm.tasks._compare import compare
from nlp_lstm.tasks._conversation import Continuation, Conversation
from nlp_lstm.tasks._explanation import METHODS, Explanation
from nlp_lstm.tasks._folder import read_json, write_json, write_text, write_weights
from nlp_lstm.tasks._language_modeling import LanguageModeling
from nlp_lstm.tasks._load import load
from nlp_lstm.tasks._summarization import Summarization, shorten_sources
from nlp_lstm.tasks._task import Task
from nlp_lstm.tasks._translated import Translated
from nlp_lstm.tasks._translation import Translation
from nlp_lstm.tasks._translation_pairs import TokenizedPairs
from nlp_lstm.tasks._translation_search import Search
from nlp_lstm.tasks._translation_tokenizers import read_tokenizers, train_tokenizers

__all__ = [
    "METHODS",
    "Classification",
    "Continuation",
    "Conversation",
    "Explanation",
    "LanguageModeling",
    "Reading",
    "Search",
    "Summarization",
    "Task",
    "TokenizedPairs",
    "Translated",
    "Translation",
    "balancing_weights",
    "baselines",
    "compare",
    "label_names",
    "load",
    "pad",
    "read_json",
    "read_tokenizers",
    "shorten_sources",
    "train_tokenizers",
    "write_json",
    "write_text",
    "write_weights",
]
