"""Character language model: learn to write like any text, one character at a time."""

from __future__ import annotations

from dataclasses import dataclass
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
        sequence_length: time steps that the gradient goes back through.
        cache_size: past tokens that a continuous cache makes likelier again (Grave et al. 2017); 0 is off.
        model: the language model.
        training: how it is trained.
    """

    data: nl.DataOptions = nl.DataOptions(data="pydoc")
    tokenizer: Literal["character", "byte", "bpe", "sentencepiece-unigram", "sentencepiece-bpe"] = "character"
    vocab_size: int | None = None
    byte_fallback: bool = False
    sequence_length: int = 64
    cache_size: int = 0
    model: nl.LanguageModelOptions = nl.LanguageModelOptions(embedding_size=64, hidden_size=512)
    training: nl.TrainingOptions = nl.TrainingOptions(max_time="2m", batch_size=32, learning_rate=8e-3, average=0.995)


SMOKE = {"hidden_size": 16, "embedding_size": 8, "sequence_length": 16, "max_steps": 5, "validations": 1}


def main(config: Config) -> Path:
    """Train, evaluate and save; print the scores and a sample; return the run folder."""
    run = nl.start_run(__file__, config)
    data = nl.load_text(config.data)
    run.announce(data)
    if run.resumed:
        tokenizer = nl.load_tokenizer(run.folder)
    else:
        options = {"byte_fallback": config.byte_fallback} if config.tokenizer == "character" else {}
        tokenizer = nl.train_tokenizer(config.tokenizer, data.split("train"), config.vocab_size, **options)
    texts = nl.tokenize_splits(data, tokenizer)
    task = nl.LanguageModeling(nl.LanguageModel(tokenizer.vocab_size, config.model), tokenizer, run.config)
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
