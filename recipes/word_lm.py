"""Word language model: predict the next word, with a vocabulary of tens of thousands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nlp_lstm as nl


@dataclass(frozen=True)
class Config:
    """Settings of the recipe; those of data, model and training are shared with other recipes.

    Attributes:
        data: where the text comes from.
        vocab_size: most words to keep, the most frequent first; the others become <unk>.
        min_frequency: how often a word must occur in the training text to be kept.
        pretokenized: the text is split into words by spaces already, and <unk> in it is the unknown word.
        sequence_length: time steps that the gradient goes back through.
        cache_size: past words that a continuous cache makes likelier again (Grave et al. 2017); 0 is off.
        model: the language model.
        training: how it is trained.
    """

    data: nl.DataOptions = nl.DataOptions(data="pydoc")
    vocab_size: int | None = 50_000
    min_frequency: int = 2
    pretokenized: bool = False
    sequence_length: int = 35
    cache_size: int = 0
    model: nl.LanguageModelOptions = nl.LanguageModelOptions(
        embedding_size=200, hidden_size=200, num_layers=2, tied=True, input_dropout=0.2, output_dropout=0.2
    )
    training: nl.TrainingOptions = nl.TrainingOptions(max_time="3m", batch_size=20, learning_rate=3e-3)


SMOKE = {"hidden_size": 16, "embedding_size": 8, "sequence_length": 8, "max_steps": 5, "validations": 1}


def main(config: Config) -> Path:
    """Train, evaluate and save; print the scores and a sample; return the run folder."""
    run = nl.start_run(__file__, config)
    data = nl.load_text(config.data)
    run.announce(data)
    options = {"min_frequency": config.min_frequency, "pretokenized": config.pretokenized}
    if run.resumed:
        tokenizer = nl.load_tokenizer(run.folder)
    else:
        tokenizer = nl.train_tokenizer("word", data.split("train"), config.vocab_size, **options)
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
