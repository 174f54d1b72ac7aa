"""The settings of a text classifier; light to import, since `--help` shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nlp_lstm.errors import UsageError, require_choices, unknown_name

POOLINGS = ("last", "maximum", "mean", "attention")
"""What `--pooling` may join with a plus sign."""
_SHARES = ("embedding_dropout", "input_dropout", "hidden_dropout", "weight_dropout", "output_dropout")


@dataclass(frozen=True)
class ClassifierOptions:
    """The shape and the regularisation of a recurrent text classifier.

    Attributes:
        cell: recurrent cell, by its name in the zoo (rnn, lstm, gru, ...).
        embedding_size: features of an embedded token.
        hidden_size: features of each recurrent layer in each direction.
        num_layers: recurrent layers on top of each other.
        last_hidden_size: features of the last recurrent layer, where they differ from hidden_size.
        bidirectional: read a text from both ends.
        pooling: how a text becomes one vector: last (the states at its ends), maximum, mean, attention, or several of
            these joined by a plus sign, such as last+maximum+mean.
        separate_directions: let each direction read itself alone, from its own half of the embedded features, up to the
            pooling; by default a layer reads both directions of the one below.
        hierarchical: read each sentence, then the sequence of sentences.
        output: softmax (one label), ordinal (one of several ratings in order), or sigmoid (several labels at once).
        embedding_dropout: share of the vocabulary whose embedding is zero in a training step.
        input_dropout: locked dropout of the embedded input.
        hidden_dropout: locked dropout between recurrent layers.
        weight_dropout: dropout of the recurrent weights, one mask for all time steps.
        output_dropout: dropout of the pooled text, before the output.
    """

    cell: str = "lstm"
    embedding_size: int = 128
    hidden_size: int = 128
    num_layers: int = 1
    last_hidden_size: int | None = None
    bidirectional: bool = True
    pooling: str = "maximum+mean"
    separate_directions: bool = False
    hierarchical: bool = False
    output: Literal["softmax", "ordinal", "sigmoid"] = "softmax"
    embedding_dropout: float = 0.0
    input_dropout: float = 0.0
    hidden_dropout: float = 0.0
    weight_dropout: float = 0.0
    output_dropout: float = 0.0

    def __post_init__(self) -> None:
        """Refuse sizes and shares out of range, and a pooling that there is not."""
        require_choices(self)
        sizes = {"--embedding-size": self.embedding_size, "--hidden-size": self.hidden_size}
        sizes |= {"--num-layers": self.num_layers}
        if self.last_hidden_size is not None:
            sizes["--last-hidden-size"] = self.last_hidden_size
        faults = [f"{flag} {value} must be at least 1." for flag, value in sizes.items() if value < 1]
        faults += [
            f"--{name.replace('_', '-')} {getattr(self, name)} must be at least 0 and below 1."
            for name in _SHARES
            if not 0 <= getattr(self, name) < 1
        ]
        if self.separate_directions and (not self.bidirectional or self.embedding_size % 2):
            faults.append("--separate-directions needs --bidirectional true and an even --embedding-size.")
        if faults:
            raise UsageError(" ".join(faults))
        for name in self.poolings:
            if name not in POOLINGS:
                raise unknown_name("--pooling", name, POOLINGS)
        if len(set(self.poolings)) != len(self.poolings):
            raise UsageError(f"--pooling {self.pooling} names one pooling twice. Name each once.")

    @property
    def poolings(self) -> tuple[str, ...]:
        """The names that `pooling` joins."""
        return tuple(self.pooling.split("+"))

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Features of each recurrent layer, in each direction."""
        return (*[self.hidden_size] * (self.num_layers - 1), self.last_hidden_size or self.hidden_size)
