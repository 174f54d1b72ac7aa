"""The options of the searches for whole sentences, checked when they are made."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nlp_lstm.decoding._options import is_whole
from nlp_lstm.errors import UsageError

LARGEST_COUNT, LARGEST_RATIO = 1_000_000, 1_000.0
"""More than any sentence or beam has; much larger ones overflow where they are counted."""

_POSITIVE = f"a whole number from 1 to {LARGEST_COUNT:,}"
_OFF_OR_POSITIVE = f"a whole number from 0 (off) to {LARGEST_COUNT:,}"


@dataclass(frozen=True)
class BeamOptions:
    """How whole sentences are searched for. Lengths are in tokens and do not count the end of sentence.

    A finished hypothesis has the score log P / lp + cp, with lp = ((5 + n) / 6) ** length_penalty for its n tokens,
    the end of sentence among them, and cp = coverage_penalty * sum over the source of log(min(attention received, 1))
    (Wu et al. 2016, "Google's Neural Machine Translation System", equation 14).

    Whole numbers may be up to a million, and the ratio up to a thousand.

    Attributes:
        beam_size: Hypotheses kept for each sentence; 1 is greedy search.
        length_penalty: 0 compares the plain log-probabilities, which favours short sentences; more favours long ones.
        coverage_penalty: Punishes source tokens that got little attention; 0 is off.
        min_length: No sentence ends before this many tokens.
        max_length: Every sentence ends after at most this many tokens; none leaves it to `max_length_ratio`.
        max_length_ratio: Every sentence ends after at most this many tokens for each source token, plus 10; none
            means 2 where there is no `max_length` either. A translator that knows its training pairs takes the largest
            ratio among them in place of 2, and their longest target, plus 10, as `max_length`.
        no_repeat_ngram_size: No sequence of this many tokens comes twice in a sentence; 0 is off.
        n_best: Hypotheses returned for each sentence, best first.

    Raises:
        UsageError: options out of range; the message names every one of them by its flag.
    """

    beam_size: int = 5
    length_penalty: float = 1.0
    coverage_penalty: float = 0.0
    min_length: int = 0
    max_length: int | None = None
    max_length_ratio: float | None = None
    no_repeat_ngram_size: int = 0
    n_best: int = 1

    def __post_init__(self) -> None:
        # Comparisons with NaN are false, so each rule states what is allowed and not what is forbidden.
        rules = (
            ("--beam-size", self.beam_size, _counts(self.beam_size, 1), _POSITIVE),
            ("--length-penalty", self.length_penalty, 0 <= self.length_penalty < math.inf, "0 (off) or more"),
            ("--coverage-penalty", self.coverage_penalty, 0 <= self.coverage_penalty < math.inf, "0 (off) or more"),
            ("--min-length", self.min_length, _counts(self.min_length, 0), _OFF_OR_POSITIVE),
            (
                "--max-length",
                self.max_length,
                self.max_length is None or _counts(self.max_length, 1),
                _POSITIVE,
            ),
            (
                "--max-length-ratio",
                self.max_length_ratio,
                self.max_length_ratio is None or 0 < self.max_length_ratio <= LARGEST_RATIO,
                f"above 0 and at most {LARGEST_RATIO:,.0f}",
            ),
            (
                "--no-repeat-ngram-size",
                self.no_repeat_ngram_size,
                _counts(self.no_repeat_ngram_size, 0),
                _OFF_OR_POSITIVE,
            ),
            ("--n-best", self.n_best, _counts(self.n_best, 1), _POSITIVE),
        )
        faults = [f"{flag} is {given!r}; it must be {allowed}." for flag, given, holds, allowed in rules if not holds]
        faults = faults or self._conflicts()
        if faults:
            raise UsageError(" ".join(faults))

    def _conflicts(self) -> list[str]:
        faults = []
        if self.n_best > self.beam_size:
            faults.append(
                f"--n-best {self.n_best} asks for more than a beam of {self.beam_size} holds; "
                f"lower it or give --beam-size {self.n_best}."
            )
        if self.max_length is not None and self.min_length > self.max_length:
            faults.append(
                f"--min-length {self.min_length} is above --max-length {self.max_length}; lower it or raise the other."
            )
        return faults


def _counts(value: object, least: int) -> bool:
    return is_whole(value) and isinstance(value, int) and least <= value <= LARGEST_COUNT
