"""Translator: learn to turn texts into others from pairs of them, such as sentences in two languages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import nlp_lstm as nl


@dataclass(frozen=True)
class Config:
    """Settings of the recipe; those of data, model and training are shared with other recipes.

    Attributes:
        data: where the pairs come from; --source and --target say in which direction.
        tokenizer: what a token is: bpe, a sentencepiece model, word, character or byte.
        vocab_size: most tokens to keep, on each side where the vocabulary is not --shared.
        batch_tokens: source and target tokens of a batch, in place of --batch-size.
        subword_sampling: how often words are cut into other tokens than usual; for bpe and sentencepiece-unigram.
        model: the encoder-decoder.
        training: how it is trained.
    """

    data: nl.PairOptions = nl.PairOptions(data="phrases")
    tokenizer: Literal["bpe", "sentencepiece-unigram", "sentencepiece-bpe", "word", "character", "byte"] = "bpe"
    vocab_size: int | None = 1000
    batch_tokens: int | None = None
    subword_sampling: float = 0.0
    model: nl.EncoderDecoderOptions = nl.EncoderDecoderOptions(
        embedding_size=128, encoder_size=128, decoder_size=256, dropout=0.1
    )
    training: nl.TrainingOptions = nl.TrainingOptions(
        max_time="1m", batch_size=64, learning_rate=8e-3, average=0.99, warmup=0.05
    )


SMOKE = {"embedding_size": 8, "encoder_size": 8, "decoder_size": 16, "max_steps": 5, "validations": 1}


def main(config: Config) -> Path:
    """Train, evaluate and save; print the scores and a sample; return the run folder."""
    run = nl.start_run(__file__, config)
    data = nl.load_pairs(config.data)
    run.announce(data)
    if run.resumed:
        source, target = nl.read_tokenizers(run.folder, config.model.shared)
    else:
        source, target = nl.train_tokenizers(
            config.tokenizer, data.split("train"), config.vocab_size, config.model.shared
        )
    model = nl.EncoderDecoder(source.vocab_size, target.vocab_size, config.model)
    task = nl.Translation(model, source, target, run.config)
    objective = nl.TranslationObjective(task, data, run, config.batch_tokens, config.subword_sampling)
    result = nl.fit(objective, task, run, item=task.item)
    pairs = data.split("test" if "test" in data.splits else "valid")
    nl.report(run, task, data, pairs.name, task.score(pairs), result, task.sample(pairs))
    return run.folder


if __name__ == "__main__":
    raise SystemExit(nl.run_recipe(__file__))
