"""From the run folder of a classifier to its task: to use it, or to go on training it."""

from __future__ import annotations

import math
import reprlib
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import torch

from nlp_lstm.models import Classifier, ClassifierOptions
from nlp_lstm.tasks._classification import Classification
from nlp_lstm.tasks._classification_reading import Reading
from nlp_lstm.tasks._folder import read_tokenizer
from nlp_lstm.tasks._settings import build_options, describing
from nlp_lstm.tasks._weights import MOST_LAYERS, read_model, read_shapes, require_layers


class _Description(NamedTuple):
    """What config.json says about a classifier."""

    labels: list[str]
    temperature: float
    ends: list[int]
    reading: Reading
    options: ClassifierOptions


def load_classification(path: Path, config: dict[str, Any], device: torch.device) -> Classification:
    """Build the classifier that config.json describes and read its weights; raises RunFolderError where they differ."""
    tokenizer = read_tokenizer(path)
    shapes = read_shapes(path)
    with describing(path, "classifier"):
        found = _described(config["model"], tokenizer.vocab_size)
        require_layers(shapes, {"num_layers": found.options.num_layers})
        with torch.device("meta"):
            model = Classifier(tokenizer.vocab_size, len(found.labels), found.options, found.ends)
    model = read_model(path, model, shapes).to(device).eval()
    return Classification(model, tokenizer, found.labels, config, reading=found.reading, temperature=found.temperature)


def resume_classification(path: Path, described: dict[str, Any], config: dict[str, Any]) -> Classification:
    """Build the classifier that config.json (`described`) tells of, from random weights; `config` is what it becomes.

    Raises RunFolderError where it describes none.
    """
    tokenizer = read_tokenizer(path)
    with describing(path, "classifier"):
        found = _described(described["model"], tokenizer.vocab_size)
        _check(found.options.num_layers <= MOST_LAYERS, f"num_layers is {found.options.num_layers}")
        model = Classifier(tokenizer.vocab_size, len(found.labels), found.options, found.ends)
    return Classification(model, tokenizer, found.labels, config, reading=found.reading)


def _described(model: dict[str, Any], tokens: int) -> _Description:
    settings = dict(model)
    vocab_size, labels, temperature, ends = (
        _taken(settings, name) for name in ("vocab_size", "labels", "temperature", "sentence_ends")
    )
    for name in ("html_line_breaks", "boundaries"):  # folders that are older do not name them
        settings.setdefault(name, False)
    reading = build_options(Reading, {field.name: _taken(settings, field.name) for field in fields(Reading)})
    _check(vocab_size == tokens, f"vocab_size {reprlib.repr(vocab_size)} for {tokens}")
    _check(isinstance(labels, list) and all(isinstance(one, str) for one in labels), "labels must be names")
    _check(0 < len(labels) == len(set(labels)), "a label stands there twice, or there is none")
    _check(isinstance(temperature, float), f"temperature {reprlib.repr(temperature)}")
    _check(0 < temperature < math.inf, f"temperature {temperature}")
    _check(_are_ids(ends, tokens), f"sentence_ends {reprlib.repr(ends)} must be ids of tokens")
    return _Description(labels, temperature, ends, reading, build_options(ClassifierOptions, settings))


def _taken(settings: dict[str, Any], name: str) -> Any:
    if name not in settings:
        raise ValueError(f"{name} is missing")
    return settings.pop(name)


def _are_ids(value: object, vocab_size: int) -> bool:
    return isinstance(value, list) and all(type(one) is int and 0 <= one < vocab_size for one in value)


def _check(holds: bool, fault: str) -> None:
    if not holds:
        raise ValueError(fault)
