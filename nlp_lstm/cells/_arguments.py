"""What a recurrent layer's constructor refuses."""

from __future__ import annotations

from typing import Literal, get_args

from nlp_lstm.cells._cell import Cell
from nlp_lstm.errors import UsageError, unknown_name

Backend = Literal["auto", "torch", "fused", "loop"]
Connection = Literal["none", "residual", "highway"]
Merge = Literal["concatenate", "sum"]


def check_sizes(sizes: dict[str, int], bias: object) -> None:
    """Raise UsageError where a size is below 1, or `bias` is no truth value (what `torch.nn.RNN` has in its place)."""
    faults = [f"{name}={value} must be at least 1." for name, value in sizes.items() if value < 1]
    if not isinstance(bias, bool):
        faults.append(f"bias={bias!r} must be True or False; options of the cell are given by name.")
    if faults:
        raise UsageError(" ".join(faults))


def check_choices(backend: str, connection: str, merge: str) -> None:
    """Raise UsageError, with the nearest name, for a choice that there is not."""
    kinds = {"backend": (backend, Backend), "connection": (connection, Connection), "merge": (merge, Merge)}
    for kind, (given, choices) in kinds.items():
        if given not in get_args(choices):
            raise unknown_name(kind, given, get_args(choices))


def check_shares(cell: Cell, backend: str, shares: dict[str, float]) -> None:
    """Raise UsageError where a probability is out of range, or the cell has not what it would drop."""
    faults = [f"{name}={value} must be at least 0 and below 1." for name, value in shares.items() if not 0 <= value < 1]
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
