"""Text that goes on: from a prompt to tokens, and from turn to turn with the state kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from nlp_lstm.decoding import SamplingOptions, sample_tokens
from nlp_lstm.errors import UsageError
from nlp_lstm.models import CachedLanguageModel, LanguageModel, Stepper, StepperState
from nlp_lstm.tokenization import Tokenizer

_READ_AT_ONCE = 4096


def start_ids(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """Encode a prompt; an empty one becomes what a text begins after: a line end, or in its stead the end of a text."""
    ids = tokenizer.encode(prompt) or tokenizer.encode("\n")
    return [tokenizer.eos_id] if not prompt and tokenizer.unk_id in ids else ids


def read(tokenizer: Tokenizer, ids: list[int]) -> str:
    """Decode what a model wrote; where it ended a record (of csv, jsonl and the like), a line ends."""
    if tokenizer.line_end_is_eos:
        return tokenizer.decode(ids)
    parts: list[list[int]] = [[]]
    for one in ids:
        if one == tokenizer.eos_id:
            parts.append([])
        else:
            parts[-1].append(one)
    return "\n".join(tokenizer.decode(part) for part in parts)


class Continuation:
    """A text that a model has read up to some point, in `rows` equal copies: the state, and the ids not read yet."""

    def __init__(self, model: LanguageModel | CachedLanguageModel, ids: list[int], rows: int = 1) -> None:
        self.model, self.rows = model, rows
        self._state: Any = None  # what the model gives, None at the beginning
        self._stepper: Stepper | None = None  # whose form `_stepped` has, and is newer than `_state`
        self._stepped: StepperState | None = None
        self.history: deque[int] = deque(maxlen=_READ_AT_ONCE)
        self.pending: Tensor | None = None
        self.read(ids)

    @property
    def state(self) -> Any:
        """The model's state after all that was read; None before anything was."""
        if self._stepper is not None and self._stepped is not None:
            self._state = self._stepper.leave(self._stepped)
        return self._state

    def read(self, ids: list[int]) -> None:
        """Append ids to the text; all but the last are run through the model here."""
        if not ids:
            return
        device = next(self.model.parameters()).device
        known = torch.tensor(ids, dtype=torch.int64, device=device).expand(self.rows, -1)  # (rows, time)
        if self.pending is not None:
            known = torch.cat([self.pending.unsqueeze(1), known], dim=1)
        self.model.eval()
        state, self._stepper, self._stepped = self.state, None, None
        with torch.inference_mode():
            for part in known[:, :-1].split(_READ_AT_ONCE, dim=1):
                if part.shape[1]:
                    _, state = self.model.hidden(part, state)
        self._state = state
        self.pending = known[:, -1]
        self.history.extend(ids)

    def tokens(self, options: SamplingOptions | None = None, seed: int | None = None) -> Iterator[Tensor]:
        """Yield the next token of every row, (rows,) int64, without end; stopping leaves the text where it stands."""
        assert self.pending is not None
        self.model.eval()
        generator = torch.Generator(device=self.pending.device)
        if seed is None:
            generator.seed()
        else:
            generator.manual_seed(seed)
        past = torch.tensor(list(self.history)[:-1], dtype=torch.int64, device=self.pending.device).expand(
            self.rows, -1
        )
        options = options or SamplingOptions()
        sampled: Iterator[Tensor]
        if Stepper.fits(self.model):
            sampled = sample_tokens(self._quick_step, self.pending, self._enter(), options, generator, history=past)
        else:
            sampled = sample_tokens(self._step, self.pending, self.state, options, generator, history=past)
        for token in sampled:
            self.pending = token
            yield token

    def _step(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        logits, self._state = self.model.step(ids, state)
        return logits, self._state

    def _enter(self) -> StepperState | None:
        """Make a stepper of the weights as they are now, and give it the state."""
        state = self.state
        assert isinstance(self.model, LanguageModel)
        with torch.inference_mode():
            self._stepper = Stepper(self.model)
            self._stepped = None if state is None else self._stepper.enter(state)
        return self._stepped

    def _quick_step(self, ids: Tensor, state: StepperState | None) -> tuple[Tensor, StepperState]:
        assert self._stepper is not None
        logits, self._stepped = self._stepper(ids, state)
        return logits, self._stepped

    def take(self, count: int, options: SamplingOptions | None = None, seed: int | None = None) -> Tensor:
        """Sample `count` tokens a row, (rows, count) int64."""
        return torch.stack(list(islice(self.tokens(options, seed), count)), dim=1)


class Conversation:
    """A text that a person and a model write in turns; `reset` starts a new one."""

    def __init__(
        self, model: LanguageModel | CachedLanguageModel, tokenizer: Tokenizer, prepare: Callable[[str], str] = str
    ) -> None:
        self._model, self._tokenizer, self._prepare = model, tokenizer, prepare
        self._text: Continuation | None = None

    def reset(self) -> None:
        """Forget everything said so far."""
        self._text = None

    def stream(
        self,
        text: str = "",
        *,
        max_tokens: int | None = None,
        options: SamplingOptions | None = None,
        seed: int | None = None,
    ) -> Iterator[str]:
        """Append `text` and yield what the model writes after it, in pieces of whole characters.

        With no text it goes on where it stopped. Closing the iterator ends the turn and keeps what was yielded.
        """
        if max_tokens is not None and max_tokens < 1:
            raise UsageError(f"--max-tokens {max_tokens} must be at least 1.")
        text = self._prepare(text)
        if self._text is None:
            self._text = Continuation(self._model, start_ids(self._tokenizer, text))
        else:
            self._text.read(self._tokenizer.encode(text))
        return self._pieces(self._text, max_tokens, options, seed)

    def _pieces(
        self, text: Continuation, max_tokens: int | None, options: SamplingOptions | None, seed: int | None
    ) -> Iterator[str]:
        decoder = self._tokenizer.stream_decoder()
        for token in islice(text.tokens(options, seed), max_tokens):
            identifier = int(token)
            text.history.append(identifier)
            ends = identifier == self._tokenizer.eos_id and not self._tokenizer.line_end_is_eos
            piece = decoder.flush() + "\n" if ends else decoder.feed(identifier)
            if piece:
                yield piece
        rest = decoder.flush()
        if rest:
            yield rest
