"""What a user holds: a task's object, made of tokenizer, model, decoding and evaluation, saved to a run folder."""

from nlp_lstm.tasks._conversation import Continuation, Conversation
from nlp_lstm.tasks._folder import write_json, write_text, write_weights
from nlp_lstm.tasks._language_modeling import LanguageModeling
from nlp_lstm.tasks._load import load

__all__ = ["Continuation", "Conversation", "LanguageModeling", "load", "write_json", "write_text", "write_weights"]
