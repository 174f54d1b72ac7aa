"""From a run folder to the object that uses it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from nlp_lstm.errors import NlpLstmError, RunFolderError
from nlp_lstm.models import LanguageModel, LanguageModelOptions, choose_device
from nlp_lstm.tasks._classification import Classification
from nlp_lstm.tasks._classification_load import load_classification
from nlp_lstm.tasks._folder import MOST_LAYERS, read_config, read_model, read_tokenizer
from nlp_lstm.tasks._language_modeling import LanguageModeling
from nlp_lstm.tasks._task import Task
from nlp_lstm.tasks._translation import Translation
from nlp_lstm.tasks._translation_load import load_translation


def load(folder: str | Path, device: str = "auto") -> Any:
    """Load a run folder as the task's object: `LanguageModeling`, `Classification` or `Translation`.

    Nothing but JSON, safetensors and tokenizer files is read; no code of the folder runs. Raises RunFolderError where
    the folder is missing, incomplete, damaged, unsafe, or of another format version.
    """
    path = Path(folder)
    config = read_config(path)
    if config["task"] not in tuple(_LOADERS):
        raise RunFolderError(f"{path / 'config.json'} names the task {config['task']!r}; known: {', '.join(_LOADERS)}.")
    return _LOADERS[config["task"]](path, config, choose_device(device))


def _load_language_modeling(path: Path, config: dict[str, Any], device: torch.device) -> LanguageModeling:
    tokenizer = read_tokenizer(path)
    settings = dict(config["model"])
    known = {field.name for field in fields(LanguageModelOptions)}
    vocab_size = settings.pop("vocab_size", None)
    strange = sorted(settings.keys() - known)
    if strange or vocab_size != tokenizer.vocab_size:
        fault = (
            f"unknown settings {', '.join(strange)}"
            if strange
            else f"vocab_size {vocab_size!r} for {tokenizer.vocab_size}"
        )
        raise RunFolderError(f"{path / 'config.json'} does not fit: {fault}. Restore the folder, or train again.")
    if settings.get("num_layers", 1) not in range(1, MOST_LAYERS + 1):
        raise RunFolderError(f"{path / 'config.json'} describes no model: num_layers {settings['num_layers']!r}.")
    try:
        options = LanguageModelOptions(**settings)
        with torch.device("meta"):
            model = LanguageModel(tokenizer.vocab_size, options)
    except (NlpLstmError, TypeError, ValueError, RuntimeError) as error:
        raise RunFolderError(f"{path / 'config.json'} describes no model: {error}") from None
    task = LanguageModeling(read_model(path, model).to(device).eval(), tokenizer, config)
    try:
        _ = task.cache
    except (NlpLstmError, TypeError) as error:
        raise RunFolderError(f"{path / 'config.json'} describes no cache: {error}") from None
    return task


_LOADERS: dict[str, Callable[[Path, dict[str, Any], torch.device], Task[Any]]] = {
    LanguageModeling.kind: _load_language_modeling,
    Classification.kind: load_classification,
    Translation.kind: load_translation,
}
