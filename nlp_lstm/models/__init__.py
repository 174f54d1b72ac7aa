"""Models: the language model, its dropout and its output layers; devices and precision."""

from typing import TYPE_CHECKING

from nlp_lstm._lazy import lazy_names
from nlp_lstm.models._options import LanguageModelOptions

if TYPE_CHECKING:
    from nlp_lstm.models._cross_entropy import IGNORED, cross_entropy, token_losses
    from nlp_lstm.models._device import autocast, choose_device, choose_precision, has_fast_bf16
    from nlp_lstm.models._dropout import LockedDropout, embed
    from nlp_lstm.models._initialization import initialize_recurrent
    from nlp_lstm.models._language_model import LanguageModel, ModelState, detach
    from nlp_lstm.models._output import AdaptiveOutput, FullOutput, SampledOutput

__all__ = [
    "IGNORED",
    "AdaptiveOutput",
    "FullOutput",
    "LanguageModel",
    "LanguageModelOptions",
    "LockedDropout",
    "ModelState",
    "SampledOutput",
    "autocast",
    "choose_device",
    "choose_precision",
    "cross_entropy",
    "detach",
    "embed",
    "has_fast_bf16",
    "initialize_recurrent",
    "token_losses",
]

__getattr__ = lazy_names(
    __name__,
    {
        "AdaptiveOutput": "_output",
        "FullOutput": "_output",
        "SampledOutput": "_output",
        "IGNORED": "_cross_entropy",
        "LanguageModel": "_language_model",
        "LockedDropout": "_dropout",
        "ModelState": "_language_model",
        "autocast": "_device",
        "choose_device": "_device",
        "choose_precision": "_device",
        "cross_entropy": "_cross_entropy",
        "detach": "_language_model",
        "embed": "_dropout",
        "has_fast_bf16": "_device",
        "initialize_recurrent": "_initialization",
        "token_losses": "_cross_entropy",
    },
)
