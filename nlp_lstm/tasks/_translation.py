"""Translation as a user holds it: a model and its tokenizers, that translate and are scored."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Self

from nlp_lstm.data import PairData, PairOptions, PairSplit, load_pairs
from nlp_lstm.decoding import GRANTED_LENGTH, LARGEST_COUNT, BeamOptions, Hypothesis
from nlp_lstm.errors import UsageError
from nlp_lstm.evaluation import TranslationScores, translation_scores
from nlp_lstm.models import EncoderDecoder
from nlp_lstm.tasks._folder import FORMAT_VERSION, write_description, write_json
from nlp_lstm.tasks._task import Task
from nlp_lstm.tasks._translated import Translated, joined
from nlp_lstm.tasks._translation_limits import LengthLimits
from nlp_lstm.tasks._translation_search import Part, Search, Translator
from nlp_lstm.tasks._translation_text import (
    attended,
    clean,
    cut_to_fit,
    put_unknown_back,
    token_texts,
    words_of_source,
)
from nlp_lstm.tasks._translation_tokenizers import save_tokenizers
from nlp_lstm.tokenization import Tokenizer


class Translation(Task[EncoderDecoder]):
    """A translator: an encoder-decoder with the tokenizers of source and target.

    `config` is what config.json of its run folder holds. `limits` are the lengths of texts; those of translations hold
    unless the options of a search say otherwise. `learn_lengths` takes them from the pairs of training.
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
        limits: LengthLimits | None = None,
    ) -> None:
        sizes = (source_tokenizer.vocab_size, target_tokenizer.vocab_size)
        if (model.source_vocab_size, model.target_vocab_size) != sizes:
            raise UsageError(
                f"The model has vocabularies of {model.source_vocab_size} and {model.target_vocab_size} ids and the "
                f"tokenizers of {sizes[0]} and {sizes[1]}; they must come from one run."
            )
        self.model, self.config = model, dict(config or {})
        self.source_tokenizer, self.target_tokenizer = source_tokenizer, target_tokenizer
        self.limits = limits or LengthLimits()
        self.others: tuple[Translation, ...] = ()

    def learn_lengths(self, lengths: Iterable[tuple[int, int]]) -> None:
        """Raise the limits to what training pairs need, given as `TokenizedPairs.lengths`: no pair exceeds them."""
        self.limits = self.limits.raised(lengths)

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
        return {**sizes, **asdict(self.limits)}

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
        text is empty and its score minus infinity. Raises UsageError where the prefix or a required word cannot be
        written.
        """
        search = self._limited(search or Search(options or BeamOptions()))
        if isinstance(texts, str):
            raise UsageError("translate takes a list of texts; a single string was given: use [text].")
        models = [one.model for one in (self, *self.others)]
        translator = Translator(models, self.source_tokenizer, self.target_tokenizer, self.precision)
        parts = self._read(texts)
        found = translator.search(parts, search)
        results = [[Translated("", 0.0, 0.0, parts=0)] for _ in texts]
        for place, group in groupby(range(len(parts)), key=lambda part: parts[part].place):
            results[place] = joined([self._translated(parts[part], found[part]) for part in group])
        return results

    def _limited(self, search: Search) -> Search:
        """Limit lengths by what training pairs have, where the options leave it open."""
        options = search.options
        if options.max_length is not None or options.max_length_ratio is not None:
            return search
        # One odd pair may have a ratio that lets a long source run for ever, but its target was short then.
        longest = self.limits.longest_target
        longest = None if longest is None else min(longest + GRANTED_LENGTH, LARGEST_COUNT)
        limit = None if longest is None else max(longest, options.min_length)
        return replace(search, options=replace(options, max_length_ratio=self.limits.target_ratio, max_length=limit))

    def _read(self, texts: Sequence[str]) -> list[Part]:
        """Encode texts, too long ones in parts; a blank text has none."""
        cleaned = [clean(text).strip() for text in texts]
        parts: list[Part] = []
        for place, (text, ids) in enumerate(zip(cleaned, self.source_tokenizer.encode_batch(cleaned), strict=True)):
            if len(ids) < self.limits.longest_source or len(text) < 2:
                parts += [Part(text, ids, place)] if text else []
            else:
                cut = cut_to_fit(text, self._fits)
                of_each = self.source_tokenizer.encode_batch(cut)
                both = zip(cut, of_each, strict=True)
                parts += [Part(*one, place, number, len(cut)) for number, one in enumerate(both)]
        return parts

    def _fits(self, text: str) -> bool:
        # A token holds one character at least, but a character may need four bytes, each a token.
        longest = self.limits.longest_source
        return 4 * len(text) < longest or len(self.source_tokenizer.encode(text)) < longest

    def _translated(self, part: Part, hypotheses: list[Hypothesis]) -> list[Translated]:
        view = partial(attended, self.source_tokenizer, self.target_tokenizer, part.text)
        if not hypotheses:
            return [Translated("", -math.inf, -math.inf, views=(partial(view, None),))]
        return [
            Translated(self._text(part, one), one.score, one.log_probability, cut=one.cut, views=(partial(view, one),))
            for one in hypotheses
        ]

    def _text(self, part: Part, hypothesis: Hypothesis) -> str:
        """Decode a translation into one line, the source's words in the place of unknown ones."""
        text = self.target_tokenizer.decode(hypothesis.ids)
        if hypothesis.attention is not None and self.target_tokenizer.unk_id in hypothesis.ids:
            source = words_of_source(self.source_tokenizer, part.text)
            tokens, attention = token_texts(self.source_tokenizer, source), hypothesis.attention[:, :-1]
            text = put_unknown_back(self.target_tokenizer, text, hypothesis.ids, tokens, attention)
        return clean(text).strip()

    def evaluate(
        self, data: PairOptions | None = None, split: str = "test", training_text: Iterable[str] | None = None
    ) -> TranslationScores:
        """Score a split of `data`, or of the data that the run was trained on: BLEU, chrF, TER and exact matches.

        Words are also scored by how often the `training_text` has them, by default the targets of training where the
        run's own data is scored; an empty list leaves them uncounted.
        """
        splits = self._load(data)
        if training_text is None and data is None and "train" in splits.splits:
            training_text = splits.split("train").targets
        return self.score(splits.split(split), training_text)

    def _load(self, data: PairOptions | None) -> PairData:
        """Load `data`, or that of the run, as it is scored."""
        return load_pairs(data or self.own_data(PairOptions))

    def outputs(self, data: PairOptions | None = None, split: str = "test") -> tuple[list[str], list[str], list[str]]:
        """Translate a split with a beam of 5; return sources, translations and references.

        Raises DataError where the split is missing, or no data is known.
        """
        pairs = load_pairs(data or self.own_data(PairOptions)).split(split)
        return pairs.sources, self.translate(pairs.sources), pairs.targets

    def score(self, pairs: PairSplit, training_text: Iterable[str] | None = None) -> TranslationScores:
        """Score pairs that are loaded already; see `evaluate`."""
        found = self.translate(pairs.sources)
        return translation_scores(found, pairs.targets, sources=pairs.sources, training_text=training_text or None)

    def sample(self, pairs: PairSplit, count: int = 3) -> str:
        """Give some pairs of a split with what the model makes of them, three lines each, to show what it does."""
        chosen = [place * len(pairs.sources) // count for place in range(count)]
        translations = self.translate([pairs.sources[place] for place in chosen])
        return "\n\n".join(
            f"source      {pairs.sources[place]}\n{self.noun:<11} {translation}\nreference   {pairs.targets[place]}"
            for place, translation in zip(chosen, translations, strict=True)
        )
