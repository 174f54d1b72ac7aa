"""Why a text got its label: how much each word spoke for it."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nlp_lstm.errors import unknown_name
from nlp_lstm.models import Classifier
from nlp_lstm.tasks._classification_reading import Ids, length_batches, pad
from nlp_lstm.tokenization import Tokenizer

Method = Literal["integrated-gradients", "leave-one-out"]
METHODS: tuple[Method, ...] = ("integrated-gradients", "leave-one-out")
_TOKENS_AT_ONCE = 8192
_POINTS = (16, 64, 256, 1024, 4096)  # on the way from nothing to the text: more where fewer do not add up
_ENOUGH_TOKENS = 200_000
_MOST_LEFT_OUT = 500
_CLOSE = 0.01

Words = tuple[list[str], Ids, Ids]
"""Words that joined are the text, the ids that the model reads, and of which word each id is."""


@dataclass(frozen=True)
class Explanation:
    """How much each word of a text speaks for a label.

    Attributes:
        label: The label that is explained.
        probability: What the model gives it.
        words: The parts of the text; joined they are the text.
        contributions: For each word the nats by which it raises (or, below 0, lowers) the log-odds of the label.
        baseline: The log-odds without the words, of as many zero vectors: the contributions of integrated gradients add
            up to log_odds - baseline. Those of leave-one-out need not add up, and their baseline is log_odds.
        log_odds: The log-odds ln p / (1 - p) of the label.
        method: How the contributions were found.
    """

    label: str
    probability: float
    words: tuple[str, ...]
    contributions: tuple[float, ...]
    baseline: float
    log_odds: float
    method: Method

    def strengths(self) -> list[float]:
        """Return each word's contribution as a share of the strongest one, from -1 to 1."""
        strongest = max(map(abs, self.contributions), default=0.0) or 1.0
        return [one / strongest for one in self.contributions]

    def html(self) -> str:
        """Return a paragraph of HTML: words for the label on blue, words against it on orange, stronger is darker."""
        spans = [_span(*pair) for pair in zip(self.words, self.strengths(), self.contributions, strict=True)]
        label = html.escape(self.label)
        return f'<p class="explanation"><b>{label}</b> {self.probability:.4f}<br>{"".join(spans)}</p>'

    _repr_html_ = html


def _span(word: str, strength: float, contribution: float) -> str:
    colour = "31, 119, 180" if contribution > 0 else "255, 127, 14"
    style = f"background: rgba({colour}, {abs(strength) * 0.7:.2f})"
    return f'<span style="{style}" title="{contribution:+.3f}">{html.escape(word)}</span>'


def explain(
    model: Classifier, words: Words, labels: Sequence[str], column: int, temperature: float, method: Method
) -> Explanation:
    """Explain the label in `column` for a text that was cut into words.

    What is of no word (-1), such as the ends of a text, stays as it is. Integrated gradients (Sundararajan, Taly and
    Yan 2017, equation 1) go in a line from zero vectors in the place of the words to the text's embedding; by their
    completeness the contributions add up to the difference of the log-odds at its two ends. Leave-one-out is the
    log-odds with a word less those without it; of a text of more than 500 words, of several neighbouring words at once.
    Raises UsageError for another method.
    """
    if method not in METHODS:
        raise unknown_name("method of explanation", method, METHODS)
    pieces, ids, numbers = words
    several = model.options.output == "sigmoid"

    def log_odds(logits: Tensor) -> Tensor:
        heated = logits.double() / temperature
        if several:
            return heated[:, column]
        others = torch.cat([heated[:, :column], heated[:, column + 1 :]], dim=1)
        return heated[:, column] - others.logsumexp(dim=1)

    training = model.training
    model.eval()
    try:
        found = _integrated_gradients if method == "integrated-gradients" else _leave_one_out
        of_words, baseline, whole = found(model, ids, numbers, len(pieces), log_odds)
    finally:
        model.train(training)
    probability = float(1 / (1 + np.exp(-whole)))
    return Explanation(labels[column], probability, tuple(pieces), tuple(of_words.tolist()), baseline, whole, method)


LogOdds = Callable[[Tensor], Tensor]
Found = tuple[npt.NDArray[np.float64], float, float]


def _integrated_gradients(model: Classifier, ids: Ids, numbers: Ids, words: int, log_odds: LogOdds) -> Found:
    device = model.embedding.device
    row = torch.from_numpy(ids).to(device).unsqueeze(0)
    embedded = model.embedding.detach()[row]  # (1, time, size)
    of_word = numbers >= 0
    start = embedded * torch.from_numpy(~of_word).to(embedded).view(1, -1, 1)

    def read(x: Tensor) -> Tensor:
        lengths = torch.full((len(x),), x.shape[1], device=device)
        return log_odds(model.read(x, row.expand(len(x), -1), lengths))

    with torch.no_grad():
        baseline, whole = float(read(start)), float(read(embedded))
    for points in _POINTS:
        gradient = _mean_gradient(read, start, embedded, points)
        contributions = (gradient * (embedded - start)[0].double()).sum(dim=1).cpu().numpy()
        gap = abs(contributions.sum() - (whole - baseline))
        if gap <= _CLOSE * max(1.0, abs(whole - baseline)) or points * len(ids) > _ENOUGH_TOKENS:
            break
    of_words = np.zeros(words)
    np.add.at(of_words, numbers[of_word], contributions[of_word])
    return of_words, baseline, whole


def _mean_gradient(read: Callable[[Tensor], Tensor], start: Tensor, end: Tensor, points: int) -> Tensor:
    """Mean of the gradient on the way from `start` to `end`, (time, size), at the middle of each step.

    A maximum over time makes the gradient jump on its way, so that a rule of higher order would gain nothing.
    """
    at_once = max(1, _TOKENS_AT_ONCE // end.shape[1])
    total = torch.zeros_like(end[0], dtype=torch.float64)
    for first in range(0, points, at_once):
        steps = torch.arange(first, min(first + at_once, points), device=end.device)
        x = (start + (steps + 0.5).view(-1, 1, 1) / points * (end - start)).requires_grad_()
        # cuDNN differentiates its recurrent kernels in training mode alone.
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            (gradient,) = torch.autograd.grad(read(x).sum(), x)
        total += gradient.double().sum(dim=0)
    return total / points


@torch.no_grad()
def _leave_one_out(model: Classifier, ids: Ids, numbers: Ids, words: int, log_odds: LogOdds) -> Found:
    device = model.embedding.device

    def read(sequences: Sequence[Ids]) -> list[float]:
        rows, lengths = (torch.from_numpy(one).to(device) for one in pad(sequences))
        values: list[float] = log_odds(model(rows, lengths)).tolist()
        return values

    def without(group: npt.NDArray[np.int64]) -> Ids:
        rest = ids[~np.isin(numbers, group)]
        return rest if len(rest) else np.array([Tokenizer.eos_id])

    (whole,) = read([ids])
    contributions = np.zeros(words)
    tokens = np.bincount(numbers[numbers >= 0], minlength=words)  # of each word
    read_words = tokens.nonzero()[0]
    groups = np.array_split(read_words, min(len(read_words), _MOST_LEFT_OUT)) if len(read_words) else []
    for places in length_batches([max(1, len(ids) - int(tokens[group].sum())) for group in groups]):
        for place, rest in zip(places, read([without(groups[place]) for place in places]), strict=True):
            contributions[groups[place]] = (whole - rest) / len(groups[place])
    return contributions, whole, whole
