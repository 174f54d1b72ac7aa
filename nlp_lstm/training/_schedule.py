"""How much of the budget is spent, and the learning rate there."""

from __future__ import annotations

import math

from nlp_lstm.training._options import TrainingOptions


def progress(options: TrainingOptions, step: int, epochs: float, elapsed: float) -> float:
    """Share of the budget that is spent, 1 at its end: whichever of steps, epochs and seconds is furthest."""
    shares = [0.0]
    if options.max_steps is not None:
        shares.append(step / options.max_steps)
    if options.max_epochs is not None:
        shares.append(epochs / options.max_epochs)
    if options.time_budget is not None:
        shares.append(elapsed / options.time_budget)
    return max(shares)


def learning_rate(options: TrainingOptions, spent: float, rate_scale: float) -> float:
    """Learning rate where the share `spent` of the budget is spent.

    It rises in a line over `warmup`. Then cosine (Loshchilov and Hutter 2017, equation 5, one period) falls to
    `final_learning_rate` times the peak, linear does in a line (Howard and Ruder 2018, equation 3), constant and
    plateau stay. After the warm-up all is times `rate_scale`, which plateau and restarts lower.
    """
    if spent < options.warmup:
        # The first step's share is 0, and a step of length 0 would be lost.
        return options.learning_rate * max(spent / options.warmup, 0.01)
    peak = options.learning_rate * rate_scale
    if options.schedule in ("constant", "plateau"):
        return peak
    position = min(1.0, (spent - options.warmup) / (1 - options.warmup))
    low = options.final_learning_rate
    if options.schedule == "linear":
        return peak * (1 - (1 - low) * position)
    return peak * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * position)))
