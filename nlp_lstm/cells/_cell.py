"""What a cell is: the equations of one time step, as pure functions of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import ClassVar

from torch import Tensor

from nlp_lstm.cells.engine import linear

State = tuple[Tensor, ...]
_NOTHING: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class Cell:
    """One time step of a recurrent network, written once in the letters of its paper.

    A cell owns no parameters. It names their shapes, and its methods are given their values, so that the same
    equations serve any layer, direction, dropped weight or engine. A new cell subclasses this, sets the class
    variables, and writes `step`; `project` needs a change only where the input enters in another way. What can be
    chosen about a cell is a field of it: a cell is a frozen dataclass, and two with equal fields are equal.

    In `step`, matrix products are made by `linear` alone and all else is pointwise on (batch, size) tensors and (size,)
    parameters, without a decision on values and without change in place: an engine traces it once and runs it fast.
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
    """Which block of `bias_ih` is the forget gate's, counted from 0, in a cell that has one."""
    biases: ClassVar[tuple[str, ...]] = ("bias_ih",)
    """Which biases it has, one row a gate; torch's own cells have two, which only add up."""
    recurrent_weights: ClassVar[tuple[str, ...]] = ("weight_hh",)
    """The matrices that h passes on its way to the gates; what weight dropout drops."""
    zoneout_states: ClassVar[tuple[str, ...]] = ("h", "c")
    """The tensors of the state that zoneout may hold back."""
    constants: ClassVar[Mapping[str, float]] = _NOTHING
    """Parameters that start at a constant rather than at random."""
    initial_state: ClassVar[Mapping[str, float]] = _NOTHING
    """Tensors of the state that start at a constant other than 0."""
    torch_function: ClassVar[str | None] = None
    """The function of torch that runs these equations over time, where it has one."""

    def __init_subclass__(cls, **options: object) -> None:
        """Let a cell that changes the equations of another not run by the other's function of torch."""
        super().__init_subclass__(**options)
        if {"step", "project"} & vars(cls).keys() and "torch_function" not in vars(cls):
            cls.torch_function = None

    def parameter_shapes(self, input_size: int, hidden_size: int, bias: bool) -> dict[str, tuple[int, ...]]:
        """Give the shape of each parameter, by its name without the layer's suffix, as `torch.nn.LSTM` has them.

        A name that begins with `bias` is missing without `bias`, and is None in what `project` and `step` are given.
        """
        rows = self.number_of_gates * hidden_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, input_size), "weight_hh": (rows, hidden_size)}
        return shapes | dict.fromkeys(self.biases if bias else (), (rows,))

    def state_sizes(self, hidden_size: int) -> dict[str, int]:
        """Give the width of each tensor of the state by its name, `h` first."""
        return dict.fromkeys(self.state_names, hidden_size)

    def output_size(self, hidden_size: int) -> int:
        """Give the number of features that a layer of this cell puts out, the width of h."""
        return next(iter(self.state_sizes(hidden_size).values()))

    def project(self, x: Tensor, weights: SimpleNamespace) -> Tensor:
        """Map the input of all steps at once, (..., input_size), to what `step` takes, (..., gates * hidden_size)."""
        return linear(x, weights.weight_ih, weights.bias_ih)

    def step(self, projected: Tensor, state: State, weights: SimpleNamespace) -> State:
        """Make one step: projected input (batch, gates * hidden_size) and state in, state out.

        Each tensor of the state is (batch, its width by `state_sizes`); its first, h, is also the step's output.
        """
        raise NotImplementedError


class ScanCell(Cell):
    """A cell whose gates depend on the input alone, so that all steps of a sequence are found at once by a scan.

    `step` says the same equations for one step at a time, which is how a trained model generates.
    """

    recurrent_weights = ()

    def parallel(self, projected: Tensor, state: State, weights: SimpleNamespace) -> State:
        """Make all steps: projected (time, batch, columns) and the state before them in, states out.

        Returns each tensor of the state after every step, (time, batch, its width); the first is the output.
        """
        raise NotImplementedError
