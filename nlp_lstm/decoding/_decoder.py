"""What a search asks of a model: a step, and the choice of rows of its state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from nlp_lstm.decoding._step import State

if TYPE_CHECKING:
    from torch import Tensor


class Decoder(Protocol[State]):
    """A model that gives the next token's logits, one row a hypothesis.

    A decoder may also have a method `attention(state) -> Tensor | None`: the weights, (rows, source length), that the
    last step laid on the source, of one width for a whole search and 0 on padding. Where there is one, the hypotheses
    carry the weights of their tokens, and the coverage penalty can be used.
    """

    def step(self, ids: Tensor, state: State, /) -> tuple[Tensor, State]:
        """Read `ids`, int64 (rows,), and return the logits of the next token, (rows, vocab), and the new state."""

    def select(self, state: State, rows: Tensor, /) -> State:
        """Return the state of `rows`, int64 (n,): rows of the state in a new order, repeated or left out.

        The searches keep the hypotheses of one sentence together and the sentences in their order, and they do not
        ask for what would change nothing. What is equal for all hypotheses of a sentence, like its encoding, needs to
        be moved only where the sentences of the rows change.
        """


def attention_of(decoder: Decoder[State], state: State) -> Tensor | None:
    """Return the attention of the last step, (rows, source length), or None for a decoder without one."""
    attention = getattr(decoder, "attention", None)
    weights: Tensor | None = None if attention is None else attention(state)
    return weights
