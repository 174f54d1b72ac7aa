"""From source texts to hypotheses: batches of similar length through one model or several, and back in order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nlp_lstm.decoding import (
    AnyOf,
    BeamOptions,
    Conditions,
    Ensemble,
    Hypothesis,
    SamplingOptions,
    beam_search,
    sample_search,
)
from nlp_lstm.errors import UsageError
from nlp_lstm.models import EncoderDecoder, autocast
from nlp_lstm.tasks._translation_conditions import prefix_ids, required_phrase
from nlp_lstm.tokenization import Tokenizer

_TOKENS_AT_ONCE = 16_384


@dataclass(frozen=True)
class Search:
    """How translations are searched for: by a beam, or drawn where `sampling` is given, from `seed`.

    Attributes:
        options: the beam, penalties and limits of length; `n_best` is also how many are drawn.
        sampling: how a token is drawn; None searches by beam.
        seed: of what is drawn; None draws anew each time. Text i of a call is drawn from `seed` + i, whatever texts
            stand beside it, so that text 0 of a call with the seed 5 is text 2 of one with the seed 3.
        prefix: what every translation begins with.
        required: words or phrases that every translation must hold; needs a beam.

    They ask for a translation as a whole: where a text is translated in parts, `prefix` and `required` are asked of
    the first, and a fair share of `options.min_length` of each. Other limits of length are those of each part.
    """

    options: BeamOptions = field(default_factory=BeamOptions)
    sampling: SamplingOptions | None = None
    seed: int | None = None
    prefix: str = ""
    required: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.required and self.sampling is not None:
            raise UsageError("Required words need a beam search, which --sample is not. Leave out one of the two.")


class Part(NamedTuple):
    """A text to translate, or one of the `parts` of a long one: its tokens, and which part it is, from 0.

    `place` is that of the text among those to translate.
    """

    text: str
    ids: list[int]
    place: int
    number: int = 0
    parts: int = 1


def pad_rows(sequences: Sequence[Sequence[int]], device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Lay sequences in rows, (batch, longest) int64, zero behind each, and return them with their lengths (batch,)."""
    longest = max(map(len, sequences))
    rows = [[*one, *[0] * (longest - len(one))] for one in sequences]
    lengths = torch.tensor([len(one) for one in sequences], device=device)
    return torch.tensor(rows, dtype=torch.int64, device=device), lengths


def batches(lengths: Sequence[int], rows: int) -> Iterator[list[int]]:
    """Yield the places of sequences of similar length, so many that `rows` copies of each are a full batch."""
    order = sorted(range(len(lengths)), key=lambda place: lengths[place])
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and (stop + 1 - start) * lengths[order[stop]] * rows <= _TOKENS_AT_ONCE:
            stop += 1
        yield order[start:stop]
        start = stop


class Translator:
    """One model or several, which read one source vocabulary and write in one target vocabulary.

    `precision` is that of the products, "fp32" or "bf16".
    """

    def __init__(
        self, models: Sequence[EncoderDecoder], source: Tokenizer, target: Tokenizer, precision: str = "fp32"
    ) -> None:
        self.models, self.source, self.target, self.precision = models, source, target, precision

    def search(self, texts: Sequence[Part], search: Search) -> list[list[Hypothesis]]:
        """Find the translations of each text, best first; empty where the conditions leave none.

        Raises UsageError where the prefix or a required word cannot be written.
        """
        found: list[list[Hypothesis]] = [[] for _ in texts]
        prefix = prefix_ids(self.target, search.prefix) if search.prefix else []
        required = [required_phrase(self.target, phrase) for phrase in search.required]
        copies = search.options.n_best if search.sampling is not None else search.options.beam_size
        for places in batches([len(text.ids) + 1 for text in texts], copies):
            with autocast(self.precision, self._device):
                batch = [texts[place] for place in places]
                results = self._search_batch(batch, search, self._conditions(batch, search, prefix, required))
            for place, result in zip(places, results, strict=True):
                found[place] = result
        return found

    def _generators(self, texts: Sequence[Part], search: Search) -> torch.Generator | list[torch.Generator]:
        """Give each text its generator, or all of them one without a seed."""
        if search.seed is None:
            generator = torch.Generator(device=self._device)
            generator.seed()
            return generator
        names = [f"{search.seed + text.place} {text.number}" for text in texts]
        seeds = [int.from_bytes(hashlib.blake2b(name.encode(), digest_size=7).digest()) for name in names]
        return [torch.Generator(device=self._device).manual_seed(seed) for seed in seeds]

    @property
    def _device(self) -> torch.device:
        return next(self.models[0].parameters()).device

    def _search_batch(self, texts: list[Part], search: Search, conditions: Conditions) -> list[list[Hypothesis]]:
        ids, lengths = pad_rows([[*text.ids, self.source.eos_id] for text in texts], self._device)
        with torch.inference_mode():
            states = tuple(model.start(model.encode(ids, lengths)) for model in self.models)
        decoder: Any = self.models[0] if len(states) == 1 else Ensemble(self.models)
        state: Any = states[0] if len(states) == 1 else states
        first = torch.full((len(texts),), self.target.bos_id, device=self._device)
        conditions["source_lengths"] = lengths
        if search.sampling is None:
            return beam_search(decoder, first, state, search.options, **conditions)
        return sample_search(
            decoder,
            first,
            state,
            search.sampling,
            search.options,
            samples=search.options.n_best,
            generator=self._generators(texts, search),
            **conditions,
        )

    def _conditions(
        self, texts: list[Part], search: Search, prefix: Sequence[int], required: Sequence[AnyOf]
    ) -> Conditions:
        target, least = self.target, search.options.min_length
        conditions: Conditions = {"eos_id": target.eos_id, "forbidden_ids": (target.pad_id, target.bos_id)}
        if prefix:
            conditions["prefixes"] = [prefix if text.number == 0 else () for text in texts]
        if required:
            conditions["required"] = [required if text.number == 0 else () for text in texts]
        if least:
            shares = [-(-least // text.parts) for text in texts]
            conditions["min_lengths"] = torch.tensor(shares, device=self._device)
        return conditions
