"""The recurrent language model: embedding, a stack of recurrent layers, and an output over the vocabulary."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nlp_lstm.cells import State
from nlp_lstm.errors import ShapeError
from nlp_lstm.models._dropout import LockedDropout, embed
from nlp_lstm.models._initialization import initialize_recurrent, start_normal
from nlp_lstm.models._options import LanguageModelOptions
from nlp_lstm.models._output import AdaptiveOutput, FullOutput, SampledOutput
from nlp_lstm.models._stack import build_stack
from nlp_lstm.models._tied import TiedGradient

ModelState = tuple[Tensor | State, ...]
"""One state a layer, each as the recurrent layer gives it."""


class LanguageModel(nn.Module):
    """A language model over token ids: p(next token | all tokens before it), by a recurrent state.

    Follows Zaremba et al. 2014, with the tied output of Press and Wolf 2017 and the dropout of Merity et al. 2018 where
    the options ask for them. Batches are (batch, time). The state goes in and comes out of every call; `None` starts
    from zeros.
    """

    def __init__(self, vocab_size: int, options: LanguageModelOptions) -> None:
        super().__init__()
        self.vocab_size, self.options = vocab_size, options
        self.embedding = nn.Parameter(torch.empty(vocab_size, options.embedding_size))
        self.layers, size = build_stack(options)
        self.input_dropout = LockedDropout(options.input_dropout)
        self.hidden_dropout = LockedDropout(options.hidden_dropout)
        self.output_dropout = LockedDropout(options.output_dropout)
        self.output = self._build_output(size)
        self._initialize()

    def _build_output(self, size: int) -> FullOutput | AdaptiveOutput:
        options = self.options
        tied = self.embedding if options.tied else None
        if options.output == "adaptive":
            return AdaptiveOutput(self.vocab_size, size)
        if options.output == "sampled":
            return SampledOutput(self.vocab_size, size, tied, options.output_samples)
        return FullOutput(self.vocab_size, size, tied)

    def _initialize(self) -> None:
        options = self.options
        start_normal(self.embedding, 0.1 if options.tied else 1.0)
        for layer in self.layers:
            initialize_recurrent(layer, options.recurrent_initialization, options.forget_bias)

    def tie(self) -> None:
        """Make the output use the embedding table again, where moving the model to another storage made two of one."""
        if isinstance(self.output, FullOutput) and self.options.tied:
            self.output.weight = self.embedding

    def hidden(self, ids: Tensor, state: ModelState | None = None) -> tuple[Tensor, ModelState]:
        """Run the recurrent stack: ids (batch, time) int64 -> features (batch, time, size) and the state."""
        return self._hidden(ids, state, None)

    def _hidden(self, ids: Tensor, state: ModelState | None, tied: TiedGradient | None) -> tuple[Tensor, ModelState]:
        if ids.dim() != 2:
            raise ShapeError(f"The token ids have the shape {tuple(ids.shape)}; give (batch, time).")
        x = embed(ids, self.embedding, self.options.embedding_dropout, self.training, tied)
        x = self.input_dropout(x)
        before: ModelState | tuple[None, ...] = (None,) * len(self.layers) if state is None else state
        after = []
        for index, (layer, start) in enumerate(zip(self.layers, before, strict=True)):
            if index:
                x = self.hidden_dropout(x)
            x, end = layer(x, start)
            after.append(end)
        return self.output_dropout(x), tuple(after)

    def forward(self, ids: Tensor, state: ModelState | None = None) -> tuple[Tensor, ModelState]:
        """Give the logits of every position: ids (batch, time) -> (batch, time, vocab_size) and the state."""
        features, state = self.hidden(ids, state)
        return self.output.logits(features), state

    def loss(
        self, ids: Tensor, targets: Tensor, state: ModelState | None = None, scale: float = 1.0
    ) -> tuple[Tensor, ModelState]:
        """Sum of nats over the scored targets, times `scale`, without holding all logits at once.

        ids and targets are (batch, time) int64; a target of -100 is not scored. Multiply by `scale` here (1 / number of
        targets for a mean) rather than outside: the gradient is then scaled while it is small.
        """
        if not (isinstance(self.output, FullOutput) and self.output.weight is self.embedding):
            features, state = self.hidden(ids, state)
            return self.output.loss(features.flatten(0, 1), targets.flatten(), scale), state
        tied = TiedGradient()
        features, state = self._hidden(ids, state, tied)
        return self.output.loss(features.flatten(0, 1), targets.flatten(), scale, tied), state

    @torch.no_grad()
    def token_losses(self, ids: Tensor, targets: Tensor, state: ModelState | None = None) -> tuple[Tensor, ModelState]:
        """Nats of every token, (batch, time) fp32, zero where the target is -100; and the state."""
        features, state = self.hidden(ids, state)
        return self.output.token_losses(features.flatten(0, 1), targets.flatten()).view(targets.shape), state

    def restart(self, state: ModelState, rows: Tensor) -> ModelState:
        """Put what a text starts from into the rows of a state where `rows` (batch,) is true.

        What a Transformer remembers stays: it ends by itself.
        """
        return tuple(layer.restart(one, rows) for layer, one in zip(self.layers, state, strict=True))  # type: ignore[operator]

    def step(self, ids: Tensor, state: ModelState | None = None) -> tuple[Tensor, ModelState]:
        """Make one step of generation: ids (batch,) -> logits (batch, vocab_size) of the next token, and the state."""
        features, state = self.hidden(ids.unsqueeze(1), state)
        return self.output.logits(features[:, 0]), state


def detach(state: ModelState) -> ModelState:
    """Cut a state from the graph that made it, so that the gradient ends here (truncated back-propagation)."""
    return tuple(one.detach() if isinstance(one, Tensor) else tuple(t.detach() for t in one) for one in state)
