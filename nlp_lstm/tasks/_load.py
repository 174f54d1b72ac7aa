"""From a run folder to the object that uses it."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from nlp_lstm.data import DataOptions, LabelledOptions, PairOptions
from nlp_lstm.errors import NlpLstmError, RunFolderError
from nlp_lstm.models import CacheSettings, LanguageModel, LanguageModelOptions, choose_device
from nlp_lstm.tasks._classification import Classification
from nlp_lstm.tasks._classification_load import load_classification
from nlp_lstm.tasks._folder import read_config, read_tokenizer
from nlp_lstm.tasks._language_modeling import LanguageModeling
from nlp_lstm.tasks._settings import build_options, describing, require_types
from nlp_lstm.tasks._task import Task
from nlp_lstm.tasks._translation import Translation
from nlp_lstm.tasks._translation_load import load_translation
from nlp_lstm.tasks._weights import read_model, read_shapes, require_layers


def load(folder: str | Path, device: str = "auto") -> Any:
    """Load a run folder as the task's object: `LanguageModeling`, `Classification`, `Translation` or `Summarization`.

    Nothing but JSON, safetensors and tokenizer files is read; no code of the folder runs. The sizes of files, and the
    header of the weights, are looked at before their contents, so that a hostile folder gets neither time nor memory.
    Raises RunFolderError where the folder is missing, incomplete, damaged, unsafe, or of another format version.
    """
    path = Path(folder)
    config = read_config(path)
    task = config["task"]
    if task not in tuple(_LOADERS):
        raise RunFolderError(
            f"{path / 'config.json'} names the task {reprlib.repr(task)}; known: {', '.join(_LOADERS)}."
        )
    if isinstance(config.get("data"), dict):
        try:
            require_types(_DATA[task], config["data"], math.inf)
        except ValueError as error:
            raise RunFolderError(f"{path / 'config.json'} describes no data: {error}. Restore the file.") from None
    return _LOADERS[task](path, config, choose_device(device))


def _load_language_modeling(path: Path, config: dict[str, Any], device: torch.device) -> LanguageModeling:
    tokenizer = read_tokenizer(path)
    shapes = read_shapes(path)
    settings = dict(config["model"])
    vocab_size = settings.pop("vocab_size", None)
    if vocab_size != tokenizer.vocab_size:
        raise RunFolderError(
            f"{path / 'config.json'} does not fit: vocab_size {reprlib.repr(vocab_size)} for {tokenizer.vocab_size}. "
            "Restore the folder, or train again."
        )
    with describing(path, "model"):
        options = build_options(LanguageModelOptions, settings)
        require_layers(shapes, {"num_layers": options.num_layers})
        with torch.device("meta"):
            model = LanguageModel(tokenizer.vocab_size, options)
    if config.get("cache"):
        _check_cache(path, config["cache"])
    return LanguageModeling(read_model(path, model, shapes).to(device).eval(), tokenizer, config)


def _check_cache(path: Path, settings: object) -> None:
    try:
        if not isinstance(settings, dict):
            raise ValueError(f"cache is {reprlib.repr(settings)}")
        build_options(CacheSettings, settings)
    except (NlpLstmError, TypeError, ValueError) as error:
        raise RunFolderError(f"{path / 'config.json'} describes no cache: {error}") from None


_LOADERS: dict[str, Callable[[Path, dict[str, Any], torch.device], Task[Any]]] = {
    LanguageModeling.kind: _load_language_modeling,
    Classification.kind: load_classification,
    Translation.kind: load_translation,
}
_DATA = {LanguageModeling.kind: DataOptions, Classification.kind: LabelledOptions, Translation.kind: PairOptions}
