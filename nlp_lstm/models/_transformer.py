"""A small Transformer decoder in the place of the recurrent stack: what the cells are compared with."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nlp_lstm.errors import ShapeError
from nlp_lstm.models._initialization import start_normal

Memory = tuple[Tensor, Tensor]
"""Keys and values of the last positions, each (blocks, heads, positions, batch, head_size).

The batch stands where the states of recurrent layers have it, for those who take rows of a state.
"""

_HEAD_SIZE = 32


class TransformerDecoder(nn.Module):
    """A causal Transformer with the call of a recurrent layer: `output, state = layer(x, state)`.

    Vaswani et al. 2017, "Attention Is All You Need", section 3, the decoder without a source; normalised before each
    part (Xiong et al. 2020), with rotary positions (Su et al. 2021, section 3.2) and GELU. Every block attends to
    the last `context` positions, its own among them. The state is what those need of the past: keys and values, before
    they are rotated, of up to context - 1 positions. Since rotary scores depend on distances alone, text is read in
    pieces of any length with the same result, and a text without end costs the same a token.

    x is (batch, time, input_size), the output (batch, time, output_size). `width` is that of the residual stream,
    `inner_size` that of the two-layer network in each block.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        width: int,
        inner_size: int,
        num_blocks: int,
        context: int = 256,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.input_size, self.output_size, self.context = input_size, output_size, context
        self.enter = nn.Linear(input_size, width)
        self.blocks = nn.ModuleList(TransformerBlock(width, inner_size, dropout) for _ in range(num_blocks))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, output_size)
        self._initialize()

    def _initialize(self) -> None:
        """Draw matrices from N(0, 1/inputs), those that write to the residual stream smaller by sqrt(2 * blocks)."""
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                depth = 2 * len(self.blocks) if name.endswith(("mix.weight", "shrink.weight")) else 1
                start_normal(parameter, (parameter.shape[1] * depth) ** -0.5)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def extra_repr(self) -> str:
        """Describe the sizes in the layer's printed form."""
        return f"{self.input_size}, {self.output_size}, context={self.context}"

    def forward(self, x: Tensor, state: Memory | None = None) -> tuple[Tensor, Memory]:
        """Read x (batch, time, input_size) after what `state` remembers; raises ShapeError where sizes do not fit."""
        if x.dim() != 3 or x.shape[-1] != self.input_size:
            raise ShapeError(f"The input is {tuple(x.shape)}; give (batch, time, features={self.input_size}).")
        outputs = []
        for part in x.split(self.context, dim=1):  # of a long text, each part needs the one before it alone
            output, state = self._read(part, state)
            outputs.append(output)
        assert state is not None
        return torch.cat(outputs, dim=1), state

    def restart(self, state: Memory, rows: Tensor) -> Memory:  # noqa: ARG002
        """Give the state as it is: what it remembers ends by itself."""
        return state

    def _read(self, x: Tensor, state: Memory | None) -> tuple[Tensor, Memory]:
        x = self.enter(x)
        past = 0 if state is None else state[0].shape[2]
        rotation = rotary_angles(past + x.shape[1], _head_size(x.shape[-1]), x)
        visible = _visible(past, x.shape[1], self.context, x.device)
        memories = []
        for index, block in enumerate(self.blocks):
            before = None if state is None else (state[0][index].movedim(2, 0), state[1][index].movedim(2, 0))
            x, memory = block(x, before, rotation, visible)
            memories.append(memory)
        kept = min(self.context - 1, past + x.shape[1])
        keys, values = (
            torch.stack([tensor[:, :, tensor.shape[2] - kept :] for tensor in ones])
            for ones in zip(*memories, strict=True)
        )
        return self.leave(self.norm(x)), (keys.movedim(1, 3), values.movedim(1, 3))


class TransformerBlock(nn.Module):
    """One block: attention over the past, then a two-layer network, each added to what came in."""

    def __init__(self, width: int, inner_size: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = width // _head_size(width), dropout
        self.attention_norm, self.network_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.look = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.grow, self.shrink = nn.Linear(width, inner_size), nn.Linear(inner_size, width)

    def forward(
        self, x: Tensor, memory: Memory | None, rotation: Memory, visible: Tensor | None
    ) -> tuple[Tensor, Memory]:
        """Read x (batch, time, width); returns the same shape, and keys and values (batch, heads, positions, size)."""
        time = x.shape[1]
        parts = self.look(self.attention_norm(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind()  # (batch, heads, time, head_size) each
        if memory is not None:
            key, value = torch.cat([memory[0], key], dim=2), torch.cat([memory[1], value], dim=2)
        cosine, sine = rotation
        turned = _rotate(query, cosine[-time:], sine[-time:])
        seen = F.scaled_dot_product_attention(turned, _rotate(key, cosine, sine), value, attn_mask=visible)
        x = x + self._drop(self.mix(seen.transpose(1, 2).flatten(2)))
        return x + self._drop(self.shrink(F.gelu(self.grow(self.network_norm(x))))), (key, value)

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


def transformer_of(
    parameters: int, input_size: int, output_size: int, num_blocks: int, dropout: float
) -> TransformerDecoder:
    """Build a Transformer of about `parameters` parameters: inner layers four times the width, then made to fit."""
    sizes = input_size + output_size
    width = (math.sqrt(sizes**2 + 48 * num_blocks * parameters) - sizes) / (24 * num_blocks)
    unit = _HEAD_SIZE if width >= _HEAD_SIZE else 2
    width = max(unit, round(width / unit) * unit)
    ends = width * (sizes + 3) + output_size
    rest = (parameters - ends) / num_blocks - 4 * width**2 - 9 * width
    inner_size = max(1, round(rest / (2 * width + 1)))
    return TransformerDecoder(
        input_size, output_size, width=width, inner_size=inner_size, num_blocks=num_blocks, dropout=dropout
    )


def rotary_angles(positions: int, size: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Give cosine and sine of each position's angles, (positions, size / 2) in fp32 or what `like` has above it."""
    rates = 10_000.0 ** (-torch.arange(0, size, 2, device=like.device, dtype=torch.float64) / size)
    angles = torch.arange(positions, device=like.device, dtype=torch.float64)[:, None] * rates
    dtype = torch.promote_types(like.dtype, torch.float32)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def _rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn each pair of features of x (..., positions, size) by its position's angle."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1).to(x.dtype)


def _visible(past: int, time: int, context: int, device: torch.device) -> Tensor | None:
    """Which positions each new one sees, (time, past + time): the last `context` up to itself; None where it is all."""
    if time == 1 and past < context:
        return None
    distance = torch.arange(past, past + time, device=device)[:, None] - torch.arange(past + time, device=device)
    return (distance >= 0) & (distance < context)


def _head_size(width: int) -> int:
    return _HEAD_SIZE if width % _HEAD_SIZE == 0 else width
