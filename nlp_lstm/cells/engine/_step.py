"""What a step of plain torch is: a function, and what it takes at each time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.fx import Node

from nlp_lstm.cells.engine._stages import Buffer


@dataclass(frozen=True)
class Scratch:
    """Memory that steps use for what nothing else reads; in `sizes` the rows of the trace stand for the batch's."""

    number: int
    sizes: tuple[int, ...]
    dtype: torch.dtype


@dataclass(frozen=True)
class Total:
    """Memory in which steps add up a weight's gradient: (rows, columns), or (columns,) where rows cannot be told."""

    index: int
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Place:
    """What a memory holds at a step: `width` columns from `start` on, or all that there is."""

    memory: Buffer | Scratch | Total
    start: int = 0
    width: int | None = None


@dataclass(frozen=True)
class Multiply:
    """The function that multiplies by the matrix of a site, and adds a bias."""

    site: int
    transposed: bool
    bias: Node | None


Input = Place | Multiply | Node | str
"""What a step takes: memory, a function, what is made of weights alone, the number of `rows`,
which have `ended`, or the `device` or `dtype` of all else."""


@dataclass(frozen=True)
class Step:
    """A step as a function of its inputs, in their order, and of one argument more, which it leaves alone."""

    inputs: list[Input]
    function: Callable[..., None]
