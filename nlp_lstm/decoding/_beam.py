"""Beam search, batched over sentences and hypotheses; finished sentences and hopeless hypotheses leave the batch."""

from __future__ import annotations

import math
from typing import Unpack

import torch
from torch import Tensor

from nlp_lstm.decoding._beam_options import BeamOptions
from nlp_lstm.decoding._decoder import Decoder, attention_of
from nlp_lstm.decoding._finished import Finished
from nlp_lstm.decoding._required import share_beam
from nlp_lstm.decoding._rules import Conditions, Rules
from nlp_lstm.decoding._scoring import Coverage, length_normalizer, likeliest, require_numbers
from nlp_lstm.decoding._step import State
from nlp_lstm.decoding._trace import Hypothesis, Trace
from nlp_lstm.decoding._walk import follow_likeliest


def beam_search(
    decoder: Decoder[State], ids: Tensor, state: State, options: BeamOptions, **conditions: Unpack[Conditions]
) -> list[list[Hypothesis]]:
    """Return up to `n_best` hypotheses for each sentence, best first, in the order of the sentences.

    `ids`, int64 (batch,), are the first ids that the decoder reads, like the beginning of sentence, and `state` is
    the state before them, one row a sentence. The other arguments are those of `Conditions`.

    A step extends each hypothesis by all tokens and keeps the likeliest of a sentence, as many as its beam has places.
    One that ends keeps its place, so the places run out, or the search ends because no hypothesis can still reach a
    score that would be returned: its log-probability can only fall, and no divisor is larger than that of the
    greatest length. With a beam as large as the number of possible sentences, the result is that of trying them all.

    A sentence that no hypothesis fits, because the conditions exclude each other or the beam is too small to find
    out otherwise, has an empty list. Log-probabilities are float32 and those of the model: forbidding a token does
    not make the others likelier.

    Raises:
        ShapeError: arguments that do not fit the batch; a coverage penalty for a decoder without attention.
        UsageError: conditions that nothing can fulfil; a search without any limit of length.
        NlpLstmError: the decoder gives logits that are not numbers.
    """
    with torch.inference_mode():
        rules = Rules(ids, options, conditions)
        if options.beam_size == 1 and rules.phrases is None:
            return follow_likeliest(decoder, ids, state, rules)
        return _Search(rules, ids).run(decoder, ids, state)


