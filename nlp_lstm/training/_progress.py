"""What a person sees while training runs: a bar on a terminal, a line a validation elsewhere; all on stderr."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable

from tqdm import tqdm

from nlp_lstm.training._distributed import rank_here
from nlp_lstm.training._run import say

_REFRESH_SECONDS = 0.25


class Progress:
    """A bar over the budget with loss, speed and time left; `describe` says a validation's value in words."""

    def __init__(self, item: str, describe: Callable[[float], str]) -> None:
        self.item, self.describe = item, describe
        self.bar = tqdm(
            total=1.0,
            bar_format="{percentage:3.0f}%|{bar:20}| {desc}",
            file=sys.stderr,
            disable=None if rank_here() == 0 else True,
            dynamic_ncols=True,
            leave=False,
        )
        self._shown = 0.0

    def due(self) -> bool:
        """Whether a quarter of a second has passed since the bar was drawn."""
        return time.perf_counter() - self._shown >= _REFRESH_SECONDS

    def show(self, spent: float, loss: float, speed: float, elapsed: float) -> None:
        """Draw the bar: share of the budget, mean loss in nats, items a second, seconds so far."""
        self._shown = time.perf_counter()
        left = elapsed * (1 - spent) / spent if spent > 0 else 0.0
        self.bar.n = min(1.0, spent)
        self.bar.set_description_str(f"loss {loss:.4f} | {speed:,.0f} {self.item}s/s | {clock(left)} left")

    def validated(self, step: int, spent: float, train: float, valid: float, speed: float, best: bool) -> None:
        """Print one line for a validation."""
        mark = ", best so far" if best else ""
        self.line(
            f"{min(spent, 1.0):4.0%} | step {step:,} | train {train:.4f} | valid {self.describe(valid)}{mark}"
            f" | {speed:,.0f} {self.item}s/s"
        )

    def line(self, text: str) -> None:
        """Print a line above the bar."""
        if self.bar.disable:
            say(text)
        else:
            tqdm.write(text, file=sys.stderr)

    def close(self) -> None:
        """Take the bar away."""
        self.bar.close()


def describe_loss(nats: float) -> str:
    """Give a loss in nats with its perplexity and bits, for a person."""
    perplexity = math.exp(nats) if nats < 700 else math.inf
    return f"loss {nats:.4f}, perplexity {perplexity:,.2f}, {nats / math.log(2):.3f} bits"


def clock(seconds: float) -> str:
    """Give seconds as 1:05 or 2:03:09."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
