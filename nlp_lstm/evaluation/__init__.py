"""Evaluation: plain values in, scores with a unit, an uncertainty and a signature out."""

from nlp_lstm.evaluation._bootstrap import block_bootstrap_means, default_block_length, percentile_interval
from nlp_lstm.evaluation._language_model import LanguageModelScores, language_model_scores
from nlp_lstm.evaluation._score import Score, signature

__all__ = [
    "LanguageModelScores",
    "Score",
    "block_bootstrap_means",
    "default_block_length",
    "language_model_scores",
    "percentile_interval",
    "signature",
]
