"""From the run folder of a classifier to its task."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from nlp_lstm.errors import NlpLstmError, RunFolderError
from nlp_lstm.models import Classifier, ClassifierOptions
from nlp_lstm.tasks._classification import Classification
from nlp_lstm.tasks._classification_reading import Reading
from nlp_lstm.tasks._folder import MOST_LAYERS, read_model, read_tokenizer


def load_classification(path: Path, config: dict[str, Any], device: torch.device) -> Classification:
    """Build the classifier that config.json describes and read its weights; raises RunFolderError where they differ."""
    tokenizer = read_tokenizer(path)
    settings = dict(config["model"])
    try:
        vocab_size, labels, temperature = (
            settings.pop("vocab_size"),
            settings.pop("labels"),
            settings.pop("temperature"),
        )
        sentence_ends = settings.pop("sentence_ends")
        reading = Reading(**{field.name: settings.pop(field.name) for field in fields(Reading)})
        _check(vocab_size == tokenizer.vocab_size, f"vocab_size {vocab_size!r} for {tokenizer.vocab_size}")
        _check(isinstance(labels, list) and all(isinstance(one, str) for one in labels), "labels must be names")
        _check(len(set(labels)) == len(labels), "a label stands there twice")
        _check(isinstance(temperature, float) and 0 < temperature < math.inf, f"temperature {temperature!r}")
        _check(settings.get("num_layers") in range(1, MOST_LAYERS + 1), f"num_layers {settings.get('num_layers')!r}")
        with torch.device("meta"):
            model = Classifier(vocab_size, len(labels), ClassifierOptions(**settings), sentence_ends)
    except (NlpLstmError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise RunFolderError(f"{path / 'config.json'} describes no classifier: {error}. Train again.") from None
    model = read_model(path, model).to(device).eval()
    return Classification(model, tokenizer, labels, config, reading=reading, temperature=temperature)


def _check(holds: bool, fault: str) -> None:
    if not holds:
        raise ValueError(fault)
