"""Language modelling as a user holds it: a model and its tokenizer, that generate, converse and are scored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nlp_lstm import __version__
from nlp_lstm.data import DataOptions, TokenizedText, load_text, tokenize
from nlp_lstm.decoding import SamplingOptions
from nlp_lstm.errors import DataError, UsageError
from nlp_lstm.evaluation import LanguageModelScores, language_model_scores
from nlp_lstm.models import (
    CachedLanguageModel,
    CacheSettings,
    LanguageModel,
    fit_weight,
)
from nlp_lstm.tasks._conversation import Continuation, Conversation, read, start_ids
from nlp_lstm.tasks._folder import write_description
from nlp_lstm.tasks._language_model_reading import CONTEXT, read_text, rows_of
from nlp_lstm.tasks._task import Task
from nlp_lstm.tokenization import Tokenizer

_SHARPNESS = [0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2]
_SAMPLE_TOKENS = {"word": 60, "character": 300, "byte": 300}


class LanguageModeling(Task[LanguageModel]):
    """A language model with its tokenizer: text in, text or scores out.

    `config` is what config.json of its run folder holds: recipe, options, data, seed and versions.
    """

    kind = "language_modeling"
    pipeline_tag = "text-generation"
    description = "A recurrent language model"
    command = "generate"
    item = "token"

    def __init__(self, model: LanguageModel, tokenizer: Tokenizer, config: dict[str, Any] | None = None) -> None:
        if model.vocab_size != tokenizer.vocab_size:
            raise UsageError(
                f"The model scores {model.vocab_size} tokens and the tokenizer has {tokenizer.vocab_size}; "
                f"they must come from one run."
            )
        self.model, self.tokenizer, self.config = model, tokenizer, dict(config or {})

    @property
    def cache(self) -> CacheSettings | None:
        """The continuous cache that generation and scores use, kept in config.json; None without."""
        return CacheSettings(**self.config["cache"]) if self.config.get("cache") else None

    @cache.setter
    def cache(self, settings: CacheSettings | None) -> None:
        self.config["cache"] = None if settings is None else asdict(settings)

    @property
    def predictor(self) -> LanguageModel | CachedLanguageModel:
        """The model as it predicts: with its cache, where it has one."""
        return self.model if self.cache is None else CachedLanguageModel(self.model, self.cache)

    def describe(self, folder: str | Path) -> None:
        """Write config.json and the tokenizer's files into `folder`: all of a run but its weights."""
        model = {"vocab_size": self.model.vocab_size, **asdict(self.model.options)}
        write_description(Path(folder), self.kind, self.tokenizer, self.config, model)

    def stream(
        self,
        prompt: str = "",
        *,
        max_tokens: int | None = None,
        options: SamplingOptions | None = None,
        seed: int | None = None,
    ) -> Iterator[str]:
        """Yield the continuation of `prompt` piece by piece, as it is sampled; without `max_tokens` it never ends.

        A piece is whole characters, never part of one. Memory and the time of a token stay constant. Equal seeds give
        equal texts.
        """
        return self.conversation().stream(prompt, max_tokens=max_tokens, options=options, seed=seed)

    def conversation(self) -> Conversation:
        """Start a text that is continued in turns: what stands there already is carried in the recurrent state."""
        return Conversation(self.predictor, self.tokenizer)

    def generate(
        self,
        prompt: str = "",
        *,
        max_tokens: int = 200,
        samples: int = 1,
        options: SamplingOptions | None = None,
        seed: int | None = None,
    ) -> list[str]:
        """Give `samples` continuations of `prompt`, sampled side by side in one batch, `max_tokens` tokens each."""
        if max_tokens < 1 or samples < 1:
            raise UsageError(f"--max-tokens {max_tokens} and --samples {samples} must both be at least 1.")
        ids = Continuation(self.predictor, start_ids(self.tokenizer, prompt), samples).take(max_tokens, options, seed)
        return [read(self.tokenizer, row) for row in ids.tolist()]

    def sample(self, seed: int) -> str:
        """Give a text to show what the model writes: 60 words, 300 characters, or 120 tokens of another kind."""
        return self.generate(max_tokens=_SAMPLE_TOKENS.get(self.tokenizer.name, 120), seed=seed)[0].strip("\n")

    def evaluate(self, data: DataOptions | None = None, split: str = "test") -> LanguageModelScores:
        """Score a split of `data`, or of the data that the run was trained on, in nats, perplexity and bits.

        The text is read in up to 32 rows side by side; each carries its state from end to end and starts on the 256
        tokens before it, which are read and not scored. The text itself starts after a line end.
        Raises DataError where the split is missing.
        """
        if data is None:
            data = self._own_data()
        return self.score(tokenize(load_text(data).split(split), self.tokenizer))

    def _own_data(self) -> DataOptions:
        try:
            return DataOptions(**self.config["data"])
        except (KeyError, TypeError):
            raise DataError("The run does not say what data it was trained on. Name some with --data.") from None

    def score(self, text: TokenizedText) -> LanguageModelScores:
        """Score a tokenized text; see `evaluate`."""
        losses = self.token_losses(text)
        rows = rows_of(len(text))
        policy = f"carried, {rows} rows" + (f" warmed up on {self._context} tokens" if rows > 1 else "")
        parts = {"tokenizer": f"{self.tokenizer.name}-{self.tokenizer.vocab_size}"}
        if self.cache is not None:
            parts["cache"] = f"{self.cache.size},{self.cache.weight:g},{self.cache.sharpness:g}"
        return language_model_scores(
            losses,
            characters=text.characters,
            bytes=text.bytes,
            words=text.words,
            unknown=text.unknown,
            state_policy=policy,
            signature_parts={**parts, "data": text.sha[:8], "version": __version__},
        )

    def token_losses(self, text: TokenizedText) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Nats of every token, in the order of the text, in fp32."""
        predictor = self.predictor
        losses: Tensor
        (losses,) = read_text(predictor, self.tokenizer, text, self._context, predictor.token_losses)
        return losses.numpy()

    def fit_cache(self, text: TokenizedText, size: int) -> None:
        """Give the task a cache of `size` tokens, with the weight and the sharpness that suit `text` best.

        `text` should be the validation split. The numbers are kept in `config`, and so in config.json.
        """
        wide = CachedLanguageModel(self.model, CacheSettings(size, 0.0, 1.0))

        def shares(ids: Tensor, targets: Tensor, state: Any) -> tuple[Tensor, Any]:
            nats, found, state = wide.target_shares(ids, targets, _SHARPNESS, state)
            return torch.cat([nats.unsqueeze(0), found]), state

        nats, *found = read_text(wide, self.tokenizer, text, max(CONTEXT, size), shares)
        fitted = [(fit_weight(nats, one), sharpness) for one, sharpness in zip(found, _SHARPNESS, strict=True)]
        (weight, _), sharpness = min(fitted, key=lambda one: one[0][1])
        self.cache = CacheSettings(size, weight, sharpness)

    @property
    def _context(self) -> int:
        return CONTEXT if self.cache is None else max(CONTEXT, self.cache.size)
