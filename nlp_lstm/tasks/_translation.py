"""Translation as a user holds it: a model and its tokenizers, that translate and are scored."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Self

from nlp_lstm.data import PairOptions, PairSplit, load_pairs
from nlp_lstm.decoding import BeamOptions, Hypothesis, attention_between_words
from nlp_lstm.errors import DataError, UsageError
from nlp_lstm.evaluation import TranslationScores, translation_scores
from nlp_lstm.models import EncoderDecoder, has_fast_bf16
from nlp_lstm.tasks._folder import FORMAT_VERSION, write_description, write_json
from nlp_lstm.tasks._task import Task
from nlp_lstm.tasks._translated import Translated, joined
from nlp_lstm.tasks._translation_search import Search, Translator
from nlp_lstm.tasks._translation_text import (
    Words,
    clean,
    cut_to_fit,
    put_unknown_back,
    token_texts,
    words_of_source,
    words_of_target,
)
from nlp_lstm.tasks._translation_tokenizers import save_tokenizers
from nlp_lstm.tokenization import Tokenizer

SHORTEST_LIMIT = 100


class Translation(Task[EncoderDecoder]):
    """A translator: an encoder-decoder with the tokenizers of source and target.

    `config` is what config.json of its run folder holds. A text of more than `longest_source` source tokens is
    translated in parts; by default the limit is 100, and the recipe gives the longest text of training.
    """

    kind = "translation"
    pipeline_tag = "translation"
    description = "A recurrent translator"
    command = "translate"
    item = "target token"
    noun: ClassVar[str] = "translation"
    """What the model writes, in the user's words."""

    def __init__(
        self,
        model: EncoderDecoder,
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer,
        config: dict[str, Any] | None = None,
        longest_source: int = SHORTEST_LIMIT,
    ) -> None:
        sizes = (source_tokenizer.vocab_size, target_tokenizer.vocab_size)
        if (model.source_vocab_size, model.target_vocab_size) != sizes:
            raise UsageError(
                f"The model has vocabularies of {model.source_vocab_size} and {model.target_vocab_size} ids and the "
                f"tokenizers of {sizes[0]} and {sizes[1]}; they must come from one run."
            )
        self.model, self.config = model, dict(config or {})
        self.source_tokenizer, self.target_tokenizer = source_tokenizer, target_tokenizer
        self.longest_source = max(SHORTEST_LIMIT, longest_source)
        self.others: tuple[Translation, ...] = ()

    def describe(self, folder: str | Path) -> None:
        """Write config.json and the tokenizers' files into `folder`: all of a run but its weights.

        One tokenizer for both sides is written into the folder itself, two into its folders `source` and `target`.
        """
        folder = Path(folder)
        model = {**self._settings(), **asdict(self.model.options)}
        if self.model.options.shared:
            write_description(folder, self.kind, self.source_tokenizer, self.config, model)
            return
        save_tokenizers(folder, self.source_tokenizer, self.target_tokenizer)
        config = {**self.config, "format_version": FORMAT_VERSION, "task": self.kind, "model": model}
        write_json(folder / "config.json", config)

    def _settings(self) -> dict[str, Any]:
        """What config.json says of the model beside its options."""
        sizes = {"source_vocab_size": self.model.source_vocab_size, "target_vocab_size": self.model.target_vocab_size}
        return {**sizes, "longest_source": self.longest_source}

    def ensemble(self, *others: Translation) -> Self:
        """Return a translator that averages the probabilities of this model and others with the same tokenizers.

        Raises UsageError where another has other tokenizers.
        """
        for other in others:
            if other._fingerprints() != self._fingerprints():
                raise UsageError(
                    "Runs with different tokenizers cannot be averaged. Train them on the same data with the same "
                    "--tokenizer and --vocab-size."
                )
        together = copy.copy(self)
        together.others = (*self.others, *others)
        return together

    def _fingerprints(self) -> tuple[str, str]:
        return self.source_tokenizer.fingerprint(), self.target_tokenizer.fingerprint()

    def translate(self, texts: Sequence[str], options: BeamOptions | None = None) -> list[str]:
        """Translate texts, one to one; a blank text gives an empty one. `options` default to a beam of 5."""
        return [best[0].text for best in self.translate_n_best(texts, options)]

    def translate_n_best(
        self, texts: Sequence[str], options: BeamOptions | None = None, search: Search | None = None
    ) -> list[list[Translated]]:
        """Give the best translations of each text, at most `options.n_best` and at least one, the best first.

        `search` says more than `options`: sampling, forced beginnings, required words. Texts may come in any order;
        those of similar length are translated together. Control characters are read as spaces. A text that is too
        long is translated in parts, which `Translated.parts` counts. Where the conditions leave no translation, the
        text is empty and its score minus infinity.
        """
        search = search or Search(options or BeamOptions())
        if isinstance(texts, str):
            raise UsageError("translate takes a list of texts; a single string was given: use [text].")
        parts: list[str] = []
        owners: list[int] = []
        for place, text in enumerate(texts):
            cut = cut_to_fit(clean(text), self._fits)
            parts += cut
            owners += [place] * len(cut)
        models = [one.model for one in (self, *self.others)]
        read = [words_of_source(self.source_tokenizer, part) for part in parts]
        # What was trained with products in bf16 loses nothing when it is used with them.
        fast = self.config.get("precision") == "bf16" and has_fast_bf16(self.device)
        precision = "bf16" if fast else "fp32"
        found = Translator(models, self.source_tokenizer, self.target_tokenizer, precision).search(read, search)
        results = [[Translated("", 0.0, 0.0, parts=0)] for _ in texts]
        for place, group in groupby(range(len(parts)), key=lambda part: owners[part]):
            results[place] = joined([self._translated(read[part], found[part]) for part in group])
        return results

    def _fits(self, text: str) -> bool:
        # A token holds one character at least, but a character may need four bytes, each a token.
        return 4 * len(text) < self.longest_source or len(self.source_tokenizer.encode(text)) < self.longest_source

    def _translated(self, source: Words, hypotheses: list[Hypothesis]) -> list[Translated]:
        if not hypotheses:
            return [Translated("", -math.inf, -math.inf, source.words)]
        return [self._one(source, hypothesis) for hypothesis in hypotheses]

    def _one(self, source: Words, hypothesis: Hypothesis) -> Translated:
        target = words_of_target(self.target_tokenizer, hypothesis.ids)
        text = self.target_tokenizer.decode(hypothesis.ids)
        weights: list[list[float]] = []
        if hypothesis.attention is not None:
            pieces = hypothesis.attention.tolist()
            weights = attention_between_words(pieces, [*source.numbers, -1], target.numbers)
            if self.target_tokenizer.unk_id in hypothesis.ids:
                tokens = token_texts(self.source_tokenizer, source)
                text = put_unknown_back(
                    self.target_tokenizer, text, hypothesis.ids, tokens, [row[:-1] for row in pieces]
                )
        one_line = " ".join(clean(text).split(" ")).strip()
        return Translated(one_line, hypothesis.score, hypothesis.log_probability, source.words, target.words, weights)

    def evaluate(self, data: PairOptions | None = None, split: str = "test") -> TranslationScores:
        """Score a split of `data`, or of the data that the run was trained on: BLEU, chrF, TER and exact matches."""
        sources, hypotheses, references = self.outputs(data, split)
        return translation_scores(hypotheses, references, sources=sources)

    def outputs(self, data: PairOptions | None = None, split: str = "test") -> tuple[list[str], list[str], list[str]]:
        """Translate a split with a beam of 5; return sources, translations and references.

        Raises DataError where the split is missing, or no data is known.
        """
        pairs = load_pairs(data or self._own_data()).split(split)
        return pairs.sources, self.translate(pairs.sources), pairs.targets

    def score(self, pairs: PairSplit) -> TranslationScores:
        """Score pairs that are loaded already; see `evaluate`."""
        return translation_scores(self.translate(pairs.sources), pairs.targets, sources=pairs.sources)

    def sample(self, pairs: PairSplit, count: int = 3) -> str:
        """Give some pairs of a split with what the model makes of them, three lines each, to show what it does."""
        chosen = [place * len(pairs.sources) // count for place in range(count)]
        translations = self.translate([pairs.sources[place] for place in chosen])
        return "\n\n".join(
            f"source      {pairs.sources[place]}\n{self.noun:<11} {translation}\nreference   {pairs.targets[place]}"
            for place, translation in zip(chosen, translations, strict=True)
        )

    def _own_data(self) -> PairOptions:
        try:
            return PairOptions(**self.config["data"])
        except (KeyError, TypeError):
            raise DataError("The run does not say what data it was trained on. Name some with --data.") from None
