"""Products that a trace at work takes note of."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from nlp_lstm.cells.engine._tape import Unsupported

Note = dict[str, Tensor]
"""What a product takes and gives, and the gradients, by the names of `Site`."""


class _Recorder(threading.local):
    notes: list[Note] | None = None
    whole: bool = False


_recorder = _Recorder()


@contextmanager
def recording(notes: list[Note], whole: bool) -> Iterator[None]:
    """Add a note of every product to `notes`; `whole` is what `traced_whole` tells."""
    _recorder.notes, _recorder.whole = notes, whole
    try:
        yield
    finally:
        _recorder.notes = None


def recorded_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor | None:
    """Give a product that the trace at work has noted, or None where none is at work."""
    if _recorder.notes is None:
        return None
    if x.dim() != 2:
        raise Unsupported(f"a product of a tensor with {x.dim()} dimensions")
    note: Note = {}
    _recorder.notes.append(note)
    product: Tensor = _SiteFunction.apply(x, weight, note)
    return product if bias is None else product + bias


def traced_whole() -> bool:
    """Tell whether a trace is at work that leaves operations as large as torch has them."""
    return _recorder.notes is not None and _recorder.whole


class _SiteFunction(torch.autograd.Function):
    """A product that notes its arguments and the gradient that comes back; its weight's gradient is made elsewhere."""

    @staticmethod
    def forward(ctx: Any, factor: Tensor, weight: Tensor, note: Note) -> Tensor:
        product = factor @ weight.t()
        note.update(factor=factor, weight=weight, product=product)
        ctx.note, ctx.weight = note, weight
        return product

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        result = gradient @ ctx.weight
        ctx.note.update(product_gradient=gradient, factor_gradient=result)
        return result, None, None
