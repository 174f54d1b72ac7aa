"""Cross entropy against a sample of the vocabulary: what makes a large softmax cheap to train."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nlp_lstm.models._cross_entropy import IGNORED, cross_entropy

ALWAYS = 2_000
"""Ids below this are never left out: word tokenizers give low ids to frequent words, which hold most of the mass."""


def choose_candidates(targets: Tensor, vocab_size: int, samples: int) -> tuple[Tensor, Tensor]:
    """Draw the words that stand for the whole vocabulary in one step.

    Certain are the frequent words and all targets; of the others, `samples` are drawn evenly and without replacement.
    Returns their ids (candidates,) and what to add to their logits, the log of how many words each stands for.
    """
    certain = torch.zeros(vocab_size, dtype=torch.bool, device=targets.device)
    certain[:ALWAYS] = True
    certain[targets[targets != IGNORED]] = True
    others = (~certain).nonzero().squeeze(1)
    drawn = others[torch.randperm(len(others), device=targets.device)[:samples]]
    ids = torch.cat([certain.nonzero().squeeze(1), drawn])
    weights = torch.zeros(len(ids), device=targets.device)
    if len(drawn):
        weights[len(ids) - len(drawn) :] = math.log(len(others) / len(drawn))
    return ids, weights


def sampled_cross_entropy(
    hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, samples: int, scale: float = 1.0, fast: bool = False
) -> Tensor:
    """Estimate `cross_entropy`, with the same arguments, from some candidates only.

    The sum under the softmax is replaced by an unbiased estimate of it, in which each word that was drawn stands for
    those that were not (importance sampling, Bengio and Senecal 2008; Jean et al. 2015, section 3). Its logarithm, the
    loss, is a little too low on average; with every word a candidate it is exact. Draws from torch's generator.
    """
    ids, weights = choose_candidates(targets, weight.shape[0], samples)
    place = torch.full((weight.shape[0],), IGNORED, device=targets.device)
    place[ids] = torch.arange(len(ids), device=targets.device)
    scored = targets != IGNORED
    wanted = torch.where(scored, place[targets.clamp(min=0)], IGNORED)
    return cross_entropy(hidden, weight[ids], bias[ids] + weights, wanted, scale, fast)
