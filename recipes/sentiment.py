"""Text classifier: tell the sentiment, or any other label, of a text, and say how sure that is."""

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
        data: where the labelled texts come from.
        tokenizer: what a token is: word, character, byte, bpe, or a sentencepiece model.
        vocab_size: most tokens to keep, the most frequent first; by default all words that are frequent enough.
        min_frequency: how often a word must occur in the training texts to be kept.
        lowercase: make all letters small; with pretrained, as the language model does.
        max_words: of a longer text read the first half of so many words and the last half; by default all of it.
        crop: in training read, of a longer text, max_words in a row at a random place, another each time; validation
            and use read its first and last half of so many words, as ever.
        html_line_breaks: read the line break of HTML, <br />, as the end of a line; with pretrained, as the language
            model does.
        word_dropout: share of the words that training reads as unknown, others each time, so that what stands for
            unknown words is learned.
        label_smoothing: share of the probability to learn that is spread evenly over the labels.
        adversarial: learn from texts whose embedded words were changed a little in the direction that costs most
            (Miyato et al. 2017), and from these alone: by such a share of a word vector's length, over a text's words
            together, as 0.2 or, with pretrained, 0.06. A step then takes nearly twice as long.
        class_weights: let a label cost the more the rarer it is.
        word_vectors: text file of word vectors (GloVe, fastText) of embedding_size numbers to start from.
        pretrained: run folder of a language model (char_lm, word_lm) to start from, with its tokenizer and its sizes;
            one direction, and with pretrained_backward two. What else is asked of these is refused. Layers further down
            learn more slowly by themselves; the rest of Howard and Ruder 2018 is --schedule linear --warmup 0.1
            --momentum 0.7 --pooling last+maximum+mean.
        pretrained_backward: run folder of a language model that was trained with --backward true, of the same tokenizer
            and sizes, for the other direction.
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
    crop: bool = False
    html_line_breaks: bool = False
    word_dropout: float = 0.0
    label_smoothing: float = 0.0
    adversarial: float = 0.0
    class_weights: bool = False
    word_vectors: str | None = None
    pretrained: str | None = None
    pretrained_backward: str | None = None
    unfreeze_epochs: float = 1.0
    model: nl.ClassifierOptions = nl.ClassifierOptions(embedding_size=64, hidden_size=64, output_dropout=0.2)
    training: nl.TrainingOptions = nl.TrainingOptions(max_epochs=12, batch_size=64, learning_rate=5e-3, validations=12)


SMOKE = {"hidden_size": 8, "embedding_size": 8, "max_steps": 5, "validations": 1}


def train_tokenizer(config: Config, texts: Iterable[str]) -> nl.Tokenizer:
    """Choose the tokens to keep."""
    options = {"min_frequency": config.min_frequency} if config.tokenizer == "word" else {}
    return nl.train_tokenizer(config.tokenizer, texts, config.vocab_size, **options)


def main(config: Config) -> Path:
    """Train, calibrate, evaluate and save; print scores, baselines and the worst errors; return the run folder."""
    run = nl.start_run(__file__, config)
    data = nl.load_labelled(config.data)
    run.announce(data)
    train, valid = data.split("train"), data.split("valid")
    if run.resumed:
        task = nl.resume_task(run.folder, run.config)
    else:
        task = nl.new_classification(config, run.config, train, partial(train_tokenizer, config), SMOKE)
    objective = nl.ClassificationObjective(
        task,
        train,
        valid,
        run,
        class_weights=config.class_weights,
        unfreeze_epochs=config.unfreeze_epochs if config.pretrained else None,
        word_dropout=config.word_dropout,
        crop=config.crop,
        label_smoothing=config.label_smoothing,
        adversarial=config.adversarial,
    )
    result = nl.fit(objective, task, run, item=task.item, describe=nl.describe_error)
    temperature = task.calibrate(valid)
    task.describe(run.folder)
    test = data.splits.get("test", valid)
    scores = task.score(test)
    lines = [
        *nl.baselines(train, test, task.labels, task.several),
        f"temperature {temperature:.3f}, fitted on the validation texts",
        *filter(None, [task.reading.note(), objective.frozen_note(result.steps)]),
        "",
        scores.details(),
    ]
    nl.report(run, task, data, test.name, scores, result, "\n".join(lines))
    return run.folder


if __name__ == "__main__":
    raise SystemExit(nl.run_recipe(__file__))
