"""The settings of models; light to import, since `--help` shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nlp_lstm.errors import UsageError, require_choices


@dataclass(frozen=True)
class LanguageModelOptions:
    """The shape and the regularisation of a recurrent language model.

    Attributes:
        cell: recurrent cell, by its name in the zoo (rnn, rnn_relu, lstm, gru, gru_reset_before, peephole, cifg,
            layer_norm_lstm, lstmp, mogrifier, multiplicative, slstm, minlstm, mingru, qrnn), or transformer, a decoder
            of about the LSTM's parameter count to compare with; `nlp-lstm cells` lists them.
        embedding_size: features of an embedded token.
        hidden_size: features of each recurrent layer (of all but the last where the output is tied).
        num_layers: recurrent layers on top of each other.
        tied: use the embedding table as the output's weights; the last layer then has embedding_size features.
        output: full softmax; sampled (trained against a sample of the rare words, scored in full); or adaptive
            (frequent words in a small head, rare ones in cheaper clusters).
        output_samples: how many rare words a training step of the sampled output draws.
        input_dropout: locked dropout of the embedded input.
        hidden_dropout: locked dropout between recurrent layers.
        output_dropout: locked dropout of the last layer's output.
        embedding_dropout: share of the vocabulary whose embedding is zero in a training step.
        weight_dropout: dropout of the recurrent weights, one mask for all time steps.
        recurrent_initialization: orthogonal, or uniform as in torch.
        forget_bias: start of the forget gate's bias.
    """

    cell: str = "lstm"
    embedding_size: int = 64
    hidden_size: int = 512
    num_layers: int = 1
    tied: bool = False
    output: Literal["full", "sampled", "adaptive"] = "full"
    output_samples: int = 1024
    input_dropout: float = 0.0
    hidden_dropout: float = 0.0
    output_dropout: float = 0.0
    embedding_dropout: float = 0.0
    weight_dropout: float = 0.0
    recurrent_initialization: Literal["orthogonal", "uniform"] = "uniform"
    forget_bias: float = 0.0

    def __post_init__(self) -> None:
        """Refuse sizes and shares out of range, and a tied adaptive output."""
        require_choices(self)
        sizes = {"--embedding-size": self.embedding_size, "--hidden-size": self.hidden_size}
        sizes |= {"--num-layers": self.num_layers, "--output-samples": self.output_samples}
        faults = [f"{flag} {value} must be at least 1." for flag, value in sizes.items() if value < 1]
        names = ("input_dropout", "hidden_dropout", "output_dropout", "embedding_dropout", "weight_dropout")
        for name in names:
            if not 0 <= getattr(self, name) < 1:
                flag = "--" + name.replace("_", "-")
                faults.append(f"{flag} {getattr(self, name)} must be at least 0 and below 1.")
        if self.tied and self.output == "adaptive":
            faults.append("--output adaptive has no weights to tie. Give --tied false, or --output full.")
        if faults:
            raise UsageError(" ".join(faults))
