"""What a recipe's Config asks of a model that starts from a pretrained run, held against what that run has decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, asdict
from typing import Any, ClassVar, Protocol

from nlp_lstm.errors import UsageError, flag_value
from nlp_lstm.models import ClassifierOptions, LanguageModelOptions
from nlp_lstm.tasks._classification import Classification
from nlp_lstm.tasks._language_modeling import LanguageModeling

_OF_A_NEW_TOKENIZER = ("min_frequency", "byte_fallback", "pretokenized")


class _Config(Protocol):
    """A recipe's Config, a dataclass, as far as both kinds of model know it."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def lowercase(self) -> bool:
        """Whether all letters are made small."""

    @property
    def html_line_breaks(self) -> bool:
        """Whether the line break of HTML is read as the end of a line."""

    @property
    def pretrained(self) -> str | None:
        """Run folder of a language model to start from."""


class LanguageModelConfig(_Config, Protocol):
    """The fields of a recipe's Config that make a language model."""

    @property
    def model(self) -> LanguageModelOptions:
        """Of the model."""

    @property
    def backward(self) -> bool:
        """Whether text is read from its end."""

    @property
    def cache_size(self) -> int:
        """How many past tokens a continuous cache makes likelier again; 0 is none."""


class ClassifierConfig(_Config, Protocol):
    """The fields of a recipe's Config that make a classifier."""

    @property
    def model(self) -> ClassifierOptions:
        """Of the model."""

    @property
    def max_words(self) -> int | None:
        """How many words of a longer text are read."""

    @property
    def word_vectors(self) -> str | None:
        """File of word vectors to start from."""

    @property
    def pretrained_backward(self) -> str | None:
        """Run folder of a language model for the other direction."""


def refuse_overruled(
    config: LanguageModelConfig | ClassifierConfig,
    smoke: Mapping[str, object],
    task: LanguageModeling | Classification,
    pretrained: LanguageModeling,
) -> None:
    """Raise UsageError that names the settings which `config` asks for and `task`, from `pretrained`, has otherwise."""
    asked = _asked_for(config, smoke)
    reads = task if isinstance(task, LanguageModeling) else task.reading
    has = {
        **asdict(task.model.options),
        "tokenizer": task.tokenizer.name,
        "lowercase": reads.lowercase,
        "html_line_breaks": reads.html_line_breaks,
    }
    wrong = {name: f"it has {flag_value(has[name])}" for name in has if name in asked and asked[name] != has[name]}
    tokens = task.tokenizer.vocab_size
    if (asked.get("vocab_size") or tokens) < tokens:  # it says the most tokens to keep
        wrong["vocab_size"] = f"it has {tokens}"
    trained = pretrained.config.get("config")
    for name in _OF_A_NEW_TOKENIZER:
        if name in asked and not (isinstance(trained, dict) and trained.get(name) == asked[name]):
            wrong[name] = "its tokenizer is trained"
    if wrong:
        named = (f"--{name.replace('_', '-')} {flag_value(asked[name])} ({why})" for name, why in wrong.items())
        raise UsageError(f"With --pretrained these settings are those of its run: leave out {', '.join(named)}.")


def _asked_for(config: LanguageModelConfig | ClassifierConfig, smoke: Mapping[str, object]) -> dict[str, Any]:
    """Return the settings of recipe and model that are neither the recipe's own nor those of --smoke."""
    given, usual = ({**asdict(one), **asdict(one.model)} for one in (config, type(config)()))
    return {
        name: value
        for name, value in given.items()
        if value != usual[name] and not (name in smoke and value == smoke[name])
    }
