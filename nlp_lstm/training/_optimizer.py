"""The optimisers by name."""

from __future__ import annotations

from typing import Any

from torch import nn, optim

from nlp_lstm.training._options import TrainingOptions

MUON_RATE = 4.0
"""How much larger muon's learning rate is than that of AdamW beside it, from short runs of character models."""


class Optimizers:
    """Optimisers of different parameters that step as one."""

    def __init__(self, *parts: optim.Optimizer) -> None:
        self.parts = parts

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate of every part; muon's is larger by `MUON_RATE`."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = rate * (MUON_RATE if isinstance(part, optim.Muon) else 1.0)

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


def build_optimizer(model: nn.Module, options: TrainingOptions) -> Optimizers:
    """Return the optimiser named by the options over a model's parameters; biases are not decayed.

    adamw is that of Loshchilov and Hutter 2019; sgd has momentum. muon (Jordan et al. 2024) makes the update of every
    recurrent layer's matrix orthogonal and takes AdamW for all else; its step is scaled to AdamW's (Liu et al. 2025,
    section 2.2) and `MUON_RATE`, so that one learning rate serves both.
    """
    matrices, others, biases = _sort(model, options.optimizer == "muon")
    groups = [{"params": others, "weight_decay": options.weight_decay}, {"params": biases, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    if options.optimizer == "sgd":
        return Optimizers(optim.SGD(groups, lr=options.learning_rate, momentum=options.momentum, fused=True))
    adamw = optim.AdamW(groups, lr=options.learning_rate, betas=(options.momentum, options.beta2), fused=True)
    if not matrices:
        return Optimizers(adamw)
    # Three of the five usual Newton-Schulz steps: the same loss for less time, measured on character models.
    muon = optim.Muon(
        matrices,
        lr=options.learning_rate,
        weight_decay=options.weight_decay,
        ns_steps=3,
        adjust_lr_fn="match_rms_adamw",
    )
    return Optimizers(muon, adamw)


def _sort(model: nn.Module, muon: bool) -> tuple[list[nn.Parameter], list[nn.Parameter], list[nn.Parameter]]:
    """Split parameters into matrices for muon, other tables and matrices, and biases."""
    matrices, others, biases = [], [], []
    for name, parameter in model.named_parameters():
        if parameter.dim() <= 1:
            biases.append(parameter)
        elif muon and parameter.dim() == 2 and ("weight_ih" in name or "weight_hh" in name):
            matrices.append(parameter)
        else:
            others.append(parameter)
    return matrices, others, biases
