"""A translation run, from its folder."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from nlp_lstm.errors import NlpLstmError, RunFolderError
from nlp_lstm.models import EncoderDecoder, EncoderDecoderOptions
from nlp_lstm.tasks._folder import MOST_LAYERS, read_model
from nlp_lstm.tasks._translation import Translation
from nlp_lstm.tasks._translation_tokenizers import read_tokenizers

_LONGEST_SOURCE = 1_000_000


def load_translation(path: Path, config: dict[str, Any], device: torch.device) -> Translation:
    """Build the task of a translation run; raises RunFolderError where its parts do not fit each other."""
    settings = dict(config["model"])
    try:
        sizes = settings.pop("source_vocab_size", None), settings.pop("target_vocab_size", None)
        longest = _whole(settings.pop("longest_source", None), "longest_source", _LONGEST_SOURCE)
        for name in ("encoder_layers", "decoder_layers"):
            _whole(settings.get(name, 1), name, MOST_LAYERS)
        strange = sorted(settings.keys() - {field.name for field in fields(EncoderDecoderOptions)})
        if strange:
            raise ValueError(f"unknown settings {', '.join(strange)}")
        options = EncoderDecoderOptions(**settings)
    except (NlpLstmError, TypeError, ValueError) as error:
        raise RunFolderError(f"{path / 'config.json'} describes no translator: {error}. Train again.") from None
    source, target = read_tokenizers(path, options.shared)
    if sizes != (source.vocab_size, target.vocab_size):
        raise RunFolderError(
            f"{path / 'config.json'} does not fit: vocabularies of {sizes[0]!r} and {sizes[1]!r} ids for tokenizers of "
            f"{source.vocab_size} and {target.vocab_size}. Restore the folder, or train again."
        )
    model = _read_model(path, source.vocab_size, target.vocab_size, options)
    return Translation(model.to(device).eval(), source, target, config, longest)


def _read_model(path: Path, source: int, target: int, options: EncoderDecoderOptions) -> EncoderDecoder:
    try:
        with torch.device("meta"):
            model = EncoderDecoder(source, target, options)
    except (NlpLstmError, TypeError, ValueError, RuntimeError) as error:
        raise RunFolderError(f"{path / 'config.json'} describes no translator: {error}") from None
    return read_model(path, model)


def _whole(value: Any, name: str, largest: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
        raise ValueError(f"{name} is {value!r}, and must be a whole number from 1 to {largest:,}")
    return value
