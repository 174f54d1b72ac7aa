"""Steps of generation with as little as possible around the equations."""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor

from nlp_lstm.cells import Cell, RecurrentLayer, State
from nlp_lstm.models._language_model import LanguageModel, ModelState

_MOST_TABLE_WORK = 100_000_000
"""Multiplications for which a table of projected embeddings is worth its making: some milliseconds."""

StepperState = tuple[State, ...]
"""Each layer's tensors, (batch, width), without the dimension of layers that a `ModelState` has."""


class Stepper:
    """`LanguageModel.step` for a model in evaluation whose weights stay as they are meanwhile; equal but for rounding.

    The weights are looked up once, the cells' equations are called on bare tensors, and with a small vocabulary the
    input's part of the first layer, which depends on the token alone, is a table. Made under `torch.inference_mode`,
    and called under it.
    """

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._cells: list[tuple[Cell, SimpleNamespace]] = []
        for layer in model.layers:
            assert isinstance(layer, RecurrentLayer)
            self._cells.append((layer.cell, _weights(layer)))
        self._table = self._project_table()

    @staticmethod
    def fits(model: object) -> bool:
        """Tell whether a model has nothing but an embedding, plain recurrent layers and an output."""
        return isinstance(model, LanguageModel) and all(_is_plain(layer) for layer in model.layers)

    def _project_table(self) -> Tensor | None:
        cell, weights = self._cells[0]
        embedding = self._model.embedding
        small = len(embedding) * weights.weight_ih.numel() <= _MOST_TABLE_WORK
        return cell.project(embedding, weights) if small else None

    def enter(self, state: ModelState) -> StepperState:
        """Turn a model's state into that of the steps."""
        return tuple((one[0],) if isinstance(one, Tensor) else tuple(t[0] for t in one) for one in state)

    def leave(self, state: StepperState) -> ModelState:
        """Turn the state of the steps into the model's."""
        return tuple(one[0][None] if len(one) == 1 else tuple(t[None] for t in one) for one in state)

    def __call__(self, ids: Tensor, state: StepperState | None) -> tuple[Tensor, StepperState]:
        """Read ids (batch,); give the logits of the next token, (batch, vocab_size), and the state."""
        if state is None:
            logits, first = self._model.step(ids)
            return logits, self.enter(first)
        x = (self._model.embedding if self._table is None else self._table).index_select(0, ids)
        projected = self._table is not None
        after = []
        for (cell, weights), before in zip(self._cells, state, strict=True):
            end = cell.step(x if projected else cell.project(x, weights), before, weights)
            after.append(end)
            x, projected = end[0], False
        return self._model.output.logits(x), tuple(after)


def _is_plain(layer: object) -> bool:
    return (
        isinstance(layer, RecurrentLayer)
        and type(layer).forward is RecurrentLayer.forward
        and layer.num_layers == 1
        and not (layer.bidirectional or layer.zoneout or layer.connection != "none" or layer.backend == "torch")
    )


def _weights(layer: RecurrentLayer) -> SimpleNamespace:
    """The weights of a single layer by the names that its cell uses; a bias that it does not have is None."""
    sizes = (layer.input_size, layer.hidden_size)
    weights = SimpleNamespace(**dict.fromkeys(layer.cell.parameter_shapes(*sizes, True)))
    for name in layer.cell.parameter_shapes(*sizes, layer.bias):
        setattr(weights, name, getattr(layer, f"{name}_l0").detach())
    return weights
