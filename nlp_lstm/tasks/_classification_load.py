"""From the run folder of a classifier to its task."""

from __future__ import annotations

import math
import reprlib
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from nlp_lstm.errors import NlpLstmError, RunFolderError
from nlp_lstm.models import Classifier, ClassifierOptions
from nlp_lstm.tasks._classification import Classification
from nlp_lstm.tasks._classification_reading import Reading
from nlp_lstm.tasks._folder import read_tokenizer
from nlp_lstm.tasks._settings import build_options
from nlp_lstm.tasks._weights import read_model, read_shapes, require_layers


def load_classification(path: Path, config: dict[str, Any], device: torch.device) -> Classification:
    """Build the classifier that config.json describes and read its weights; raises RunFolderError where they differ."""
    tokenizer = read_tokenizer(path)
    shapes = read_shapes(path)
    settings = dict(config["model"])
    try:
        vocab_size, labels, temperature, ends = (
            _taken(settings, name) for name in ("vocab_size", "labels", "temperature", "sentence_ends")
        )
        reading = build_options(Reading, {field.name: _taken(settings, field.name) for field in fields(Reading)})
        _check(vocab_size == tokenizer.vocab_size, f"vocab_size {reprlib.repr(vocab_size)} for {tokenizer.vocab_size}")
        _check(isinstance(labels, list) and all(isinstance(one, str) for one in labels), "labels must be names")
        _check(0 < len(labels) == len(set(labels)), "a label stands there twice, or there is none")
        _check(isinstance(temperature, float), f"temperature {reprlib.repr(temperature)}")
        _check(0 < temperature < math.inf, f"temperature {temperature}")
        _check(_are_ids(ends, tokenizer.vocab_size), f"sentence_ends {reprlib.repr(ends)} must be ids of tokens")
        options = build_options(ClassifierOptions, settings)
        require_layers(shapes, {"num_layers": options.num_layers})
        with torch.device("meta"):
            model = Classifier(vocab_size, len(labels), options, ends)
    except (NlpLstmError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise RunFolderError(f"{path / 'config.json'} describes no classifier: {error}. Train again.") from None
    model = read_model(path, model, shapes).to(device).eval()
    return Classification(model, tokenizer, labels, config, reading=reading, temperature=temperature)


def _taken(settings: dict[str, Any], name: str) -> Any:
    if name not in settings:
        raise ValueError(f"{name} is missing")
    return settings.pop(name)


def _are_ids(value: object, vocab_size: int) -> bool:
    return isinstance(value, list) and all(type(one) is int and 0 <= one < vocab_size for one in value)


def _check(holds: bool, fault: str) -> None:
    if not holds:
        raise ValueError(fault)
