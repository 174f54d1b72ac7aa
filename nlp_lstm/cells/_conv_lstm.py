"""The LSTM over maps: convolutions in the place of matrix products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nlp_lstm.cells import _lengths, _states
from nlp_lstm.cells._arguments import check_sizes, is_whole
from nlp_lstm.cells._cell import State
from nlp_lstm.errors import ShapeError, UsageError


class ConvLSTM(nn.Module):
    """A stack of convolutional LSTM layers over sequences of maps; use `ConvLSTM1d` or `ConvLSTM2d`.

    Shi et al. 2015, "Convolutional LSTM Network: A Machine Learning Approach for Precipitation Nowcasting", section
    3.1, equation 3. With (*) a convolution that keeps the map's size by zeros around it, * the product place by place,
    and the rows of the kernels in the order i, f, g, o:

        i_t = sigmoid(W_ii (*) x_t + W_hi (*) h_{t-1} + w_ci * c_{t-1} + b_i)     input gate
        f_t = sigmoid(W_if (*) x_t + W_hf (*) h_{t-1} + w_cf * c_{t-1} + b_f)     forget gate
        g_t = tanh(W_ig (*) x_t + W_hg (*) h_{t-1} + b_g)                         candidate
        c_t = f_t * c_{t-1} + i_t * g_t                                           cell state
        o_t = sigmoid(W_io (*) x_t + W_ho (*) h_{t-1} + w_co * c_t + b_o)         output gate
        h_t = o_t * tanh(c_t)                                                     hidden state

    `output, (h, c) = layer(x, state)`: x is (time, batch, input_size, *map), or (batch, time, ...) with `batch_first`;
    the output is (time, batch, hidden_size, *map), and each tensor of the state (num_layers, batch, hidden_size, *map).
    `lengths` is that of `RecurrentLayer`. `kernel_size` is one odd number for all dimensions. The peepholes w_ci, w_cf
    and w_co, one weight a channel and place as in the paper, are there where `map_size` names the size of the maps.

    It is no `RecurrentLayer`, stands in no table of cells, and takes none of their other options: one direction, no
    dropout, zoneout, learned state or connection past a layer, no input without a batch, no PackedSequence, no backend
    but its equations. Under autocast convolutions are made in the lower precision, while states and output keep the
    type of the input, as the engine's do (`torch.nn.LSTM` puts out the lower precision, `torch.nn.GRU` fp32).
    """

    name: ClassVar[str]
    paper: ClassVar[str] = "Shi et al. 2015, Convolutional LSTM Network"
    dimensions: ClassVar[int]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        kernel_size: int = 3,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        *,
        map_size: Sequence[int] | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_sizes(
            {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers},
            {"bias": bias, "batch_first": batch_first},
        )
        _check_places(self.dimensions, kernel_size, map_size)
        self.input_size, self.hidden_size, self.kernel_size = input_size, hidden_size, kernel_size
        self.num_layers, self.bias, self.batch_first = num_layers, bias, batch_first
        self.map_size = None if map_size is None else tuple(map_size)
        for layer in range(num_layers):
            for name, shape in self._shapes(input_size if layer == 0 else hidden_size).items():
                parameter = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
                self.register_parameter(f"{name}_l{layer}", parameter)
        self.reset_parameters()

    def _shapes(self, input_size: int) -> dict[str, tuple[int, ...]]:
        rows, kernel = 4 * self.hidden_size, (self.kernel_size,) * self.dimensions
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, input_size, *kernel),
            "weight_hh": (rows, self.hidden_size, *kernel),
        }
        if self.bias:
            shapes["bias_ih"] = (rows,)
        if self.map_size is not None:
            peephole = (self.hidden_size, *self.map_size)
            shapes |= {"weight_ci": peephole, "weight_cf": peephole, "weight_co": peephole}
        return shapes

    def reset_parameters(self) -> None:
        """Draw every parameter from the uniform distribution over +-1/sqrt(hidden_size * places of the kernel)."""
        bound = 1 / math.sqrt(self.hidden_size * self.kernel_size**self.dimensions)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """Run over whole sequences; shapes as in the class. Raises ShapeError where something does not fit."""
        _lengths.check_type(x, self._weights(0).weight_ih)
        if x.dim() != 3 + self.dimensions:
            axes = ("length",) if self.dimensions == 1 else ("height", "width")
            raise ShapeError(
                f"The input has {x.dim()} dimensions; this layer takes (time, batch, channels, {', '.join(axes)})."
            )
        if self.batch_first:
            x = x.transpose(0, 1)
        self._check_input(x)
        if lengths is not None:
            lengths = _lengths.check_lengths(lengths, x.shape[0], x.shape[1], x.device)
        shape = (self.num_layers, x.shape[1], self.hidden_size, *x.shape[3:])
        h, c = (x.new_zeros(shape), x.new_zeros(shape)) if state is None else self._checked(state, shape, x)
        ends = []
        for layer in range(self.num_layers):
            x, end = self._run_layer(x, (h[layer], c[layer]), lengths, self._weights(layer))
            ends.append(end)
        after = tuple(torch.stack(tensors) for tensors in zip(*ends, strict=True))
        return x.transpose(0, 1) if self.batch_first else x, after

    def _check_input(self, x: Tensor) -> None:
        if x.shape[2] != self.input_size:
            raise ShapeError(f"The input has {x.shape[2]} channels; this layer was built with {self.input_size}.")
        if 0 in x.shape:
            raise ShapeError(f"The input is empty: its shape is {tuple(x.shape)}.")
        if self.map_size is not None and tuple(x.shape[3:]) != self.map_size:
            raise ShapeError(f"The maps are {tuple(x.shape[3:])}; this layer was built with map_size={self.map_size}.")

    def _checked(self, state: object, shape: tuple[int, ...], x: Tensor) -> State:
        states = _states.check_tensors(state, self.name, ("h", "c"))
        for name, tensor in zip(("h", "c"), states, strict=True):
            if tensor.shape != shape:
                raise ShapeError(f"The state's {name} has the shape {tuple(tensor.shape)}; this call needs {shape}.")
            _states.check_like(tensor, name, x)
        return states

    def _weights(self, layer: int) -> SimpleNamespace:
        names = ("weight_ih", "weight_hh", "bias_ih", "weight_ci", "weight_cf", "weight_co")
        return SimpleNamespace(**{name: getattr(self, f"{name}_l{layer}", None) for name in names})

    def _convolve(self, x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
        run = F.conv1d if self.dimensions == 1 else F.conv2d
        return run(x, kernel, bias, padding=self.kernel_size // 2)

    def _run_layer(
        self, x: Tensor, state: State, lengths: Tensor | None, weights: SimpleNamespace
    ) -> tuple[Tensor, State]:
        """Run one layer over x (time, batch, channels, *map)."""
        places = (1,) * (x.dim() - 2)
        valid = None
        if lengths is not None:
            valid = (torch.arange(x.shape[0], device=x.device)[:, None] < lengths).unflatten(1, (-1, *places))
            x = x.masked_fill(~valid, 0.0)
        projected = self._convolve(x.flatten(0, 1), weights.weight_ih, weights.bias_ih).unflatten(0, x.shape[:2])
        outputs = []
        for t, one in enumerate(projected):
            new = self._step(one, state, weights)
            if valid is None:
                state = new
                outputs.append(new[0])
            else:
                state = tuple(torch.where(valid[t], after, old) for after, old in zip(new, state, strict=True))
                outputs.append(new[0].masked_fill(~valid[t], 0.0))
        return torch.stack(outputs), state

    def _step(self, projected: Tensor, state: State, weights: SimpleNamespace) -> State:
        """Make one step: projected (batch, 4 * hidden_size, *map), state (h, c)."""
        h, c = state
        i, f, g, o = (projected + self._convolve(h, weights.weight_hh)).chunk(4, dim=1)
        if weights.weight_ci is not None:
            i, f = i + weights.weight_ci * c, f + weights.weight_cf * c
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        if weights.weight_co is not None:
            o = o + weights.weight_co * c
        return o.sigmoid() * c.tanh(), c


class ConvLSTM1d(ConvLSTM):
    """A stack of convolutional LSTM layers over rows, (time, batch, channels, length); see `ConvLSTM`."""

    name = "convlstm1d"
    dimensions = 1


class ConvLSTM2d(ConvLSTM):
    """A stack of convolutional LSTM layers over images, (time, batch, channels, height, width); see `ConvLSTM`."""

    name = "convlstm2d"
    dimensions = 2


def _check_places(dimensions: int, kernel_size: object, map_size: Any) -> None:
    """Raise UsageError where the kernel would change a map's size, or a map has no size of these dimensions."""
    faults = []
    if not is_whole(kernel_size, 1) or kernel_size % 2 == 0:  # type: ignore[operator]
        faults.append(
            f"kernel_size={kernel_size!r} must be odd, so that a map keeps its size, and one whole number for all "
            "dimensions."
        )
    if map_size is not None:
        sizes = tuple(map_size) if isinstance(map_size, tuple | list) else ()
        if len(sizes) != dimensions or not all(is_whole(size, 1) for size in sizes):
            faults.append(f"map_size={map_size!r} must be {dimensions} whole numbers of at least 1.")
    if faults:
        raise UsageError(" ".join(faults))
