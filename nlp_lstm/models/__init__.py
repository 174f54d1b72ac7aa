"""Models: the language model, its dropout and its output layers; devices and precision."""

from typing import TYPE_CHECKING

from nlp_lstm._lazy import lazy_names
from nlp_lstm.models._classifier_options import ClassifierOptions
from nlp_lstm.models._encoder_decoder_options import EncoderDecoderOptions
from nlp_lstm.models._options import LanguageModelOptions

if TYPE_CHECKING:
    from nlp_lstm.models._attention import Attention, build_attention
    from nlp_lstm.models._cache import CachedLanguageModel, CacheSettings, CacheState, fit_weight
    from nlp_lstm.models._classifier import Classifier
    from nlp_lstm.models._classifier_output import OrdinalOutput, label_losses, probabilities
    from nlp_lstm.models._classifier_vectors import load_word_vectors
    from nlp_lstm.models._cross_entropy import IGNORED, cross_entropy, token_losses
    from nlp_lstm.models._device import (
        autocast,
        choose_device,
        choose_precision,
        has_fast_bf16,
        seconds_compiling,
        use_threads,
    )
    from nlp_lstm.models._dropout import LockedDropout, embed
    from nlp_lstm.models._encoder_decoder import EncoderDecoder, PairBatch
    from nlp_lstm.models._encoder_decoder_encoder import Memory
    from nlp_lstm.models._encoder_decoder_state import DecoderState
    from nlp_lstm.models._gradient_flow import gradient_flow
    from nlp_lstm.models._initialization import initialize_recurrent
    from nlp_lstm.models._language_model import LanguageModel, ModelState, detach
    from nlp_lstm.models._output import AdaptiveOutput, FullOutput, SampledOutput
    from nlp_lstm.models._pooling import AttentionPooling, Pooling
    from nlp_lstm.models._stepper import Stepper, StepperState

__all__ = [
    "IGNORED",
    "AdaptiveOutput",
    "Attention",
    "AttentionPooling",
    "CacheSettings",
    "CacheState",
    "CachedLanguageModel",
    "Classifier",
    "ClassifierOptions",
    "DecoderState",
    "EncoderDecoder",
    "EncoderDecoderOptions",
    "FullOutput",
    "LanguageModel",
    "LanguageModelOptions",
    "LockedDropout",
    "Memory",
    "ModelState",
    "OrdinalOutput",
    "PairBatch",
    "Pooling",
    "SampledOutput",
    "Stepper",
    "StepperState",
    "autocast",
    "build_attention",
    "choose_device",
    "choose_precision",
    "cross_entropy",
    "detach",
    "embed",
    "fit_weight",
    "gradient_flow",
    "has_fast_bf16",
    "initialize_recurrent",
    "label_losses",
    "load_word_vectors",
    "probabilities",
    "seconds_compiling",
    "token_losses",
    "use_threads",
]

__getattr__ = lazy_names(
    __name__,
    {
        "AdaptiveOutput": "_output",
        "Attention": "_attention",
        "AttentionPooling": "_pooling",
        "Classifier": "_classifier",
        "OrdinalOutput": "_classifier_output",
        "Pooling": "_pooling",
        "label_losses": "_classifier_output",
        "load_word_vectors": "_classifier_vectors",
        "probabilities": "_classifier_output",
        "DecoderState": "_encoder_decoder_state",
        "EncoderDecoder": "_encoder_decoder",
        "Memory": "_encoder_decoder_encoder",
        "PairBatch": "_encoder_decoder",
        "build_attention": "_attention",
        "CacheSettings": "_cache",
        "CacheState": "_cache",
        "CachedLanguageModel": "_cache",
        "FullOutput": "_output",
        "SampledOutput": "_output",
        "IGNORED": "_cross_entropy",
        "LanguageModel": "_language_model",
        "LockedDropout": "_dropout",
        "ModelState": "_language_model",
        "autocast": "_device",
        "seconds_compiling": "_device",
        "choose_device": "_device",
        "choose_precision": "_device",
        "cross_entropy": "_cross_entropy",
        "Stepper": "_stepper",
        "StepperState": "_stepper",
        "detach": "_language_model",
        "embed": "_dropout",
        "fit_weight": "_cache",
        "gradient_flow": "_gradient_flow",
        "has_fast_bf16": "_device",
        "initialize_recurrent": "_initialization",
        "token_losses": "_cross_entropy",
        "use_threads": "_device",
    },
)
