"""Variable lengths: what is checked, and how packed sequences come in and go out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from nlp_lstm.errors import ShapeError


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
    """Return `lengths` as int64 on `device`, or raise ShapeError where they do not fit (time, batch)."""
    lengths = torch.as_tensor(lengths)
    if lengths.is_floating_point() or lengths.dtype == torch.bool:
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
