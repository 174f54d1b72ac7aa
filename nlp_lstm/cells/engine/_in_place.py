"""Which of torch's operations write their result into memory that they are given."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch


@cache
def in_place(target: Any) -> tuple[Any, str | None]:
    """Give the operation that writes into memory that it is given, and the name of that argument; None for no such."""
    if not isinstance(target, torch._ops.OpOverload):
        return target, None
    packet = target._overloadpacket
    arguments = [(one.name, str(one.type)) for one in target._schema.arguments]
    for overload in (getattr(packet, name) for name in packet.overloads()):
        results = [one.name for one in overload._schema.arguments if one.is_out]
        same = [(one.name, str(one.type)) for one in overload._schema.arguments if not one.is_out]
        if len(results) != 1 or torch.Tag.generated in overload.tags:  # which computes, then copies
            continue
        quick = getattr(torch, packet.__name__, None)  # called with less ado than an overload, and takes numbers too
        if quick is not None and results == ["out"] and [name for name, _ in same] == [name for name, _ in arguments]:
            return quick, "out"
        if same == arguments:
            return overload, results[0]
    return target, None
