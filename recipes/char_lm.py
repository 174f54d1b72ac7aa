"""Character language model: learn to write like any text, one character at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import nlp_lstm as nl


@dataclass(frozen=True)
class Config:
    """Settings of the recipe; those of data, model and training are shared with other recipes.

    Attributes:
        data: where the text comes from.
        tokenizer: what a token is: character, byte, bpe, or a sentencepiece model.
        vocab_size: most tokens to keep; by default all characters, or 8,000 pieces.
        byte_fallback: write characters that training never saw as bytes, which loses nothing and costs 256 more tokens.
        lowercase: make all letters small, in training and in whatever the model reads later.
        html_line_breaks: read the line break of HTML, <br />, as the end of a line, there as well.
        backward: read text from its end to its beginning, for the second direction of a classifier.
        pretrained: run folder of a language model to go on from, with its tokenizer, sizes, weights and reading: train
            on text of many kinds first and on that of the task then. What else is asked of these is refused.
        sequence_length: time steps that the gradient goes back through.
        cache_size: past tokens that a continuous cache makes likelier again (Grave et al. 2017); 0 is off.
        model: the language model.
        training: how it is trained.
    """

    data: nl.DataOptions = nl.DataOptions(data="pydoc")
    tokenizer: Literal["character", "byte", "bpe", "sentencepiece-unigram", "sentencepiece-bpe"] = "character"
    vocab_size: int | None = None
    byte_fallback: bool = False
    lowercase: bool = False
    html_line_breaks: bool = False
    backward: bool = False
    pretrained: str | None = None
    sequence_length: int = 64
    cache_size: int = 0
    model: nl.LanguageModelOptions = nl.LanguageModelOptions(embedding_size=64, hidden_size=512)
    training: nl.TrainingOptions = nl.TrainingOptions(max_time="2m", batch_size=32, learning_rate=8e-3, average=0.995)


SMOKE = {"hidden_size": 16, "embedding_size": 8, "sequence_length": 16, "max_steps": 5, "validations": 1}


def train_tokenizer(config: Config, text: Iterable[str]) -> nl.Tokenizer:
    """Choose the tokens to keep."""
    options = {"byte_fallback": config.byte_fallback} if config.tokenizer == "character" else {}
    return nl.train_tokenizer(config.tokenizer, text, config.vocab_size, **options)


def main(config: Config) -> Path:
    """Train, evaluate and save; print the scores and a sample; return the run folder."""
    run = nl.start_run(__file__, config)
    data = nl.load_text(config.data)
    run.announce(data)
    if run.resumed:
        task = nl.resume_task(run.folder, run.config)
    else:
        task = nl.new_language_model(config, run.config, data.split("train"), partial(train_tokenizer, config), SMOKE)
    texts = task.tokenize_splits(data)
    objective = nl.LanguageModelObjective(task.model, texts["train"], texts["valid"], run, config.sequence_length)
    result = nl.fit(objective, task, run)
    if config.cache_size:
        task.fit_cache(texts["valid"], config.cache_size)
        task.describe(run.folder)
    split = "test" if "test" in texts else "valid"
    nl.report(run, task, data, split, task.score(texts[split]), result, task.sample(config.training.seed))
    return run.folder


if __name__ == "__main__":
    raise SystemExit(nl.run_recipe(__file__))
