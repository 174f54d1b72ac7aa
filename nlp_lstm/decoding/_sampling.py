"""Sampling: an endless stream of tokens from a step function."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nlp_lstm.decoding._distribution import is_greedy, is_unfiltered, next_token_distribution
from nlp_lstm.decoding._options import SamplingOptions
from nlp_lstm.decoding._step import State, StepFunction
from nlp_lstm.errors import ShapeError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Noise is drawn for many tokens at once, one call instead of one a token, but never for more than this many
# tokens, nor for more than one token where the vocabulary is so large that these many values (1 MiB) hold no two.
_MOST_DRAWS = 64
_NOISE_VALUES = 2**18


def sample_tokens(
    step: StepFunction[State],
    ids: Tensor,
    state: State,
    options: SamplingOptions,
    generator: torch.Generator | None = None,
    *,
    history: Tensor | None = None,
) -> Iterator[Tensor]:
    """Return an iterator over the tokens that follow, int64 (batch,) each, without end: the caller stops.

    `ids`, int64 (batch,), are the last ids that the model has not read yet, and `state` is the state before them.
    `history`, int64 (batch, length), holds the ids before `ids`, oldest first; only the repetition penalty uses it.
    `generator` lives on the device of `ids`; None takes torch's global one.

    Time and memory a token are constant. The model runs under `torch.inference_mode`, which is left before each
    token is handed over. Nothing waits for the device: reading a token's value is the caller's choice. A token
    is fed to the next step, so it must not be changed in place.

    For one seed the tokens depend on the batch size and the vocabulary size too, but not on how many the caller
    takes. The generator is drawn from for up to 64 tokens at a time, so two short streams that share a generator
    differ from one long stream.

    Raises:
        ShapeError: `ids` is not int64 (batch,), or `history` is not int64 (batch, length).
    """
    import torch

    if ids.dim() != 1 or ids.dtype != torch.int64:
        raise ShapeError(f"The ids are {ids.dtype} of the shape {tuple(ids.shape)}; they must be int64 (batch,).")
    if history is not None and (history.dim() != 2 or history.shape[0] != ids.shape[0] or history.dtype != torch.int64):
        raise ShapeError(
            f"The history is {history.dtype} of the shape {tuple(history.shape)}; "
            f"it must be int64 ({ids.shape[0]}, length)."
        )
    return _sample(step, ids, state, options, generator, history)


def _sample(
    step: StepFunction[State],
    ids: Tensor,
    state: State,
    options: SamplingOptions,
    generator: torch.Generator | None,
    history: Tensor | None,
) -> Iterator[Tensor]:
    import torch

    penalizes = options.repetition_penalty != 1.0
    recent = RecentTokens(ids, options.repetition_window, history) if penalizes else None
    greedy, unfiltered = is_greedy(options), is_unfiltered(options)
    noise: Iterator[Tensor] | None = None
    while True:
        with torch.inference_mode():
            logits, state = step(ids, state)
            if greedy and recent is None:
                scores = logits
            elif unfiltered:
                noise = noise or _gumbel_noise(logits, generator)
                scores = logits.float()
                scores = (scores if options.temperature == 1.0 else scores / options.temperature) + next(noise)
            else:
                scores = next_token_distribution(logits, options, recent.ids if recent else None)
                if not greedy:
                    noise = noise or _gumbel_noise(logits, generator)
                    scores = scores.log() + next(noise)
            ids = scores.argmax(dim=-1)
            if recent is not None:
                recent.append(ids)
        # Outside the block: a generator that yields inside it would leave the mode on in the caller's code.
        yield ids


class RecentTokens:
    """The last `window` ids of each row, in a ring buffer: int64 (batch, window), in no order that means anything."""

    def __init__(self, ids: Tensor, window: int, history: Tensor | None = None) -> None:
        import torch

        known = ids[:, None] if history is None else torch.cat((history, ids[:, None]), dim=1)
        known = known[:, -window:]
        # While there are fewer ids than places, the oldest id fills the empty ones. It stands there no longer than
        # in its own place, because the places are overwritten from the left.
        filler = known[:, :1].expand(-1, window - known.shape[1])
        self.ids = torch.cat((filler, known), dim=1)
        self._next = 0

    def append(self, ids: Tensor) -> None:
        """Put `ids` (batch,) in the place of the oldest."""
        self.ids.select(1, self._next).copy_(ids)
        self._next = (self._next + 1) % self.ids.shape[1]


def _gumbel_noise(like: Tensor, generator: torch.Generator | None) -> Iterator[Tensor]:
    """Yield float32 tensors of the shape of `like` (batch, vocab), each value -log(-log(uniform)), for ever.

    The largest of log p + noise is a draw from p (Gumbel 1954; Maddison et al. 2014, "A* Sampling", section 2), and
    any constant may be added to log p: logits do as well as they are. Probability 0 stays out, at minus infinity.
    """
    import torch

    draws = max(1, min(_MOST_DRAWS, _NOISE_VALUES // like.numel()))
    while True:
        noise = torch.rand(draws, *like.shape, device=like.device, generator=generator)
        # The smallest number above 0 that `rand` gives is 2**-24; 0 itself would become an infinite noise.
        yield from noise.clamp_min_(2.0**-25).log_().neg_().log_().neg_().unbind(0)
