"""The continuous cache: words that a text has used before become likelier, by what the model felt before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nlp_lstm.errors import UsageError
from nlp_lstm.models._cross_entropy import IGNORED
from nlp_lstm.models._language_model import LanguageModel, ModelState

_EMPTY = -1
_LARGEST = 100_000


@dataclass(frozen=True)
class CacheSettings:
    """How much of the past is kept, and how it is weighed.

    Attributes:
        size: how many past positions are kept, theta's window.
        weight: share of the cache in the mixture, lambda in the paper.
        sharpness: factor of the products between hidden states, theta in the paper.
    """

    size: int
    weight: float
    sharpness: float

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        if not 1 <= self.size <= _LARGEST:
            raise UsageError(f"--cache-size is {self.size}: give a number from 1 to {_LARGEST:,}, or 0 for no cache.")
        if not 0 <= self.weight <= 1 or not self.sharpness >= 0:
            raise UsageError(
                f"A cache of weight {self.weight} and sharpness {self.sharpness} is none: give a weight from 0 to 1 "
                "and a sharpness of at least 0."
            )


class CacheState(NamedTuple):
    """A model's state with what it has read: (batch, size, features), the id that followed, and the last features."""

    inner: ModelState
    keys: Tensor
    followers: Tensor
    last: Tensor


class CachedLanguageModel(nn.Module):
    """A language model mixed with a cache over its own past (Grave, Joulin and Usunier 2017, equations 2 to 5).

        p_cache(w | h_1..h_t)  ~  sum over i < t of  [w = x_{i+1}] exp(sharpness * h_t . h_i)
        p(w)                   =  (1 - weight) * p_model(w) + weight * p_cache(w)

    It needs no training, and only reads what stands before. Called as the `LanguageModel` that it wraps; its state
    holds the last `size` hidden states, so that memory and the time of a token stay constant.
    """

    def __init__(self, model: LanguageModel, settings: CacheSettings) -> None:
        super().__init__()
        self.model, self.settings = model, settings
        self.vocab_size, self.options = model.vocab_size, model.options

    def hidden(self, ids: Tensor, state: CacheState | None = None) -> tuple[Tensor, CacheState]:
        """Read ids (batch, time): features (batch, time, size) and the state, with what was read in the cache."""
        features, state, _ = self._read(ids, state)
        return features, state

    def step(self, ids: Tensor, state: CacheState | None = None) -> tuple[Tensor, CacheState]:
        """Make one step of generation: ids (batch,) -> log-probabilities (batch, vocab_size), and the state."""
        features, state, (keys, followers) = self._read(ids.unsqueeze(1), state)
        logits = self.model.output.logits(features[:, 0]).float()
        attention = self._attention(features, keys, followers, self.settings.sharpness)[:, 0]
        cached = torch.zeros_like(logits).scatter_add_(1, followers.clamp(min=0), attention)
        share = self.settings.weight * cached.sum(dim=1, keepdim=True)  # nothing, while the cache is empty
        mixed = (1 - share) * logits.softmax(dim=1) + self.settings.weight * cached
        return mixed.clamp(min=torch.finfo(mixed.dtype).tiny).log(), state

    @torch.no_grad()
    def token_losses(self, ids: Tensor, targets: Tensor, state: CacheState | None = None) -> tuple[Tensor, CacheState]:
        """Nats of every token, (batch, time) fp32, zero where the target is -100; and the state."""
        nats, found, state = self.target_shares(ids, targets, [self.settings.sharpness], state)
        return mixed_nats(nats, found[0], self.settings.weight).masked_fill(targets == IGNORED, 0.0), state

    @torch.no_grad()
    def target_shares(
        self, ids: Tensor, targets: Tensor, sharpness: list[float], state: CacheState | None = None
    ) -> tuple[Tensor, Tensor, CacheState]:
        """Nats of the model alone, (batch, time), and p_cache of every target for each sharpness, (n, batch, time).

        p_cache is NaN where the cache is empty. This is what `weight` and `sharpness` are fitted on.
        """
        features, state, (keys, followers) = self._read(ids, state)
        nats = self.model.output.token_losses(features.flatten(0, 1), targets.flatten()).view(targets.shape)
        hits = followers.unsqueeze(1) == targets.unsqueeze(2)  # (batch, time, entries)
        shares = []
        for one in sharpness:
            attention = self._attention(features, keys, followers, one)
            empty = attention.sum(dim=2) == 0
            shares.append((attention * hits).sum(dim=2).masked_fill(empty, torch.nan))
        return nats, torch.stack(shares), state

    def _read(self, ids: Tensor, state: CacheState | None) -> tuple[Tensor, CacheState, tuple[Tensor, Tensor]]:
        """Run the model; give its features, the new state, and all keys with their followers, old before new."""
        size = self.settings.size
        features, inner = self.model.hidden(ids, None if state is None else state.inner)
        shown = features.float()
        if state is None:
            keys = shown.new_zeros(shown.shape[0], size + 1, shown.shape[2])
            followers = ids.new_full((ids.shape[0], size), _EMPTY)
            first = torch.full_like(ids[:, :1], _EMPTY)  # nothing was felt before the first token
            followers = torch.cat([followers, first, ids[:, 1:]], dim=1)
            keys = torch.cat([keys, shown[:, :-1]], dim=1)
        else:
            keys = torch.cat([state.keys, state.last.unsqueeze(1), shown[:, :-1]], dim=1)
            followers = torch.cat([state.followers, ids], dim=1)
        kept = CacheState(inner, keys[:, -size:], followers[:, -size:], shown[:, -1])
        return features, kept, (keys, followers)

    def _attention(self, features: Tensor, keys: Tensor, followers: Tensor, sharpness: float) -> Tensor:
        """Shares of the entries at each position, (batch, time, entries): the last `size` before it; zero if none."""
        time, entries = features.shape[1], keys.shape[1]
        behind = torch.arange(entries, device=keys.device) - torch.arange(time, device=keys.device).unsqueeze(1)
        inside = (behind > 0) & (behind <= self.settings.size)
        allowed = inside & (followers != _EMPTY).unsqueeze(1)
        scores = (sharpness * features.float()) @ keys.transpose(1, 2)
        return scores.masked_fill(~allowed, -torch.inf).softmax(dim=2).nan_to_num_(nan=0.0)


def mixed_nats(nats: Tensor, found: Tensor, weight: float) -> Tensor:
    """Nats of the mixture, from those of the model and p_cache of the targets; the model's where p_cache is NaN."""
    mixed = -((1 - weight) * (-nats).exp() + weight * found).log()
    return torch.where(found.isnan(), nats, mixed)


def fit_weight(nats: Tensor, found: Tensor) -> tuple[float, float]:
    """Find the weight that gives the tokens the fewest nats: (weight, mean nats), in hundredths."""
    weights = [hundredth / 100 for hundredth in range(100)]  # 1 itself would give some token no probability at all
    means = [float(mixed_nats(nats, found, weight).double().mean()) for weight in weights]
    best = min(range(len(weights)), key=means.__getitem__)
    return weights[best], means[best]
