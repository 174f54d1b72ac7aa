"""A translation run, from its folder."""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Any

import torch

from nlp_lstm.decoding import LARGEST_RATIO
from nlp_lstm.errors import RunFolderError
from nlp_lstm.models import EncoderDecoder, EncoderDecoderOptions
from nlp_lstm.tasks._settings import build_options, describing
from nlp_lstm.tasks._summarization import MOST_SOURCE_WORDS, Summarization
from nlp_lstm.tasks._translation import LONGEST, Translation
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
        longest = _whole(settings.pop("longest_source", None), "longest_source", LONGEST)
        ratio = _ratio(settings.pop("target_ratio", None))
        written = settings.pop("longest_target", None)
        written = None if written is None else _whole(written, "longest_target", LONGEST)
        words = settings.pop("source_words", None)
        words = None if words is None else _whole(words, "source_words", MOST_SOURCE_WORDS)
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
    parts = model.to(device).eval(), source, target, config, longest
    if words is None:
        return Translation(*parts, ratio, written)
    return Summarization(*parts, words, ratio, written)


def _read_model(path: Path, source: int, target: int, options: EncoderDecoderOptions, shapes: Shapes) -> EncoderDecoder:
    with describing(path, "translator"), torch.device("meta"):
        model = EncoderDecoder(source, target, options)
    return read_model(path, model, shapes)


def _ratio(value: Any) -> float | None:
    """Check the ratio of lengths, which runs that were trained before there was one leave open."""
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= LARGEST_RATIO:
        raise ValueError(f"target_ratio is {reprlib.repr(value)}, and must be above 0 and at most {LARGEST_RATIO:,.0f}")
    return float(value)


def _whole(value: Any, name: str, largest: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
        raise ValueError(f"{name} is {reprlib.repr(value)}, and must be a whole number from 1 to {largest:,}")
    return value
