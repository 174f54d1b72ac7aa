"""From source texts to hypotheses: batches of similar length through one model or several, and back in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from nlp_lstm.decoding import BeamOptions, Ensemble, Hypothesis, SamplingOptions, beam_search, sample_search
from nlp_lstm.errors import UsageError
from nlp_lstm.models import EncoderDecoder, autocast
from nlp_lstm.tasks._translation_text import Words
from nlp_lstm.tokenization import Tokenizer

_TOKENS_AT_ONCE = 16_384


@dataclass(frozen=True)
class Search:
    """How translations are searched for: by a beam, or drawn where `sampling` is given, from `seed`.

    Attributes:
        options: the beam, penalties and limits of length; `n_best` is also how many are drawn.
        sampling: how a token is drawn; None searches by beam.
        seed: of what is drawn; None draws anew each time.
        prefix: what every translation begins with.
        required: words or phrases that every translation must hold; needs a beam.
    """

    options: BeamOptions = field(default_factory=BeamOptions)
    sampling: SamplingOptions | None = None
    seed: int | None = None
    prefix: str = ""
    required: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.required and self.sampling is not None:
            raise UsageError("Required words need a beam search, which --sample is not. Leave out one of the two.")


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

    def search(self, texts: Sequence[Words], search: Search) -> list[list[Hypothesis]]:
        """Find the translations of each text, best first; empty where the conditions leave none."""
        found: list[list[Hypothesis]] = [[] for _ in texts]
        copies = search.options.n_best if search.sampling is not None else search.options.beam_size
        generator = self._generator(search)
        for places in batches([len(text.ids) + 1 for text in texts], copies):
            with autocast(self.precision, self._device):
                results = self._search_batch([texts[place] for place in places], search, generator)
            for place, result in zip(places, results, strict=True):
                found[place] = result
        return found

    def _generator(self, search: Search) -> torch.Generator | None:
        if search.sampling is None:
            return None
        generator = torch.Generator(device=self._device)
        if search.seed is None:
            generator.seed()
        else:
            generator.manual_seed(search.seed)
        return generator

    @property
    def _device(self) -> torch.device:
        return next(self.models[0].parameters()).device

    def _search_batch(
        self, texts: list[Words], search: Search, generator: torch.Generator | None
    ) -> list[list[Hypothesis]]:
        ids, lengths = pad_rows([[*text.ids, self.source.eos_id] for text in texts], self._device)
        with torch.inference_mode():
            states = tuple(model.start(model.encode(ids, lengths)) for model in self.models)
        decoder: Any = self.models[0] if len(states) == 1 else Ensemble(self.models)
        state: Any = states[0] if len(states) == 1 else states
        first = torch.full((len(texts),), self.target.bos_id, device=self._device)
        conditions = self._conditions(len(texts), search) | {"source_lengths": lengths}
        if search.sampling is None:
            return beam_search(decoder, first, state, search.options, **conditions)
        drawn = search.options.n_best
        return sample_search(
            decoder, first, state, search.sampling, search.options, samples=drawn, generator=generator, **conditions
        )

    def _conditions(self, count: int, search: Search) -> dict[str, Any]:
        target = self.target
        conditions: dict[str, Any] = {"eos_id": target.eos_id, "forbidden_ids": (target.pad_id, target.bos_id)}
        if search.prefix:
            conditions["prefixes"] = [target.encode(search.prefix)] * count
        if search.required:
            # Inside a sentence a word has its space before it, which most tokenizers keep with the word.
            conditions["required"] = [[target.encode(" " + phrase) for phrase in search.required]] * count
        return conditions
