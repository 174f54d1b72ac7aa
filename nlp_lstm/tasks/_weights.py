"""model.safetensors of a run folder: its header is held against the model before any memory is asked for."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from nlp_lstm.errors import RunFolderError, UsageError, first_line, shown
from nlp_lstm.tasks._folder import checked_file, written_whole

MOST_LAYERS = 1000
"""More than any run has; a hostile config.json may name more, and building them would take for ever."""
_LONGEST_HEADER = 4 * 2**20
_NAME = "model.safetensors"
_FLOATING = ("F16", "BF16", "F32", "F64")

Shapes = dict[str, list[int]]
Model = TypeVar("Model", bound=nn.Module)


def write_weights(path: Path, model: nn.Module, *, half: bool = False) -> None:
    """Write a model's parameters as safetensors, a shared one once, under a temporary name, then rename.

    With `half` they are rounded to float16: to 11 bits, below 6e-5 to steps of 6e-8. Raises UsageError where a weight
    is beyond float16, OSError, which names the file, where it cannot be written: the disk is full, say.
    """
    tensors = {name: parameter.detach().cpu().contiguous() for name, parameter in model.named_parameters()}
    if half:
        tensors = {name: _rounded(name, tensor) for name, tensor in tensors.items()}
    with written_whole(path) as temporary:
        try:
            save_file(tensors, temporary)
        except SafetensorError as error:
            number = re.search(
                r"\(os error (\d+)\)", str(error)
            )  # the system's error, of which it keeps the text alone
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def _rounded(name: str, tensor: torch.Tensor) -> torch.Tensor:
    half = tensor.half()
    if not half.isfinite().all():
        largest, most = tensor.abs().max(), torch.finfo(half.dtype).max
        raise UsageError(f"{name} holds {largest:,.0f}, and float16 at most {most:,.0f}. Keep this model in fp32.")
    return half


def read_shapes(folder: Path) -> Shapes:
    """Read the shapes of a run folder's weights from their header; raises RunFolderError where it does not read."""
    path = _checked_weights(folder)
    shapes: Shapes = {}
    with _opened(path) as file:
        for name in file.keys():  # noqa: SIM118
            tensor = file.get_slice(name)
            if tensor.get_dtype() not in _FLOATING:
                raise RunFolderError(
                    f"{path} does not hold weights: {shown(name)} is {tensor.get_dtype()}, none of "
                    f"{', '.join(_FLOATING)}. Restore it, or train again."
                )
            shapes[name] = tensor.get_shape()
    return shapes


def require_layers(shapes: Shapes, layers: Mapping[str, int]) -> None:
    """Raise ValueError where a model would have more layers than its weights have tensors: it is not even built."""
    tensors = len(shapes)
    most = max(1, min(MOST_LAYERS, tensors))
    for name, value in layers.items():
        if not 1 <= value <= most:
            raise ValueError(
                f"{name} is {value}, and must be a whole number from 1 to {most:,} for weights of {tensors:,} tensors"
            )


def read_model(folder: Path, model: Model, shapes: Shapes) -> Model:
    """Give a model that is on the meta device its memory on the CPU and the weights of a run folder.

    `shapes` are what `read_shapes` gave. `tie`, where the model has it, makes shared parameters one again. Raises
    RunFolderError where the weights do not fit the model or this machine, or are no finite numbers.
    """
    path = folder / _NAME
    _compare(path, shapes, model)
    needed = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    if needed > _physical_memory():
        raise RunFolderError(
            f"{path} needs {needed:,} bytes of memory, and this machine has {_physical_memory():,}. Use a larger one."
        )
    _give_memory(model)
    tie = getattr(model, "tie", None)
    if tie is not None:
        tie()
    _read_weights(path, model)
    return model


def _give_memory(model: nn.Module) -> None:
    """Do what `to_empty` does, which imports a library of symbolic mathematics to copy the layout of a meta tensor."""
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(torch.empty(parameter.shape, dtype=parameter.dtype)))


def _read_weights(path: Path, model: nn.Module) -> None:
    with _opened(path) as file, torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(file.get_tensor(name))
            ends = torch.aminmax(parameter) if parameter.numel() else ()
            if not all(math.isfinite(end) for end in ends):
                raise RunFolderError(f"{path} is damaged: {name} holds numbers that are not finite. Train again.")


def _checked_weights(folder: Path) -> Path:
    """Look at the first bytes, and the file's size, before a library does: what the header's length asks for is read.

    A header begins with its length, eight bytes that may be any, and then "{".
    """
    path = checked_file(folder, _NAME)
    try:
        with path.open("rb") as file:
            start, size = file.read(9), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {error.strerror}.") from None
    length = int.from_bytes(start[:8], "little")
    if start[8:] != b"{":
        if start[:1] == b"\x80" or start[:2] == b"PK":
            raise RunFolderError(f"{path} is a pickle, which can run code when loaded; it is refused. Train again.")
        raise _damaged(path, "it has no header")
    if length > size - 8:
        raise _damaged(path, f"a header of {length:,} bytes in a file of {size:,}")
    if length > _LONGEST_HEADER:
        raise RunFolderError(
            f"{path} has a header of {length:,} bytes; at most {_LONGEST_HEADER:,} are read. It is not a run's file."
        )
    return path


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, ValueError, RuntimeError, MemoryError) as error:
        raise _damaged(path, first_line(error, 120)) from None


def _damaged(path: Path, reason: str) -> RunFolderError:
    return RunFolderError(f"{path} is damaged or cut short ({reason}). Restore it, or train again.")


def _compare(path: Path, found: Shapes, model: nn.Module) -> None:
    expected = {name: list(parameter.shape) for name, parameter in model.named_parameters()}
    if found == expected:
        return
    wrong = [
        f"{shown(name)} is {_shape(found.get(name), 'missing')}, not {_shape(expected.get(name), 'expected')}"
        for name in sorted(found.keys() | expected.keys())
        if found.get(name) != expected.get(name)
    ]
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    raise RunFolderError(f"{path} does not fit config.json: {'; '.join(wrong[:3])}{more}. They come from two runs.")


def _shape(shape: list[int] | None, otherwise: str) -> str:
    return otherwise if shape is None else str(shape) if len(shape) <= 4 else f"of {len(shape):,} dimensions"


def _physical_memory() -> float:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # a system that does not tell
        return math.inf
