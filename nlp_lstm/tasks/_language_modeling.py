"""Language modelling as a user holds it: a model and its tokenizer, that generate, converse and are scored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nlp_lstm import __version__
from nlp_lstm.data import DataOptions, TextData, TextSource, TokenizedText, load_text, tokenize, tokenize_splits
from nlp_lstm.decoding import SamplingOptions
from nlp_lstm.errors import UsageError
from nlp_lstm.evaluation import LanguageModelScores, language_model_scores
from nlp_lstm.models import CachedLanguageModel, CacheSettings, LanguageModel, LanguageModelOptions, fit_weight
from nlp_lstm.tasks._conversation import Continuation, Conversation, read, start_ids
from nlp_lstm.tasks._folder import write_description
from nlp_lstm.tasks._language_model_reading import CONTEXT, read_text, rows_of
from nlp_lstm.tasks._language_model_text import Preparation, back_to_front
from nlp_lstm.tasks._task import Task
from nlp_lstm.tokenization import Tokenizer

_SHARPNESS = [0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2]
_REGULARISATION = ("input_dropout", "hidden_dropout", "output_dropout", "embedding_dropout", "weight_dropout")
_SAMPLE_TOKENS = {"word": 60, "character": 300, "byte": 300}


class LanguageModeling(Task[LanguageModel]):
    """A language model with its tokenizer: text in, text or scores out.

    `config` is what config.json of its run folder holds: recipe, options, data, seed and versions.
    """

    kind = "language_modeling"
    pipeline_tag = "text-generation"
    description = "A recurrent language model"
    item = "token"

    def __init__(self, model: LanguageModel, tokenizer: Tokenizer, config: dict[str, Any] | None = None) -> None:
        if model.vocab_size != tokenizer.vocab_size:
            raise UsageError(
                f"The model scores {model.vocab_size} tokens and the tokenizer has {tokenizer.vocab_size}; "
                f"they must come from one run."
            )
        self.model, self.tokenizer, self.config = model, tokenizer, dict(config or {})

    @classmethod
    def build(
        cls,
        tokenizer: Tokenizer,
        options: LanguageModelOptions,
        config: dict[str, Any] | None = None,
        *,
        lowercase: bool = False,
        html_line_breaks: bool = False,
        backward: bool = False,
        pretrained: LanguageModeling | None = None,
    ) -> LanguageModeling:
        """Make a new model, from random weights or from those of another run, as far as it has learned.

        With `lowercase` all text is made small before it is read, with `html_line_breaks` its `<br />` become ends of
        lines; with `backward` it is read from its end to its beginning, so that each token is predicted from those
        after it. What is `pretrained` gives its sizes, its weights and the way that it reads; of the `options` the
        dropouts alone then count. Raises UsageError where it has another tokenizer, or reads otherwise than is asked
        for.
        """
        reads = {"lowercase": lowercase, "html_line_breaks": html_line_breaks, "backward": backward}
        if pretrained is not None:
            if pretrained.tokenizer.fingerprint() != tokenizer.fingerprint():
                raise UsageError("The tokenizer is not that of the pretrained run. Take its own.")
            for name, asked in reads.items():
                if asked and not getattr(pretrained, name):
                    flag = f"--{name.replace('_', '-')}"
                    raise UsageError(f"{flag} true: the pretrained run was trained without. Leave it out.")
            reads = {name: getattr(pretrained, name) for name in reads}
            options = replace(pretrained.model.options, **{name: getattr(options, name) for name in _REGULARISATION})
        model = LanguageModel(tokenizer.vocab_size, options)
        if pretrained is not None:
            model.load_state_dict(pretrained.model.state_dict())
        return cls(model, tokenizer, {**(config or {}), **reads})

    @property
    def command(self) -> str:  # type: ignore[override]
        """The subcommand of nlp-lstm that uses a run; what reads backward is scored, and writes nothing."""
        return "evaluate" if self.backward else "generate"

    @property
    def lowercase(self) -> bool:
        """Whether all text is made small before it is read, kept in config.json."""
        return self.config.get("lowercase") is True

    @property
    def html_line_breaks(self) -> bool:
        """Whether the line break of HTML is read as the end of a line, kept in config.json."""
        return self.config.get("html_line_breaks") is True

    @property
    def preparation(self) -> Preparation:
        """What becomes of a text before its tokens are made."""
        return Preparation(self.lowercase, self.html_line_breaks)

    @property
    def backward(self) -> bool:
        """Whether text is read from its end to its beginning, kept in config.json."""
        return self.config.get("backward") is True

    def prepare(self, source: TextSource) -> TextSource:
        """Return a text as the tokenizer gets it."""
        return self.preparation.source(source)

    def tokenize(self, source: TextSource) -> TokenizedText:
        """Return a text as the model reads it; raises as `nlp_lstm.tokenize` does."""
        text = tokenize(self.prepare(source), self.tokenizer)
        return back_to_front(text) if self.backward else text

    def tokenize_splits(self, data: TextData) -> dict[str, TokenizedText]:
        """Return all splits as the model reads them; raises as `nlp_lstm.tokenize_splits` does.

        Raises UsageError where a streamed text is to be read backward.
        """
        texts = tokenize_splits(self.preparation.splits(data), self.tokenizer)
        return {name: back_to_front(text) if self.backward else text for name, text in texts.items()}

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
        self._require_forward()
        return Conversation(self.predictor, self.tokenizer, self.preparation.text)

    def _require_forward(self) -> None:
        if self.backward:
            raise UsageError(
                "This model reads backward, from the end of a text to its beginning, and so it continues none. It is "
                "there to start a classifier from: nlp-lstm train sentiment --pretrained-backward."
            )

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
        self._require_forward()
        start = start_ids(self.tokenizer, self.preparation.text(prompt))
        ids = Continuation(self.predictor, start, samples).take(max_tokens, options, seed)
        return [read(self.tokenizer, row) for row in ids.tolist()]

    def sample(self, seed: int) -> str:
        """Give a text to show what the model writes: 60 words, 300 characters, or 120 tokens of another kind."""
        tokens = _SAMPLE_TOKENS.get(self.tokenizer.name, 120)
        ids = Continuation(self.predictor, start_ids(self.tokenizer, "")).take(tokens, seed=seed)[0].tolist()
        return read(self.tokenizer, ids[::-1] if self.backward else ids).strip("\n")

    def evaluate(self, data: DataOptions | None = None, split: str = "test") -> LanguageModelScores:
        """Score a split of `data`, or of the data that the run was trained on, in nats, perplexity and bits.

        The text is read in up to 32 rows side by side; each carries its state from end to end and starts on the 256
        tokens before it, which are read and not scored. The text itself starts after a line end.
        Raises DataError where the split is missing.
        """
        return self.score(self.tokenize(load_text(data or self.own_data(DataOptions)).split(split)))

    def score(self, text: TokenizedText) -> LanguageModelScores:
        """Score a tokenized text; see `evaluate`."""
        losses = self.token_losses(text)
        rows = rows_of(len(text))
        policy = f"carried, {rows} rows" + (f" warmed up on {self._context} tokens" if rows > 1 else "")
        parts = {"tokenizer": f"{self.tokenizer.name}-{self.tokenizer.vocab_size}"}
        parts |= {name: "true" for name in ("lowercase", "html_line_breaks", "backward") if getattr(self, name)}
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
