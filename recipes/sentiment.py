"""Text classifier: tell the sentiment, or any other label, of a text, and say how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import nlp_lstm as nl


@dataclass(frozen=True)
class Config:
    """Settings of the recipe; those of data, model and training are shared with other recipes.

    Attributes:
        data: where the labelled texts come from.
        tokenizer: what a token is: word, character, byte, bpe, or a sentencepiece model.
        vocab_size: most tokens to keep, the most frequent first; by default all words that are frequent enough.
        min_frequency: how often a word must occur in the training texts to be kept.
        lowercase: make all letters small.
        max_words: of a longer text read the first half of so many words and the last half; by default all of it.
        class_weights: let a label cost the more the rarer it is.
        word_vectors: text file of word vectors (GloVe, fastText) of embedding_size numbers to start from.
        pretrained: run folder of a language model (char_lm, word_lm) to start from, with its tokenizer and its sizes.
        unfreeze_epochs: with pretrained, train the output first and one layer more whenever so many epochs are over.
        model: the classifier.
        training: how it is trained.
    """

    data: nl.LabelledOptions = nl.LabelledOptions(data="reviews")
    tokenizer: Literal["word", "character", "byte", "bpe", "sentencepiece-unigram", "sentencepiece-bpe"] = "word"
    vocab_size: int | None = None
    min_frequency: int = 1
    lowercase: bool = True
    max_words: int | None = None
    class_weights: bool = False
    word_vectors: str | None = None
    pretrained: str | None = None
    unfreeze_epochs: float = 1.0
    model: nl.ClassifierOptions = nl.ClassifierOptions(embedding_size=64, hidden_size=64, output_dropout=0.2)
    training: nl.TrainingOptions = nl.TrainingOptions(max_epochs=12, batch_size=64, learning_rate=5e-3, validations=12)


SMOKE = {"hidden_size": 8, "embedding_size": 8, "max_steps": 5, "validations": 1}


def main(config: Config) -> Path:
    """Train, calibrate, evaluate and save; print scores, baselines and the worst errors; return the run folder."""
    run = nl.start_run(__file__, config)
    data = nl.load_labelled(config.data)
    run.announce(data)
    train, valid = data.split("train"), data.split("valid")
    reading = nl.Reading(config.lowercase, config.max_words)
    language_model = nl.load(config.pretrained, device="cpu") if config.pretrained else None
    if run.resumed:
        tokenizer = nl.load_tokenizer(run.folder)
    elif language_model is not None:
        tokenizer = language_model.tokenizer
    else:
        options = {"min_frequency": config.min_frequency} if config.tokenizer == "word" else {}
        texts = map(reading.prepare, train.texts)
        tokenizer = nl.train_tokenizer(config.tokenizer, texts, config.vocab_size, **options)
    task = nl.Classification.build(
        tokenizer,
        nl.label_names(train),
        config.model,
        run.config,
        reading=reading,
        word_vectors=config.word_vectors,
        language_model=language_model,
    )
    objective = nl.ClassificationObjective(
        task,
        train,
        valid,
        run,
        class_weights=config.class_weights,
        unfreeze_epochs=config.unfreeze_epochs if config.pretrained else None,
    )
    result = nl.fit(objective, task, run, item=task.item, describe=nl.describe_error)
    temperature = task.calibrate(valid)
    task.describe(run.folder)
    test = data.splits.get("test", valid)
    scores = task.score(test)
    lines = [
        *nl.baselines(train, test, task.labels, task.several),
        f"temperature {temperature:.3f}, fitted on the validation texts",
        *filter(None, [reading.note()]),
        "",
        scores.details(),
    ]
    nl.report(run, task, data, test.name, scores, result, "\n".join(lines))
    return run.folder


if __name__ == "__main__":
    raise SystemExit(nl.run_recipe(__file__))
