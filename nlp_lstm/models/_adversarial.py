"""Training on the worst small change of the embedded words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nlp_lstm.models._pooling import inside


def adversarial_change(losses: Callable[[Tensor], Tensor], x: Tensor, lengths: Tensor, size: float) -> Tensor:
    """Give the change of embedded texts x (batch, time, features) that raises each one's loss the most, (as x).

    Miyato, Dai and Goodfellow 2017, "Adversarial Training Methods for Semi-Supervised Text Classification", section 3,
    with the gradient g of a text's loss by its embedded words x:

        r = ε g / ||g||        ε = size · mean_t ||x_t||

    The paper makes all word vectors of one length, and so ε a number; here it is a share of the length that a text's
    own words have on average, after dropout. `losses` maps x to the texts' losses (batch,).
    """
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(losses(x).sum(), x)
    norms = x.detach().norm(dim=2).masked_fill(~inside(lengths, x.shape[1]), 0.0)
    epsilon = size * norms.sum(dim=1) / lengths
    # Divided by its largest entry first: squares of a gradient that is small all over would be 0.
    tiny = torch.finfo(gradient.dtype).tiny
    gradient = gradient / gradient.abs().amax(dim=(1, 2), keepdim=True).clamp_min(tiny)
    change: Tensor = gradient * (epsilon / gradient.flatten(1).norm(dim=1).clamp_min(1.0))[:, None, None]
    return change


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Let no parameter have a gradient meanwhile, which spares a backward pass half of its work."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in trained:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
