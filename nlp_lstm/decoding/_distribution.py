"""From logits to the distribution that the next token is drawn from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nlp_lstm.decoding._options import SamplingOptions
from nlp_lstm.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor

# Below this the division by the temperature could overflow, and the distribution is the greedy one for any
# two logits that differ in a digit that float32 still holds.
_GREEDY_BELOW = 1e-6


def next_token_distribution(logits: Tensor, options: SamplingOptions, recent: Tensor | None = None) -> Tensor:
    """Return the probabilities, float32 (batch, vocab), that the options make of `logits` (batch, vocab).

    The order is: repetition penalty, temperature, top-k, min-p, top-p. Each filter sees the distribution that the
    one before it left, renormalised. Tokens with equal logits are treated alike: where a filter keeps one it keeps
    all its equals, so top-k keeps more than k tokens when several tie for the k-th place. Greedy alone must
    choose; it takes the tie's lowest id. The likeliest token is always kept.

    - Repetition penalty: the logits of ids in `recent`, int64 (batch, window), repeats allowed, are divided by the
      penalty where positive and multiplied by it where negative, so that a penalty above 1 always makes them less
      likely (Keskar et al. 2019, "CTRL", section 4.1, who divide).
    - Temperature: divides the logits; 0, like anything below 1e-6, gives all probability to the largest.
    - Top-k: keeps the k largest (Fan et al. 2018, "Hierarchical Neural Story Generation").
    - Min-p: keeps what has at least `min_p` times the largest probability (Nguyen et al. 2024, "Turning Up the
      Heat: Min-p Sampling").
    - Top-p: keeps the likeliest tokens whose probabilities first sum to `top_p` (Holtzman et al. 2020, "The Curious
      Case of Neural Text Degeneration").

    A logit may be minus infinity, for a token that must not come, but each row needs a finite one.

    Raises:
        ShapeError: `logits` is not (batch, vocab), or `recent` is not (batch, window).
    """
    _check_shapes(logits, recent)
    scores = logits.float()
    if recent is not None and options.repetition_penalty != 1.0:
        scores = _penalize(scores, recent, options.repetition_penalty)
    if is_greedy(options):
        return scores.new_zeros(scores.shape).scatter_(1, scores.argmax(dim=-1, keepdim=True), 1.0)
    if options.temperature != 1.0:
        scores = scores / options.temperature
    keeps_few = 0 < options.top_k < scores.shape[-1]
    if keeps_few:
        scores = _keep_from(scores, scores.topk(options.top_k).values[:, -1:])
    if options.min_p > 0.0:
        scores = _keep_from(scores, scores.amax(dim=-1, keepdim=True) + math.log(options.min_p))
    probabilities = scores.softmax(dim=-1)
    if options.top_p < 1.0:
        probabilities = _keep_nucleus(probabilities, options.top_p, options.top_k if keeps_few else 0)
    return probabilities


def is_greedy(options: SamplingOptions) -> bool:
    """Tell whether the options leave nothing to chance."""
    return options.temperature < _GREEDY_BELOW


def is_unfiltered(options: SamplingOptions) -> bool:
    """Tell whether the options draw from the softmax of the logits over the temperature, and every token may come."""
    return (
        not is_greedy(options)
        and options.repetition_penalty == 1.0
        and (options.top_k, options.top_p, options.min_p) == (0, 1.0, 0.0)
    )


def _penalize(scores: Tensor, recent: Tensor, penalty: float) -> Tensor:
    seen = scores.gather(1, recent)  # (batch, window)
    # An id that comes twice in the window is written twice with the same value: it is penalised once.
    return scores.scatter(1, recent, (seen / penalty).where(seen > 0, seen * penalty))


def _keep_from(scores: Tensor, threshold: Tensor) -> Tensor:
    """Set the scores below their row's threshold, (batch, 1), to minus infinity."""
    return scores.masked_fill(scores < threshold, -math.inf)


def _keep_nucleus(probabilities: Tensor, top_p: float, top_k: int) -> Tensor:
    """Keep the nucleus, renormalised. A `top_k` above 0 says that a filter before has left the k largest and ties."""
    # The k largest are enough: a nucleus that needs more takes in the ties of the k-th, which its threshold does.
    # A full sort of a large vocabulary takes longer than all the rest together.
    ranked = probabilities.topk(top_k).values if top_k else probabilities.sort(dim=-1, descending=True).values
    before = ranked.cumsum(dim=-1) - ranked  # probability of all likelier tokens; exactly 0 for the first
    threshold = ranked.masked_fill(before >= top_p, math.inf).amin(dim=-1, keepdim=True)
    kept = probabilities.masked_fill(probabilities < threshold, 0.0)
    return kept / kept.sum(dim=-1, keepdim=True)


def _check_shapes(logits: Tensor, recent: Tensor | None) -> None:
    if logits.dim() != 2:
        raise ShapeError(f"The logits have the shape {tuple(logits.shape)}; they must be (batch, vocab).")
    if recent is not None and (recent.dim() != 2 or recent.shape[0] != logits.shape[0]):
        raise ShapeError(
            f"The recent ids have the shape {tuple(recent.shape)}; beside logits of the shape {tuple(logits.shape)} "
            f"they must be ({logits.shape[0]}, window)."
        )
