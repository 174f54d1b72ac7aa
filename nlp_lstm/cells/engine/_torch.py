"""torch's own kernels (oneDNN, cuDNN, MPS), where a cell's equations are theirs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class StackSettings(Protocol):
    """The settings of a stack that torch's functions take."""

    num_layers: int
    dropout: float
    training: bool
    bidirectional: bool


def run_torch(
    function: str,
    x: Tensor,
    states: tuple[Tensor, ...],
    lengths: Tensor | None,
    weights: list[SimpleNamespace],
    settings: StackSettings,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a whole stack over x (time, batch, input_size) by `torch.lstm`, `torch.gru` or `torch.rnn_tanh`.

    `states` are (layers * directions, batch, hidden_size), `weights` one namespace a layer and direction. Returns
    the output (time, batch, hidden_size * directions), zero behind each length, and the states.
    """
    bias = weights[0].bias_ih is not None
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh") if bias else ("weight_ih", "weight_hh")
    flat = [getattr(one, name) for one in weights for name in names]
    start = states if len(states) > 1 else states[0]
    shape = (bias, settings.num_layers, settings.dropout, settings.training, settings.bidirectional)
    run = getattr(torch, function)
    if lengths is None:
        output, *end = run(x, start, flat, *shape, False)
        return output, tuple(end)
    packed = pack_padded_sequence(x, lengths.cpu(), enforce_sorted=False)
    order = packed.sorted_indices
    assert order is not None
    ordered = tuple(tensor.index_select(1, order) for tensor in states)
    start = ordered if len(ordered) > 1 else ordered[0]
    data, *end = run(packed.data, packed.batch_sizes, start, flat, *shape)
    result = packed._replace(data=data)
    output, _ = pad_packed_sequence(result, total_length=x.shape[0])
    back = packed.unsorted_indices
    assert back is not None
    return output, tuple(tensor.index_select(1, back) for tensor in end)
