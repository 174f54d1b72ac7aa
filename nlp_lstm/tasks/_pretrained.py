"""Runs to start other models from, and runs to go on with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from nlp_lstm.data import LabelledSplit, TextSource
from nlp_lstm.errors import RunFolderError, UsageError
from nlp_lstm.models import CacheSettings, LanguageModelOptions
from nlp_lstm.tasks._classification import Classification
from nlp_lstm.tasks._classification_labels import label_names
from nlp_lstm.tasks._classification_load import resume_classification
from nlp_lstm.tasks._classification_reading import Reading
from nlp_lstm.tasks._folder import read_config, read_tokenizer
from nlp_lstm.tasks._language_model_text import Preparation
from nlp_lstm.tasks._language_modeling import LanguageModeling
from nlp_lstm.tasks._load import load
from nlp_lstm.tasks._pretrained_settings import ClassifierConfig, LanguageModelConfig, refuse_overruled
from nlp_lstm.tasks._settings import build_options, describing
from nlp_lstm.tasks._weights import MOST_LAYERS
from nlp_lstm.tokenization import Tokenizer


def load_language_model(folder: str | Path) -> LanguageModeling:
    """Load the run folder of a language model on the CPU, to start another model from.

    Raises RunFolderError as `load` does, and UsageError where the run is of another task.
    """
    task = load(folder, device="cpu")
    if not isinstance(task, LanguageModeling):
        raise UsageError(
            f"{folder} holds a model for {task.kind.replace('_', ' ')}. Give a run of a language model to start from "
            "(nlp-lstm train word_lm, or char_lm)."
        )
    return task


def new_language_model(
    config: LanguageModelConfig,
    description: dict[str, Any],
    text: TextSource,
    train_tokenizer: Callable[[Iterable[str]], Tokenizer],
    smoke: Mapping[str, object],
) -> LanguageModeling:
    """Make the language model that a recipe's Config asks for, with a tokenizer of its own or of a pretrained run.

    `config` has the fields model, lowercase, html_line_breaks, backward, pretrained and cache_size; `description` is
    what config.json is to hold. `train_tokenizer` gets the `text` as the model reads it. What is as in the recipe's own
    Config, or in its settings for --smoke, was not asked for.

    Raises as `load_language_model` does, and UsageError where something is asked for that the pretrained run has
    decided otherwise, or a cache size is out of range.
    """
    if config.cache_size:  # fitted when all is trained, which is too late to refuse it
        CacheSettings(config.cache_size, weight=0.0, sharpness=1.0)
    pretrained = load_language_model(config.pretrained) if config.pretrained else None
    if pretrained is None:
        tokenizer = train_tokenizer(Preparation(config.lowercase, config.html_line_breaks).source(text))
    else:
        tokenizer = pretrained.tokenizer
    task = LanguageModeling.build(
        tokenizer,
        config.model,
        description,
        lowercase=config.lowercase,
        html_line_breaks=config.html_line_breaks,
        backward=config.backward,
        pretrained=pretrained,
    )
    if pretrained is not None:
        refuse_overruled(config, smoke, task, pretrained)
    return task


def new_classification(
    config: ClassifierConfig,
    description: dict[str, Any],
    train: LabelledSplit,
    train_tokenizer: Callable[[Iterable[str]], Tokenizer],
    smoke: Mapping[str, object],
) -> Classification:
    """Make the classifier that a recipe's Config asks for, with a tokenizer of its own or from language models.

    `config` has the fields model, lowercase, max_words, html_line_breaks, word_vectors, pretrained and
    pretrained_backward; all else, and what is raised, is as in `new_language_model`. A language model reads a text
    between the ends of two others, and so does a classifier that starts from one.
    """
    pretrained, backward = (
        load_language_model(folder) if folder else None for folder in (config.pretrained, config.pretrained_backward)
    )
    if pretrained is None:
        reading = Reading(config.lowercase, config.max_words, config.html_line_breaks)
        tokenizer = train_tokenizer(map(reading.prepare, train.texts))
    else:
        reading = Reading(pretrained.lowercase, config.max_words, pretrained.html_line_breaks, boundaries=True)
        tokenizer = pretrained.tokenizer
    task = Classification.build(
        tokenizer,
        label_names(train),
        config.model,
        description,
        reading=reading,
        word_vectors=config.word_vectors,
        language_model=pretrained,
        backward_language_model=backward,
    )
    if pretrained is not None:
        refuse_overruled(config, smoke, task, pretrained)
    return task


def resume_task(folder: str | Path, config: dict[str, Any]) -> Any:
    """Make the task of a run to go on with, as its config.json describes it; `config` is what that is to hold from now.

    The weights are random: those of the run are in its checkpoints. What it was started from, such as a pretrained run
    or a file of word vectors, is not needed again. Raises RunFolderError where the folder describes neither a language
    model nor a classifier.
    """
    path = Path(folder)
    described = read_config(path)
    if described["task"] == Classification.kind:
        return resume_classification(path, described, config)
    if described["task"] != LanguageModeling.kind:
        raise RunFolderError(f"{path} is no run of a language model or a classifier. Name another with --run.")
    tokenizer = read_tokenizer(path)
    with describing(path, "model"):
        settings = {name: value for name, value in described["model"].items() if name != "vocab_size"}
        options = build_options(LanguageModelOptions, settings)
        if options.num_layers > MOST_LAYERS:
            raise ValueError(f"num_layers is {options.num_layers}")
        return LanguageModeling.build(
            tokenizer,
            options,
            config,
            lowercase=described.get("lowercase") is True,
            html_line_breaks=described.get("html_line_breaks") is True,
            backward=described.get("backward") is True,
        )
