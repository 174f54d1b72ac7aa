"""The recurrent text classifier: embedding, a stack of recurrent layers, pooling, and an output over the labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nlp_lstm.cells import recurrent_layer
from nlp_lstm.errors import ShapeError, UsageError
from nlp_lstm.models._adversarial import adversarial_change, frozen
from nlp_lstm.models._classifier_hierarchy import join_documents, split_sentences
from nlp_lstm.models._classifier_options import ClassifierOptions
from nlp_lstm.models._classifier_output import OrdinalOutput, label_losses
from nlp_lstm.models._dropout import LockedDropout, embed
from nlp_lstm.models._initialization import start_normal
from nlp_lstm.models._pooling import Pooling


class Encoder(nn.Module):
    """A stack of recurrent layers, in one or both directions, and the pooling of what it puts out.

    The backward half reads each sequence turned round within its own length. So neither half ever meets padding before
    the sequence's end, and both take the path without lengths, which is several times as fast in torch's kernels.
    With `separate` each direction has its half of the input, and reads nothing of the other.
    """

    def __init__(
        self, input_size: int, sizes: Sequence[int], options: ClassifierOptions, separate: bool = False
    ) -> None:
        super().__init__()
        self.layers, self.backward_layers = nn.ModuleList(), nn.ModuleList()
        self.separate = separate
        input_size = input_size // 2 if separate else input_size
        for size in sizes:
            layers = [
                recurrent_layer(options.cell, input_size, size, batch_first=True, weight_dropout=options.weight_dropout)
                for _ in range(2 if options.bidirectional else 1)
            ]
            self.layers.append(layers[0])
            self.backward_layers.extend(layers[1:])
            input_size = layers[0].cell.output_size(size) * (1 if separate else len(layers))
        input_size = input_size * 2 if separate else input_size
        self.hidden_dropout = LockedDropout(options.hidden_dropout)
        self.pooling = Pooling(options.poolings, input_size, options.bidirectional)
        self.output_size = self.pooling.output_size

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Read sequences x (batch, time, features) of these lengths (batch,); returns (batch, output_size)."""
        x = self._read_apart(x, lengths) if self.separate else self._read_together(x, lengths)
        pooled: Tensor = self.pooling(x, lengths)
        return pooled

    def _read_together(self, x: Tensor, lengths: Tensor) -> Tensor:
        for index, layer in enumerate(self.layers):
            if index:
                x = self.hidden_dropout(x)
            output, _ = layer(x)
            if self.backward_layers:
                backward, _ = self.backward_layers[index](turn_round(x, lengths))
                output = torch.cat([output, turn_round(backward, lengths)], dim=2)
            x = output
        return x

    def _read_apart(self, x: Tensor, lengths: Tensor) -> Tensor:
        forward, backward = x.chunk(2, dim=2)
        forward, backward = forward.contiguous(), turn_round(backward, lengths)
        for index, layers in enumerate(zip(self.layers, self.backward_layers, strict=True)):
            if index:
                forward, backward = self.hidden_dropout(forward), self.hidden_dropout(backward)
            (forward, _), (backward, _) = layers[0](forward), layers[1](backward)
        return torch.cat([forward, turn_round(backward, lengths)], dim=2)


def turn_round(x: Tensor, lengths: Tensor) -> Tensor:
    """Reverse each sequence of x (batch, time, features) within its own length; what stands behind stays there."""
    batch, time, size = x.shape
    steps = torch.arange(time, device=x.device)
    source = torch.where(steps < lengths.unsqueeze(1), lengths.unsqueeze(1) - 1 - steps, steps)  # (batch, time)
    rows = (source + torch.arange(batch, device=x.device).unsqueeze(1) * time).flatten()
    return x.reshape(batch * time, size).index_select(0, rows).view(batch, time, size)


