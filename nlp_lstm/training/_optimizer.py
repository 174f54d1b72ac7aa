"""The optimisers by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from inspect import unwrap
from typing import Any

import torch
from torch import nn, optim

from nlp_lstm.training._options import TrainingOptions

MUON_RATE = 4.0
"""How much larger muon's learning rate is than that of AdamW beside it, from short runs of character models."""

_WRAPPED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


class Optimizers:
    """Optimisers of different parameters that step as one."""

    def __init__(self, *parts: optim.Optimizer) -> None:
        self.parts = parts

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate of every part, times each group's scale; muon's is larger by `MUON_RATE`."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = rate * group["rate_scale"] * (MUON_RATE if isinstance(part, optim.Muon) else 1.0)

    def step(self) -> None:
        """Make one step of every part."""
        for part in self.parts:
            part.step()

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        """State of every part, for a checkpoint."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Take back what `state_dict` gave."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


def build_optimizer(
    model: nn.Module, options: TrainingOptions, rate_scales: Mapping[str, float] | None = None
) -> Optimizers:
    """Return the optimiser named by the options over a model's parameters; biases are not decayed.

    adamw is that of Loshchilov and Hutter 2019; sgd has momentum. muon (Jordan et al. 2024) makes the update of every
    recurrent layer's matrix orthogonal and takes AdamW for all else; its step is scaled to AdamW's (Liu et al. 2025,
    section 2.2) and `MUON_RATE`, so that one learning rate serves both. `rate_scales` multiplies the learning rate of
    the parameters that it names (discriminative fine-tuning: Howard and Ruder 2018, section 3.2).
    """
    matrices, others = _groups(model, options, rate_scales or {})
    if options.optimizer == "sgd":
        return Optimizers(_light(optim.SGD)(others, lr=options.learning_rate, momentum=options.momentum, fused=True))
    adamw = _light(optim.AdamW)(others, lr=options.learning_rate, betas=(options.momentum, options.beta2), fused=True)
    if not matrices:
        return Optimizers(adamw)
    # Three of the five usual Newton-Schulz steps: the same loss for less time, measured on character models.
    muon = _light(optim.Muon)(matrices, lr=options.learning_rate, ns_steps=3, adjust_lr_fn="match_rms_adamw")
    return Optimizers(muon, adamw)


Groups = list[dict[str, Any]]


def _groups(model: nn.Module, options: TrainingOptions, rate_scales: Mapping[str, float]) -> tuple[Groups, Groups]:
    """Group parameters by learning rate and decay: the matrices for muon, and all others."""
    groups: tuple[dict[tuple[float, float], Any], ...] = ({}, {})
    for name, parameter in model.named_parameters():
        recurrent = parameter.dim() == 2 and ("weight_ih" in name or "weight_hh" in name)
        decay = 0.0 if parameter.dim() <= 1 else options.weight_decay
        kind = groups[0] if recurrent and options.optimizer == "muon" else groups[1]
        scale = rate_scales.get(name, 1.0)
        group = kind.setdefault((scale, decay), {"params": [], "weight_decay": decay, "rate_scale": scale})
        group["params"].append(parameter)
    return list(groups[0].values()), list(groups[1].values())


@cache
def _light(kind: type[optim.Optimizer]) -> Any:
    """Give an optimiser that computes the same without torch's compiler.

    torch wraps these methods for the sake of `torch.compile`, and the wrappers import all of that when the first
    optimiser is made, which takes longer than `import torch`.
    """
    methods = {name: unwrap(getattr(kind, name)) for name in _WRAPPED}
    return type(kind.__name__, (kind,), {**methods, "step": torch.no_grad()(unwrap(kind.step))})
