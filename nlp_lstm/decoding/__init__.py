"""Decoding: from a step function (ids and state in, logits and state out) to token ids."""

from typing import TYPE_CHECKING

from nlp_lstm._lazy import lazy_names
from nlp_lstm.decoding._alignment import align, attention_between_words, attention_text, pharaoh, replace_unknown
from nlp_lstm.decoding._beam_options import LARGEST_COUNT, LARGEST_RATIO, BeamOptions
from nlp_lstm.decoding._decoder import Decoder
from nlp_lstm.decoding._distribution import next_token_distribution
from nlp_lstm.decoding._options import SamplingOptions
from nlp_lstm.decoding._picture import attention_picture
from nlp_lstm.decoding._sampling import sample_tokens
from nlp_lstm.decoding._step import StepFunction

if TYPE_CHECKING:
    from nlp_lstm.decoding._beam import beam_search
    from nlp_lstm.decoding._ensemble import Ensemble
    from nlp_lstm.decoding._required import AnyOf
    from nlp_lstm.decoding._rules import GRANTED_LENGTH, Conditions
    from nlp_lstm.decoding._trace import Hypothesis
    from nlp_lstm.decoding._walk import greedy_search, sample_search

__all__ = [
    "GRANTED_LENGTH",
    "LARGEST_COUNT",
    "LARGEST_RATIO",
    "AnyOf",
    "BeamOptions",
    "Conditions",
    "Decoder",
    "Ensemble",
    "Hypothesis",
    "SamplingOptions",
    "StepFunction",
    "align",
    "attention_between_words",
    "attention_picture",
    "attention_text",
    "beam_search",
    "greedy_search",
    "next_token_distribution",
    "pharaoh",
    "replace_unknown",
    "sample_search",
    "sample_tokens",
]

__getattr__ = lazy_names(
    __name__,
    {
        "AnyOf": "_required",
        "Conditions": "_rules",
        "Ensemble": "_ensemble",
        "GRANTED_LENGTH": "_rules",
        "Hypothesis": "_trace",
        "beam_search": "_beam",
        "greedy_search": "_walk",
        "sample_search": "_walk",
    },
)
