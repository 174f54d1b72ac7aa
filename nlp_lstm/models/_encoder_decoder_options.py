"""The settings of the encoder-decoder; light to import, since `--help` shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nlp_lstm.errors import UsageError, require_choices


@dataclass(frozen=True)
class EncoderDecoderOptions:
    """The shape and the regularisation of a recurrent encoder-decoder.

    Attributes:
        cell: recurrent cell of encoder and decoder, by its name in the zoo.
        embedding_size: features of an embedded token, and of what the output layer reads.
        encoder_size: features of each encoder layer, each way.
        encoder_layers: bidirectional layers of the encoder.
        decoder_size: features of each decoder layer.
        decoder_layers: layers of the decoder; the first asks the attention, the others read its answer.
        attention: how source positions are scored: dot, general or concat (Luong), additive (Bahdanau), or multi-head.
        attention_heads: heads of multi-head attention.
        input_feeding: give each decoder step what the step before put out; trains step by step, and slower.
        shared: one vocabulary and one embedding table for source and target.
        tied: use the target's embedding table as the output's weights.
        layer_norm: normalise the output of every recurrent layer.
        residual: add its input to the output of every recurrent layer after the first.
        dropout: locked dropout of embeddings, of every layer's output and of what the output layer reads.
        word_dropout: share of the positions, source and target, that are read as nothing in a training step.
        weight_dropout: dropout of the recurrent weights, one mask for all time steps.
        label_smoothing: share of the probability to learn that is spread evenly over the vocabulary.
        copy: let the decoder copy tokens of the source; needs --shared.
        coverage: weight of the penalty for attending to a position again; 0 keeps no record of what was attended to.
    """

    cell: str = "lstm"
    embedding_size: int = 256
    encoder_size: int = 256
    encoder_layers: int = 1
    decoder_size: int = 512
    decoder_layers: int = 1
    attention: Literal["dot", "general", "concat", "additive", "multi-head"] = "dot"
    attention_heads: int = 4
    input_feeding: bool = False
    shared: bool = True
    tied: bool = True
    layer_norm: bool = False
    residual: bool = False
    dropout: float = 0.35
    word_dropout: float = 0.0
    weight_dropout: float = 0.0
    label_smoothing: float = 0.1
    copy: bool = False
    coverage: float = 0.0

    def __post_init__(self) -> None:
        """Refuse sizes and shares out of range, and settings that exclude each other, all in one message."""
        require_choices(self)
        faults = [*self._out_of_range(), *self._contradictions()]
        if faults:
            raise UsageError(" ".join(faults))

    def _out_of_range(self) -> list[str]:
        sizes = ("embedding_size", "encoder_size", "encoder_layers", "decoder_size", "decoder_layers")
        faults = [
            f"{_flag(name)} {getattr(self, name)} must be at least 1."
            for name in (*sizes, "attention_heads")
            if getattr(self, name) < 1
        ]
        faults += [
            f"{_flag(name)} {getattr(self, name)} must be at least 0 and below 1."
            for name in ("dropout", "word_dropout", "weight_dropout", "label_smoothing")
            if not 0 <= getattr(self, name) < 1
        ]
        if not 0 <= self.coverage < float("inf"):
            faults.append(f"--coverage {self.coverage} must be a finite number, not below 0.")
        return faults

    def _contradictions(self) -> list[str]:
        faults = []
        if self.attention == "dot" and self.decoder_size != 2 * self.encoder_size:
            faults.append(
                f"--attention dot needs --decoder-size to be twice --encoder-size; they are {self.decoder_size} and "
                f"{self.encoder_size}. Change one, or give --attention general."
            )
        if self.attention == "multi-head" and self.attention_heads > 0 and self.decoder_size % self.attention_heads:
            faults.append(
                f"--decoder-size {self.decoder_size} cannot be divided among --attention-heads {self.attention_heads}."
            )
        if self.copy and not self.shared:
            faults.append("--copy needs one vocabulary for source and target. Give --shared true.")
        if self.coverage and self.attention not in ("additive", "concat"):
            faults.append(f"--coverage is not known to --attention {self.attention}. Give --attention additive.")
        return faults


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
