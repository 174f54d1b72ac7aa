"""Language modelling as a user holds it: a model and its tokenizer, that generate, converse and are scored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nlp_lstm import __version__
from nlp_lstm.data import DataOptions, TokenizedText, TokenStream, load_text, tokenize
from nlp_lstm.decoding import SamplingOptions
from nlp_lstm.errors import DataError, UsageError
from nlp_lstm.evaluation import LanguageModelScores, language_model_scores
from nlp_lstm.models import IGNORED, LanguageModel, ModelState
from nlp_lstm.tasks._conversation import Continuation, Conversation, read, start_ids
from nlp_lstm.tasks._folder import write_description, write_weights
from nlp_lstm.tokenization import Tokenizer

_EVALUATION_ROWS = 32
_EVALUATION_CONTEXT = 256
_EVALUATION_LENGTH = 128


class LanguageModeling:
    """A language model with its tokenizer: text in, text or scores out.

    `config` is what config.json of its run folder holds: recipe, options, data, seed and versions.
    """

    kind = "language_modeling"

    def __init__(self, model: LanguageModel, tokenizer: Tokenizer, config: dict[str, Any] | None = None) -> None:
        if model.vocab_size != tokenizer.vocab_size:
            raise UsageError(
                f"The model scores {model.vocab_size} tokens and the tokenizer has {tokenizer.vocab_size}; "
                f"they must come from one run."
            )
        self.model, self.tokenizer, self.config = model, tokenizer, dict(config or {})

    @property
    def parameter_count(self) -> int:
        """Number of trained weights, a tied table counted once."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def device(self) -> torch.device:
        """Where the model's weights are."""
        return next(self.model.parameters()).device

    def describe(self, folder: str | Path) -> None:
        """Write config.json and the tokenizer's files into `folder`: all of a run but its weights."""
        model = {"vocab_size": self.model.vocab_size, **asdict(self.model.options)}
        write_description(Path(folder), self.kind, self.tokenizer, self.config, model)

    def save_weights(self, folder: str | Path) -> None:
        """Write model.safetensors into `folder`, under its name only when it is whole."""
        write_weights(Path(folder) / "model.safetensors", self.model)

    def save(self, folder: str | Path) -> None:
        """Write config.json, model.safetensors and the tokenizer's files into `folder`; `nlp_lstm.load` reads them."""
        self.describe(folder)
        self.save_weights(folder)

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
        return Conversation(self.model, self.tokenizer)

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
        ids = Continuation(self.model, start_ids(self.tokenizer, prompt), samples).take(max_tokens, options, seed)
        return [read(self.tokenizer, row) for row in ids.tolist()]

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
        rows = _rows(len(text))
        policy = f"carried, {rows} rows" + (f" warmed up on {_EVALUATION_CONTEXT} tokens" if rows > 1 else "")
        return language_model_scores(
            losses,
            characters=text.characters,
            bytes=text.bytes,
            words=text.words,
            unknown=text.unknown,
            state_policy=policy,
            signature_parts={
                "tokenizer": f"{self.tokenizer.name}-{self.tokenizer.vocab_size}",
                "data": text.sha[:8],
                "version": __version__,
            },
        )

    def token_losses(self, text: TokenizedText) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Nats of every token, in the order of the text, in fp32."""
        rows = _rows(len(text))
        ids = np.concatenate([np.array(start_ids(self.tokenizer, "")[-1:], dtype=text.ids.dtype), text.ids])
        stream = TokenStream(ids, rows, _EVALUATION_LENGTH, context=_EVALUATION_CONTEXT)
        training = self.model.training
        self.model.eval()
        losses, scored = [], []
        state: ModelState | None = None
        with torch.inference_mode():
            for batch in stream:
                targets = batch.targets.to(self.device)
                nats, state = self.model.token_losses(batch.inputs.to(self.device), targets, state)
                losses.append(nats.cpu())
                scored.append(batch.targets != IGNORED)
        self.model.train(training)
        # Row by row is the order of the text.
        return torch.cat(losses, dim=1)[torch.cat(scored, dim=1)].numpy()


def _rows(tokens: int) -> int:
    return max(1, min(_EVALUATION_ROWS, tokens // (4 * _EVALUATION_CONTEXT)))
