"""The one seam between models and decoding: a step takes ids and a state, and gives logits and a state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

State = TypeVar("State")


class StepFunction(Protocol[State]):
    """One time step of a model, whatever the model is.

    Decoding never looks into the state: it hands back what it was given. `model.step` of a language model fits.
    """

    def __call__(self, ids: Tensor, state: State, /) -> tuple[Tensor, State]:
        """Read `ids`, int64 (batch,), and return the logits of the next token, (batch, vocab), and the new state."""
