"""Variable lengths: what is checked, and how packed sequences come in and go out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from nlp_lstm.errors import ShapeError

_CAST = {torch.float32, torch.bfloat16, torch.float16}  # what autocast turns into one another


def check_type(x: Tensor, weight: Tensor) -> None:
    """Raise ShapeError unless x is a tensor of the floating type of a layer's weights, and on their device."""
    if not isinstance(x, Tensor):
        raise ShapeError(f"The input is a {type(x).__name__}; a layer takes a tensor or a PackedSequence.")
    if x.device != weight.device:
        raise ShapeError(f"The input is on {x.device}, the layer on {weight.device}. Move one with .to().")
    if x.dtype != weight.dtype and not fits_type(x, weight.dtype):
        raise ShapeError(
            f"The input is of the type {x.dtype}, the layer's weights are of {weight.dtype}. "
            f"Give input.to({weight.dtype}), or move the layer with .to()."
        )


def fits_type(tensor: Tensor, dtype: torch.dtype) -> bool:
    """Whether a tensor can meet others of `dtype`: it is of that type, or autocast brings the two to one."""
    if tensor.dtype == dtype:
        return True
    device = tensor.device.type
    can = {tensor.dtype, dtype} <= _CAST and torch.amp.is_autocast_available(device)
    return can and torch.is_autocast_enabled(device)


def check_input(x: Tensor, input_size: int) -> None:
    """Raise ShapeError unless x has three dimensions, the last of `input_size`, and at least one time step."""
    if x.dim() != 3:
        raise ShapeError(
            f"The input has {x.dim()} dimensions; a layer takes (time, batch, features) or (time, features)."
        )
    check_features(x, input_size)
    if x.shape[0] == 0 or x.shape[1] == 0:
        raise ShapeError(f"The input is empty: its shape is {tuple(x.shape)}. Give at least one step of one sequence.")


def check_features(x: Tensor, input_size: int) -> None:
    """Raise ShapeError unless the last dimension of x is `input_size`."""
    if x.shape[-1] != input_size:
        raise ShapeError(f"The input has {x.shape[-1]} features; this layer was built with input_size={input_size}.")


def blank(x: Tensor, lengths: Tensor) -> Tensor:
    """Put zeros behind each length in x (time, batch, features), whatever stands there."""
    behind = torch.arange(x.shape[0], device=x.device)[:, None] >= lengths
    return x.masked_fill(behind.unsqueeze(-1), 0.0)


def check_lengths(lengths: Tensor, time: int, batch: int, device: torch.device) -> Tensor:
    """Return `lengths` as int64 on `device`, or raise ShapeError where they do not fit (time, batch).

    They come on the CPU, as torch has them, or on `device`; a list or an array of whole numbers will do.
    """
    try:
        lengths = torch.as_tensor(lengths)
    except (TypeError, ValueError, RuntimeError):
        raise ShapeError(f"The lengths are a {type(lengths).__name__}; give a tensor of whole numbers.") from None
    if lengths.device.type == "meta" or lengths.device not in (device, torch.device("cpu")):
        raise ShapeError(f"The lengths are on {lengths.device}, the input on {device}. Give them there or on the CPU.")
    if lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool:
        raise ShapeError(f"The lengths are {lengths.dtype}; give whole numbers.")
    if tuple(lengths.shape) != (batch,):
        raise ShapeError(f"The lengths have the shape {tuple(lengths.shape)}; give one a sequence, ({batch},).")
    if int(lengths.min()) < 1 or int(lengths.max()) > time:
        raise ShapeError(
            f"The lengths run from {int(lengths.min())} to {int(lengths.max())}; each must be between 1 and the "
            f"{time} steps of the input. Leave out sequences without a step."
        )
    return lengths.to(device=device, dtype=torch.int64)


def unpack(packed: PackedSequence) -> tuple[Tensor, Tensor]:
    """Turn a PackedSequence into (time, batch, features), zero in the padding, and its lengths in the user's order."""
    padded, lengths = pad_packed_sequence(packed)
    return padded, lengths.to(padded.device)


def pack_like(output: Tensor, packed: PackedSequence) -> PackedSequence:
    """Pack (time, batch, features) with the lengths and the order of `packed`."""
    _, lengths = pad_packed_sequence(packed)
    if packed.sorted_indices is None:
        return pack_padded_sequence(output, lengths, enforce_sorted=True)
    again = pack_padded_sequence(output.index_select(1, packed.sorted_indices), lengths[packed.sorted_indices.cpu()])
    return PackedSequence(again.data, again.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