class _Search:
    """The hypotheses of a running search: one row each, those of a sentence together, the sentences in order."""

    def __init__(self, rules: Rules, ids: Tensor) -> None:
        options, device = rules.options, ids.device
        self.rules, self.options = rules, options
        self.finished = Finished(len(ids), options.n_best, device)
        self.free = torch.full((len(ids), 1), options.beam_size, device=device)  # places that no finished one holds
        self.greatest = length_normalizer(rules.limits + 1, options)[:, None]
        self.ranks = torch.arange(options.beam_size, device=device)
        # One value a row:
        self.sentence = torch.arange(len(ids), device=device)
        self.place = torch.zeros_like(ids)  # number within the sentence
        self.totals = torch.zeros(len(ids), device=device)
        self.history = ids.new_zeros(len(ids), 0) if options.no_repeat_ngram_size else None
        self.coverage = Coverage(options.coverage_penalty, rules.source_lengths) if options.coverage_penalty else None
        self.progress = None if rules.phrases is None else rules.phrases.start()

    def run(self, decoder: Decoder[State], ids: Tensor, state: State) -> list[list[Hypothesis]]:
        """Search until no row is left."""
        trace, length = Trace(), 0
        while len(ids):
            logits, state = decoder.step(ids, state)
            attention = attention_of(decoder, state)
            if self.coverage is not None:
                self.coverage.add(attention)
            scores = logits.float().log_softmax(dim=-1)
            cut = self.rules.apply(scores, self.sentence, self.history, length)
            parents, ids = self._advance(scores, cut, length)
            trace.append(parents, ids, attention)
            if len(ids) and not _is_identity(parents, len(scores)):
                state = decoder.select(state, parents)
            length += 1
        return self.finished.read(trace, self.rules)

    def _advance(self, scores: Tensor, cut: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Choose the next rows from log-probabilities (rows, vocab): the row that each extends, and its new token.

        `cut`, bool (rows,), says which rows end at the limit alone.
        """
        beam, (batch, _) = self.options.beam_size, self.free.shape
        tokens, totals, missing = self._candidates(scores, length)
        choices = tokens.shape[1]
        grid = totals.new_full((batch, beam, choices), -math.inf)
        grid[self.sentence, self.place] = totals
        grid = grid.view(batch, beam * choices)
        if missing is None:
            order = grid.sort(dim=1, descending=True, stable=True).indices[:, :beam]
        else:
            banks = missing.new_zeros(batch, beam, choices)
            banks[self.sentence, self.place] = missing
            order = share_beam(grid, banks.view(grid.shape), beam)
        totals = grid.gather(1, order)  # (batch, beam)
        require_numbers(totals, length)
        row_at = self.place.new_zeros(batch, beam)
        row_at[self.sentence, self.place] = torch.arange(len(tokens), device=tokens.device)
        parents = row_at.gather(1, order.div(choices, rounding_mode="floor"))
        following = tokens[parents, order % choices]
        chosen = (totals > -math.inf) & (self.ranks < self.free)
        ends = chosen & (following == self.rules.eos_id)
        if ends.any():
            self._finish(ends, totals, parents, cut[parents], length)
        # A hypothesis whose best possible score cannot enter the list is followed no further.
        goes_on = chosen & ~ends & (totals / self.greatest > self.finished.scores[:, -1:])
        return self._select(goes_on, totals, parents, following)

    def _candidates(self, scores: Tensor, length: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return next tokens and their log-probabilities so far, (rows, choices), and how many tokens each misses."""
        gains, tokens = likeliest(scores, self.options.beam_size)
        phrases, progress = self.rules.phrases, self.progress
        if phrases is None or progress is None:
            return tokens, gains + self.totals[:, None], None
        wanted = phrases.wanted(self.sentence, progress)
        tokens = torch.cat((tokens, wanted.clamp(min=0)), dim=1)
        gains = torch.cat((gains, scores.gather(1, wanted.clamp(min=0))), dim=1)
        # What comes a second time, or fills a place where nothing is wanted, is no candidate.
        repeated = (tokens[:, :, None] == tokens[:, None, :]).tril(-1).any(dim=-1)
        repeated[:, -wanted.shape[1] :] |= wanted < 0
        missing = phrases.missing(self.sentence, phrases.advance(self.sentence, progress, tokens))
        # A sentence ends only when it misses nothing, and goes on only where there is room for what it misses.
        room = self.rules.limits[self.sentence, None] - (length + 1)
        impossible = torch.where(tokens == self.rules.eos_id, missing > 0, missing > room)
        return tokens, (gains + self.totals[:, None]).masked_fill(repeated | impossible, -math.inf), missing

    def _finish(self, ends: Tensor, totals: Tensor, parents: Tensor, cut: Tensor, length: int) -> None:
        scores = totals / length_normalizer(length + 1, self.options)
        if self.coverage is not None:
            scores = scores + self.coverage.scores(self.sentence)[parents]
        self.finished.add(scores.masked_fill(~ends, -math.inf), totals, length, parents, cut)
        self.free = self.free - ends.sum(dim=1, keepdim=True)

    def _select(self, goes_on: Tensor, totals: Tensor, parents: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Make rows of the marked ones of (batch, beam) hypotheses; return the row that each extends and its token."""
        self.sentence = goes_on.nonzero()[:, 0]
        self.place = (goes_on.cumsum(dim=1) - 1)[goes_on]
        self.totals, parents, tokens = totals[goes_on], parents[goes_on], tokens[goes_on]
        if self.history is not None:
            self.history = torch.cat((self.history[parents], tokens[:, None]), dim=1)
        if self.coverage is not None:
            self.coverage.select(parents)
        if self.rules.phrases is not None and self.progress is not None:
            before = type(self.progress)(*(part[parents] for part in self.progress))
            after = self.rules.phrases.advance(self.sentence, before, tokens[:, None])
            self.progress = type(self.progress)(*(part[:, 0] for part in after))
        return parents, tokens


def _is_identity(rows: Tensor, count: int) -> bool:
    return len(rows) == count and torch.equal(rows, torch.arange(count, device=rows.device))
