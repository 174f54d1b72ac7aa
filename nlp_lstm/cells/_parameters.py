"""What a recurrent layer holds: its parameters, under the names of torch's."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nlp_lstm.cells import _between
from nlp_lstm.cells._cell import Cell


class LayerParameters(nn.Module):
    """The parameters of a stack of recurrent layers, found by layer, direction and the names that a cell uses."""

    cell: Cell
    input_size: int
    hidden_size: int
    num_layers: int
    directions: int
    output_size: int
    bias: bool
    bidirectional: bool
    connection: str
    learned_state: bool
    weight_dropout: float

    def _add_parameters(self, device: torch.device | str | None, dtype: torch.dtype | None) -> None:
        """Register all parameters, and keep which names each layer and direction finds its weights under."""
        self._names: list[dict[str, str]] = []
        everything = self.cell.parameter_shapes(self.input_size, self.hidden_size, True)
        for layer in range(self.num_layers):
            size = self.input_size if layer == 0 else self.output_size
            shapes = self.cell.parameter_shapes(size, self.hidden_size, self.bias)
            self._absent: dict[str, None] = dict.fromkeys(name for name in everything if name not in shapes)
            own = shapes
            if self.learned_state:
                widths = self.cell.state_sizes(self.hidden_size)
                own = shapes | {f"initial_{name}": (width,) for name, width in widths.items()}
            for suffix in [f"_l{layer}", f"_l{layer}_reverse"][: self.directions]:
                for name, shape in own.items():
                    parameter = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
                    self.register_parameter(name + suffix, parameter)
                self._names.append({name: name + suffix for name in shapes})
            if self.connection == "highway" and size == self.output_size:
                for name, shape in (("weight_highway", (size, size)), ("bias_highway", (size,))):
                    parameter = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
                    self.register_parameter(f"{name}_l{layer}", parameter)

    def reset_parameters(self) -> None:
        """Draw parameters from the uniform distribution over +-1/sqrt(hidden_size), as torch does.

        What the cell names in `constants` and learned states start at their constants, a highway gate's bias at -1.
        """
        bound = 1 / math.sqrt(self.hidden_size)
        constants = {**self.cell.constants, "bias_highway": _between.HIGHWAY_BIAS}
        constants |= {f"initial_{name}": self.cell.initial_state.get(name, 0.0) for name in self.cell.state_names}
        for name, parameter in self.named_parameters():
            constant = constants.get(name[: name.rindex("_l")])
            if constant is None:
                nn.init.uniform_(parameter, -bound, bound)
            else:
                nn.init.constant_(parameter, constant)

    def extra_repr(self) -> str:
        """Describe the sizes in the layer's printed form."""
        both = ", bidirectional=True" if self.bidirectional else ""
        options = "".join(f", {f.name}={getattr(self.cell, f.name)!r}" for f in dataclasses.fields(self.cell))
        return f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}{both}{options}"

    @property
    def _first_weight(self) -> Tensor:
        """A weight, to tell the type and the device of all."""
        key = next(iter(self._names[0].values()))
        weight: Tensor | None = self._parameters.get(key)
        return getattr(self, key) if weight is None else weight

    def _weights(self, index: int) -> SimpleNamespace:
        """Give the weights of one layer and direction, by the names that its cell uses."""
        parameters = self._parameters
        weights = SimpleNamespace(**self._absent)
        # A parameter that torch.nn.utils.parametrize computes is no entry of the dictionary, and is found the long way.
        for name, key in self._names[index].items():
            setattr(weights, name, parameters[key] if key in parameters else getattr(self, key))
        if self.training and self.weight_dropout > 0:
            for name in self.cell.recurrent_weights:
                setattr(weights, name, F.dropout(getattr(weights, name), self.weight_dropout))
        return weights

    def _highway(self, layer: int) -> tuple[Tensor, Tensor] | None:
        if f"weight_highway_l{layer}" not in self._parameters:
            return None
        return getattr(self, f"weight_highway_l{layer}"), getattr(self, f"bias_highway_l{layer}")

    def _learned(self) -> list[Tensor]:
        """Give the learned start of each tensor of the state, (layers * directions, width)."""
        suffixes = [names["weight_ih"].removeprefix("weight_ih") for names in self._names]
        starts = [[getattr(self, f"initial_{name}{suffix}") for suffix in suffixes] for name in self.cell.state_names]
        return [torch.stack(ones) for ones in starts]
