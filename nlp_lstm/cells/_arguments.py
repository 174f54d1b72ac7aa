"""What a recurrent layer's constructor refuses."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from numbers import Real
from typing import Any, Literal, get_args

from nlp_lstm.cells._cell import Cell
from nlp_lstm.errors import UsageError, unknown_name

Backend = Literal["auto", "torch", "fused", "loop"]
Connection = Literal["none", "residual", "highway"]
Merge = Literal["concatenate", "sum"]


def is_whole(value: object, least: int) -> bool:
    """Whether a value is a whole number, and not below the least."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def check_sizes(sizes: Mapping[str, object], flags: Mapping[str, object]) -> None:
    """Raise UsageError where a size is no whole number from 1 up, or a flag no truth value.

    What is no truth value is most often an option of the cell that was given without its name: where these layers
    have `bias`, `torch.nn.RNN` has its nonlinearity.
    """
    faults = [
        f"{name}={value!r} must be a whole number of at least 1."
        for name, value in sizes.items()
        if not is_whole(value, 1)
    ]
    faults += [
        f"{name}={value!r} must be True or False; options of the cell are given by name."
        for name, value in flags.items()
        if not isinstance(value, bool)
    ]
    if faults:
        raise UsageError(" ".join(faults))


def with_options(cell: Cell, options: Mapping[str, Any], layers_own: tuple[str, ...] = ()) -> Cell:
    """Give a cell with other values of its fields; raise UsageError for an option that it does not have.

    `layers_own` are options of the layer that chose the cell, which the message names too.
    """
    fields = [field.name for field in dataclasses.fields(cell)]
    for name in options:
        if name not in fields:
            allowed = [*layers_own, *fields]
            known = f"Its own are: {', '.join(allowed)}." if allowed else "It has none of its own."
            raise UsageError(f"The cell {cell.name!r} has no option {name!r}. {known}")
    return dataclasses.replace(cell, **options)


def check_choices(backend: object, connection: object, merge: object) -> None:
    """Raise UsageError, with the nearest name, for a choice that there is not."""
    kinds = {"backend": (backend, Backend), "connection": (connection, Connection), "merge": (merge, Merge)}
    for kind, (given, choices) in kinds.items():
        if given not in get_args(choices):
            raise unknown_name(kind, str(given), get_args(choices))


def check_shares(cell: Cell, backend: str, shares: Mapping[str, Any]) -> None:
    """Raise UsageError where a probability is out of range, or the cell has not what it would drop."""
    faults = [
        f"{name}={value!r} must be a number of at least 0 and below 1."
        for name, value in shares.items()
        if not isinstance(value, Real) or not 0 <= float(value) < 1
    ]
    if faults:
        raise UsageError(" ".join(faults))
    if shares["weight_dropout"] > 0 and not cell.recurrent_weights:
        faults.append(f"The cell {cell.name!r} has no recurrent weights to drop; leave weight_dropout at 0.")
    for name, state in (("zoneout", "h"), ("zoneout_cell", "c")):
        if shares[name] > 0 and state not in set(cell.zoneout_states) & set(cell.state_names):
            faults.append(f"The cell {cell.name!r} has no state {state} to hold back; leave {name} at 0.")
    if backend == "torch" and cell.torch_function is None:
        faults.append(f"torch has no kernel for the cell {cell.name!r}. Use backend='auto', 'fused' or 'loop'.")
    if backend == "torch" and (shares["zoneout"] > 0 or shares["zoneout_cell"] > 0):
        faults.append("torch's kernels have no zoneout. Use backend='auto', 'fused' or 'loop'.")
    if faults:
        raise UsageError(" ".join(faults))
