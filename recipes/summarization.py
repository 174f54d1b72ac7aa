"""Summarizer: learn to sum up texts from pairs of a text and its summary, and to copy what it has never seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import nlp_lstm as nl


@dataclass(frozen=True)
class Config:
    """Settings of the recipe; those of data, model and training are shared with other recipes.

    Attributes:
        data: where the texts and summaries come from; --source and --target name their columns.
        tokenizer: what a token is: bpe, a sentencepiece model, word, character or byte; all but word can copy any word.
        vocab_size: most tokens to keep.
        source_words: how many words of a text are read, from its beginning.
        batch_tokens: source and target tokens of a batch, in place of --batch-size.
        subword_sampling: how often words are cut into other tokens than usual; for bpe and sentencepiece-unigram.
        model: the encoder-decoder.
        training: how it is trained.
    """

    data: nl.PairOptions = nl.PairOptions(data="reports", max_words=0, max_ratio=0.0)
    tokenizer: Literal["bpe", "sentencepiece-unigram", "sentencepiece-bpe", "word", "character", "byte"] = "bpe"
    vocab_size: int | None = 1000
    source_words: int = 400
    batch_tokens: int | None = None
    subword_sampling: float = 0.0
    model: nl.EncoderDecoderOptions = nl.EncoderDecoderOptions(
        embedding_size=128, encoder_size=128, decoder_size=256, dropout=0.1, copy=True
    )
    training: nl.TrainingOptions = nl.TrainingOptions(
        max_time="1m", batch_size=64, learning_rate=8e-3, average=0.99, warmup=0.05
    )


SMOKE = {"embedding_size": 8, "encoder_size": 8, "decoder_size": 16, "max_steps": 5, "validations": 1}


def main(config: Config) -> Path:
    """Train, evaluate and save; print the scores, those of the first sentence and a sample; return the run folder."""
    run = nl.start_run(__file__, config)
    data = nl.shorten_sources(nl.load_pairs(config.data), config.source_words)
    run.announce(data)
    train = data.split("train")
    if run.resumed:
        source, target = nl.read_tokenizers(run.folder, config.model.shared)
    else:
        source, target = nl.train_tokenizers(config.tokenizer, train, config.vocab_size, config.model.shared)
    model = nl.EncoderDecoder(source.vocab_size, target.vocab_size, config.model)
    task = nl.Summarization(model, source, target, run.config, source_words=config.source_words)
    objective = nl.TranslationObjective(task, data, run, config.batch_tokens, config.subword_sampling)
    result = nl.fit(objective, task, run, item=task.item)
    pairs = data.split("test" if "test" in data.splits else "valid")
    nl.report(run, task, data, pairs.name, task.score(pairs, train.targets), result, task.sample(pairs))
    return run.folder


if __name__ == "__main__":
    raise SystemExit(nl.run_recipe(__file__))
