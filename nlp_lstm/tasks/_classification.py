"""Text classification as a user holds it: a model, its tokenizer and its labels, that classify and explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from nlp_lstm import __version__
from nlp_lstm.data import LabelledOptions, LabelledSplit, load_labelled
from nlp_lstm.errors import UsageError
from nlp_lstm.evaluation import ClassificationScores, classification_scores, fit_temperature
from nlp_lstm.models import (
    Classifier,
    ClassifierOptions,
    autocast,
    load_word_vectors,
    probabilities,
)
from nlp_lstm.tasks._classification_labels import Targets, label_targets
from nlp_lstm.tasks._classification_pretrained import copy_weights, options_from
from nlp_lstm.tasks._classification_reading import Ids, Reading, length_batches, pad, sentence_ends
from nlp_lstm.tasks._explanation import Explanation, Method, explain
from nlp_lstm.tasks._folder import write_description
from nlp_lstm.tasks._language_modeling import LanguageModeling
from nlp_lstm.tasks._task import Task
from nlp_lstm.tokenization import Tokenizer

Table = npt.NDArray[np.float32]


class Classification(Task[Classifier]):
    """A text classifier with its tokenizer and the names of its labels: texts in, labels with probabilities out.

    `temperature` divides the logits so that the probabilities mean what they say; `calibrate` finds it. `reading` says
    how a text becomes ids. `config` is what config.json of its run folder holds.
    """

    kind = "classification"
    pipeline_tag = "text-classification"
    description = "A recurrent text classifier"
    command = "classify"
    item = "text"

    def __init__(
        self,
        model: Classifier,
        tokenizer: Tokenizer,
        labels: Sequence[str],
        config: dict[str, Any] | None = None,
        *,
        reading: Reading | None = None,
        temperature: float = 1.0,
    ) -> None:
        if model.vocab_size != tokenizer.vocab_size or model.number_of_labels != len(labels):
            raise UsageError(
                f"The model is for {model.vocab_size} tokens and {model.number_of_labels} labels; the tokenizer has "
                f"{tokenizer.vocab_size}, and there are {len(labels)} labels. They must come from one run."
            )
        self.model, self.tokenizer, self.labels = model, tokenizer, tuple(labels)
        self.config, self.reading, self.temperature = dict(config or {}), reading or Reading(), temperature

    @classmethod
    def build(
        cls,
        tokenizer: Tokenizer,
        labels: Sequence[str],
        options: ClassifierOptions,
        config: dict[str, Any] | None = None,
        *,
        reading: Reading | None = None,
        word_vectors: str | Path | None = None,
        language_model: LanguageModeling | None = None,
        backward_language_model: LanguageModeling | None = None,
    ) -> Classification:
        """Make a new model, from random weights, from `word_vectors` (a text file) or from a language model.

        A language model gives its embedding and its recurrent layers (Howard and Ruder 2018, "Universal Language Model
        Fine-tuning for Text Classification"); its sizes and its one direction then replace those of the `options`. One
        that reads backward gives the other direction, with an embedding of its own (`separate_directions`).
        Raises UsageError where a tokenizer is another or the two do not fit, DataError where a file of vectors is
        broken.
        """
        if language_model is not None and word_vectors is not None:
            raise UsageError("--word-vectors and --pretrained both fill the embedding. Leave one of them out.")
        if language_model is not None:
            options = options_from(tokenizer, options, language_model, backward_language_model)
        elif backward_language_model is not None:
            raise UsageError("--pretrained-backward is for a second direction. Give the first with --pretrained.")
        ends = sentence_ends(tokenizer) if options.hierarchical else ()
        model = Classifier(tokenizer.vocab_size, len(labels), options, ends)
        if language_model is not None:
            copy_weights(model, language_model, backward_language_model)
        elif word_vectors is not None:
            names = [tokenizer.id_to_token(number) for number in range(tokenizer.vocab_size)]
            load_word_vectors(model.embedding, names, word_vectors)
        return cls(model, tokenizer, labels, config, reading=reading)

    @property
    def several(self) -> bool:
        """Whether a text may have several labels at once."""
        return self.model.options.output == "sigmoid"

    def describe(self, folder: str | Path) -> None:
        """Write config.json and the tokenizer's files into `folder`: all of a run but its weights."""
        model = {
            "vocab_size": self.model.vocab_size,
            "labels": list(self.labels),
            "temperature": self.temperature,
            "sentence_ends": list(self.model.sentence_ends),
            **asdict(self.reading),
            **asdict(self.model.options),
        }
        write_description(Path(folder), self.kind, self.tokenizer, self.config, model)

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Return the ids of each text as the model reads them."""
        return [self.reading.ids(text, self.tokenizer) for text in texts]

    def targets(self, split: LabelledSplit) -> Targets:
        """Turn a split's labels into columns, (texts,), or with several labels a text a table of 0 and 1; int64."""
        return label_targets(split, self.labels, self.several)

    def logits(self, texts: Sequence[str]) -> Table:
        """Return the logits (texts, labels) float32, before the temperature."""
        return self.logits_of_ids(self.encode(texts))

    @torch.no_grad()
    def logits_of_ids(self, sequences: Sequence[Ids]) -> Table:
        """Return the logits (texts, labels) float32 of texts that are encoded already, with products in `precision`."""
        found = np.zeros((len(sequences), len(self.labels)), dtype=np.float32)
        training = self.model.training
        self.model.eval()
        with autocast(self.precision, self.device):
            for places in length_batches([len(ids) for ids in sequences]):
                rows, lengths = (torch.from_numpy(one).to(self.device) for one in pad([sequences[i] for i in places]))
                found[places] = self.model(rows, lengths).float().cpu().numpy()
        self.model.train(training)
        return found

    def probabilities(self, texts: Sequence[str]) -> Table:
        """Return the probabilities (texts, labels) float32, their columns in the order of `labels`."""
        return self._probabilities_of_ids(self.encode(texts))

    def _probabilities_of_ids(self, sequences: Sequence[Ids]) -> Table:
        return probabilities(torch.from_numpy(self.logits_of_ids(sequences)), self.several, self.temperature).numpy()

    def classify(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """Return the probability of each label for each text, the likeliest first.

        Where a text has one label they sum to 1; where it may have several, those of 0.5 and more are given.
        """
        return self.classify_and_count(texts)[0]

    def classify_and_count(self, texts: Sequence[str]) -> tuple[list[dict[str, float]], int]:
        """Return what `classify` does, and how many of the texts are longer than what is read of them."""
        whole = [self.reading.whole(text, self.tokenizer) for text in texts]
        tables = self._probabilities_of_ids([self.reading.framed(self.reading.cut(ids)) for ids in whole]).tolist()
        found = [
            dict(sorted(zip(self.labels, row, strict=True), key=lambda pair: pair[1], reverse=True)) for row in tables
        ]
        return found, sum(self.reading.is_cut(len(ids)) for ids in whole)

    def explain(self, text: str, method: Method = "integrated-gradients", label: str | None = None) -> Explanation:
        """Say how much each word of a text speaks for `label`, by default the likeliest; see `Explanation`.

        Raises UsageError where the model does not know the label.
        """
        column = int(self.probabilities([text])[0].argmax()) if label is None else self._column(label)
        return explain(
            self.model, self.reading.words(text, self.tokenizer), self.labels, column, self.temperature, method
        )

    def _column(self, label: str) -> int:
        if label not in self.labels:
            raise UsageError(f"The model has no label {label!r}. It knows {', '.join(self.labels)}.")
        return self.labels.index(label)

    def calibrate(self, split: LabelledSplit) -> float:
        """Fit the temperature on a split, which must not be the one that is scored later, and keep it.

        Where every text has its label there is nothing to fit by, as any lower temperature would do better: it is 1.
        """
        logits, targets = self.logits(split.texts), self.targets(split)
        right = (logits > 0) == (targets == 1) if self.several else logits.argmax(axis=1) == targets
        self.temperature = 1.0 if right.all() else fit_temperature(logits, targets)
        return self.temperature

    def evaluate(self, data: LabelledOptions | None = None, split: str = "test") -> ClassificationScores:
        """Score a split of `data`, or of the data that the run was trained on.

        Raises DataError where the split is missing or has a label that the model does not know.
        """
        return self.score(load_labelled(data or self.own_data(LabelledOptions)).split(split))

    def outputs(
        self, data: LabelledOptions | None = None, split: str = "test"
    ) -> tuple[list[str], Table, list[tuple[str, ...]]]:
        """Return the texts of a split, their probabilities (texts, labels), and their true labels."""
        found = load_labelled(data or self.own_data(LabelledOptions)).split(split)
        return found.texts, self.probabilities(found.texts), found.labels

    def score(self, split: LabelledSplit) -> ClassificationScores:
        """Score labelled texts."""
        self.targets(split)  # names the place of a label that is unknown
        return classification_scores(
            self.probabilities(split.texts),
            split.labels,
            self.labels,
            multi=self.several,
            ordered=self.model.options.output == "ordinal",
            texts=split.texts,
            signature_parts={
                "tokenizer": f"{self.tokenizer.name}-{self.tokenizer.vocab_size}",
                "data": split.sha[:8],
                "version": __version__,
            },
        )
