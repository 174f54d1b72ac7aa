"""What a cell is: the equations of one time step, as pure functions of tensors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import ClassVar

from torch import Tensor

from nlp_lstm.cells.engine import linear

State = tuple[Tensor, ...]


class Cell:
    """One time step of a recurrent network, written once in the letters of its paper.

    A cell owns no parameters. It names their shapes, and its two methods are given their values, so that the same
    equations serve any layer, direction, dropped weight or engine. A new cell subclasses this, sets the class
    variables, and writes `step`; `project` needs a change only where the input enters in another way.
    """

    name: ClassVar[str]
    """What `--cell` calls it."""
    paper: ClassVar[str]
    """Author, year and title of the source."""
    number_of_gates: ClassVar[int]
    """How many blocks of `hidden_size` rows the weights hold."""
    state_names: ClassVar[tuple[str, ...]]
    """Names of the state's tensors; the first is `h`, what the layer puts out."""
    forget_gate: ClassVar[int | None] = None
    """Which block of rows is the forget gate's, counted from 0, in a cell that has one."""

    def parameter_shapes(self, input_size: int, hidden_size: int, bias: bool) -> dict[str, tuple[int, ...]]:
        """Give the shape of each parameter by the name that `torch.nn.LSTM` would use, without layer suffix."""
        rows = self.number_of_gates * hidden_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, input_size), "weight_hh": (rows, hidden_size)}
        if bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        return shapes

    def project(self, x: Tensor, weights: SimpleNamespace) -> Tensor:
        """Map the input of all steps at once, (..., input_size), to what `step` takes, (..., gates * hidden_size)."""
        return linear(x, weights.weight_ih, weights.bias_ih)

    def step(self, projected: Tensor, state: State, weights: SimpleNamespace) -> State:
        """Make one step: projected input (batch, gates * hidden_size) and state in, state out.

        Each tensor of the state is (batch, hidden_size); its first, h, is also the step's output.
        """
        raise NotImplementedError
