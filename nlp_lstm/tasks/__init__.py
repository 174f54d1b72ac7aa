"""What a user holds: a task's object, made of tokenizer, model, decoding and evaluation, saved to a run folder."""

from typing import TYPE_CHECKING

from nlp_lstm._lazy import lazy_names

if TYPE_CHECKING:
    from nlp_lstm.tasks._baselines import baselines
    from nlp_lstm.tasks._classification import Classification
    from nlp_lstm.tasks._classification_labels import balancing_weights, label_names
    from nlp_lstm.tasks._classification_reading import Reading, pad
    from nlp_lstm.tasks._classification_texts import LONGEST_IN_TRAINING, TrainingTexts, most_tokens
    from nlp_lstm.tasks._compare import compare
    from nlp_lstm.tasks._conversation import Continuation, Conversation
    from nlp_lstm.tasks._explanation import METHODS, Explanation
    from nlp_lstm.tasks._folder import checked_file, read_json, write_json, write_text, written_whole
    from nlp_lstm.tasks._language_modeling import LanguageModeling
    from nlp_lstm.tasks._load import load
    from nlp_lstm.tasks._pretrained import load_language_model, new_classification, new_language_model, resume_task
    from nlp_lstm.tasks._summarization import Summarization, shorten_sources
    from nlp_lstm.tasks._task import Task
    from nlp_lstm.tasks._translated import Translated
    from nlp_lstm.tasks._translation import Translation
    from nlp_lstm.tasks._translation_limits import LengthLimits
    from nlp_lstm.tasks._translation_pairs import TokenizedPairs
    from nlp_lstm.tasks._translation_search import Search
    from nlp_lstm.tasks._translation_text import control_characters
    from nlp_lstm.tasks._translation_tokenizers import read_tokenizers, train_tokenizers
    from nlp_lstm.tasks._weights import write_weights

__all__ = [
    "LONGEST_IN_TRAINING",
    "METHODS",
    "Classification",
    "Continuation",
    "Conversation",
    "Explanation",
    "LanguageModeling",
    "LengthLimits",
    "Reading",
    "Search",
    "Summarization",
    "Task",
    "TokenizedPairs",
    "TrainingTexts",
    "Translated",
    "Translation",
    "balancing_weights",
    "baselines",
    "checked_file",
    "compare",
    "control_characters",
    "label_names",
    "load",
    "load_language_model",
    "most_tokens",
    "new_classification",
    "new_language_model",
    "pad",
    "read_json",
    "read_tokenizers",
    "resume_task",
    "shorten_sources",
    "train_tokenizers",
    "write_json",
    "write_text",
    "write_weights",
    "written_whole",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Classification": "_classification",
        "Continuation": "_conversation",
        "Conversation": "_conversation",
        "Explanation": "_explanation",
        "LONGEST_IN_TRAINING": "_classification_texts",
        "LanguageModeling": "_language_modeling",
        "LengthLimits": "_translation_limits",
        "METHODS": "_explanation",
        "Reading": "_classification_reading",
        "Search": "_translation_search",
        "Summarization": "_summarization",
        "Task": "_task",
        "TokenizedPairs": "_translation_pairs",
        "TrainingTexts": "_classification_texts",
        "Translated": "_translated",
        "Translation": "_translation",
        "balancing_weights": "_classification_labels",
        "baselines": "_baselines",
        "checked_file": "_folder",
        "compare": "_compare",
        "control_characters": "_translation_text",
        "label_names": "_classification_labels",
        "load": "_load",
        "load_language_model": "_pretrained",
        "most_tokens": "_classification_texts",
        "new_classification": "_pretrained",
        "new_language_model": "_pretrained",
        "pad": "_classification_reading",
        "read_json": "_folder",
        "read_tokenizers": "_translation_tokenizers",
        "resume_task": "_pretrained",
        "shorten_sources": "_summarization",
        "train_tokenizers": "_translation_tokenizers",
        "write_json": "_folder",
        "write_text": "_folder",
        "write_weights": "_weights",
        "written_whole": "_folder",
    },
)
