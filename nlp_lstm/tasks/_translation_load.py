"""A translation run, from its folder."""

from __future__ import annotations

import reprlib
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from nlp_lstm.errors import RunFolderError
from nlp_lstm.models import EncoderDecoder, EncoderDecoderOptions
from nlp_lstm.tasks._settings import build_options, describing
from nlp_lstm.tasks._summarization import MOST_SOURCE_WORDS, Summarization
from nlp_lstm.tasks._translation import Translation
from nlp_lstm.tasks._translation_limits import LengthLimits, require_whole
from nlp_lstm.tasks._translation_tokenizers import read_tokenizers
from nlp_lstm.tasks._weights import Shapes, read_model, read_shapes, require_layers


def load_translation(path: Path, config: dict[str, Any], device: torch.device) -> Translation:
    """Build the task of a translation run, a summarizer where it says how many words of a source are read.

    Raises RunFolderError where its parts do not fit each other.
    """
    settings = dict(config["model"])
    shapes = read_shapes(path)
    with describing(path, "translator"):
        sizes = settings.pop("source_vocab_size", None), settings.pop("target_vocab_size", None)
        # Runs of older days leave the lengths of targets open.
        limits = LengthLimits(**{field.name: settings.pop(field.name, None) for field in fields(LengthLimits)})
        words = settings.pop("source_words", None)
        words = None if words is None else require_whole(words, "source_words", 1, MOST_SOURCE_WORDS)
        options = build_options(EncoderDecoderOptions, settings)
        layers = {"encoder_layers": options.encoder_layers, "decoder_layers": options.decoder_layers}
        require_layers(shapes, layers)
    source, target = read_tokenizers(path, options.shared)
    if sizes != (source.vocab_size, target.vocab_size):
        given = " and ".join(map(reprlib.repr, sizes))
        raise RunFolderError(
            f"{path / 'config.json'} does not fit: vocabularies of {given} ids for tokenizers of "
            f"{source.vocab_size} and {target.vocab_size}. Restore the folder, or train again."
        )
    model = _read_model(path, source.vocab_size, target.vocab_size, options, shapes)
    parts = model.to(device).eval(), source, target, config, limits
    return Translation(*parts) if words is None else Summarization(*parts, source_words=words)


def _read_model(path: Path, source: int, target: int, options: EncoderDecoderOptions, shapes: Shapes) -> EncoderDecoder:
    with describing(path, "translator"), torch.device("meta"):
        model = EncoderDecoder(source, target, options)
    return read_model(path, model, shapes)