class Classifier(nn.Module):
    """A classifier over token ids: p(label | text), by recurrent layers over the text and a pooling of their states.

    Batches are (batch, time) with the length of each text; what stands behind a text's end changes nothing. With
    `hierarchical` an encoder reads each sentence and a second one the sentences' vectors (Yang et al. 2016); a sentence
    ends with a token of `sentence_ends`.
    """

    def __init__(
        self, vocab_size: int, number_of_labels: int, options: ClassifierOptions, sentence_ends: Sequence[int] = ()
    ) -> None:
        super().__init__()
        if number_of_labels < 2 and options.output != "sigmoid":
            raise UsageError(
                f"There is {number_of_labels} label; a classifier tells at least 2 apart. Give data that has them."
            )
        if options.hierarchical and not sentence_ends:
            raise UsageError("--hierarchical needs tokens that end a sentence. Give --tokenizer word, or leave it out.")
        self.vocab_size, self.number_of_labels, self.options = vocab_size, number_of_labels, options
        self.sentence_ends = tuple(sentence_ends)
        self.embedding = nn.Parameter(torch.empty(vocab_size, options.embedding_size))
        start_normal(self.embedding, options.embedding_size**-0.5)
        self.input_dropout = LockedDropout(options.input_dropout)
        self.encoder = Encoder(options.embedding_size, options.layer_sizes, options, options.separate_directions)
        self.document_encoder = None
        size = self.encoder.output_size
        if options.hierarchical:
            self.document_encoder = Encoder(size, options.layer_sizes[-1:], options)
            size = self.document_encoder.output_size
        self.output_dropout = nn.Dropout(options.output_dropout)
        ordinal = options.output == "ordinal" and number_of_labels > 2  # of two ratings a threshold is a bias
        self.output: nn.Module = OrdinalOutput(size, number_of_labels) if ordinal else nn.Linear(size, number_of_labels)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Give the logits of the labels: ids (batch, time) int64, lengths (batch,) of 1 or more -> (batch, labels)."""
        return self.read(self._embedded(ids, lengths), ids, lengths)

    def _embedded(self, ids: Tensor, lengths: Tensor) -> Tensor:
        if ids.dim() != 2 or lengths.shape != ids.shape[:1]:
            raise ShapeError(
                f"The token ids have the shape {tuple(ids.shape)} and the lengths {tuple(lengths.shape)}; "
                f"give (batch, time) and (batch,)."
            )
        x: Tensor = self.input_dropout(embed(ids, self.embedding, self.options.embedding_dropout, self.training))
        return x

    def read(self, x: Tensor, ids: Tensor, lengths: Tensor) -> Tensor:
        """Give the logits for embedded tokens x (batch, time, embedding_size); `ids` tell where sentences end."""
        if self.document_encoder is None:
            pooled = self.encoder(x, lengths)
        else:
            ends = torch.tensor(self.sentence_ends, device=ids.device)
            sentences, sizes, counts = split_sentences(x, ids, lengths, ends)
            pooled = self.document_encoder(join_documents(self.encoder(sentences, sizes), counts), counts)
        logits: Tensor = self.output(self.output_dropout(pooled))
        return logits

    def loss(
        self,
        ids: Tensor,
        lengths: Tensor,
        targets: Tensor,
        scale: float = 1.0,
        weights: Tensor | None = None,
        smoothing: float = 0.0,
        adversarial: float = 0.0,
    ) -> Tensor:
        """Sum of nats over the texts, times `scale`; targets, weights and smoothing as in `label_losses`.

        With `adversarial` they are what the texts cost after an `adversarial_change` of that size, as in Madry et al.
        2018, "Towards Deep Learning Models Resistant to Adversarial Attacks", equation 2.1.
        """

        def losses(x: Tensor) -> Tensor:
            return label_losses(self.read(x, ids, lengths), targets, weights, smoothing)

        x = self._embedded(ids, lengths)
        if adversarial:
            with frozen(self):
                change = adversarial_change(losses, x, lengths, adversarial)
            x = x + change
        return losses(x).sum() * scale
