"""Decoding: from a step function (ids and state in, logits and state out) to token ids."""

from nlp_lstm.decoding._distribution import next_token_distribution
from nlp_lstm.decoding._options import SamplingOptions
from nlp_lstm.decoding._sampling import sample_tokens
from nlp_lstm.decoding._step import StepFunction

__all__ = ["SamplingOptions", "StepFunction", "next_token_distribution", "sample_tokens"]
