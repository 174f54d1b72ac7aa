"""The optimisers by name."""

from __future__ import annotations

from torch import nn, optim

from nlp_lstm.training._options import TrainingOptions


def build_optimizer(model: nn.Module, options: TrainingOptions) -> optim.Optimizer:
    """Return AdamW (Loshchilov and Hutter 2019) or SGD over a model's parameters; biases are not decayed."""
    decayed = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    others = [parameter for parameter in model.parameters() if parameter.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": options.weight_decay}, {"params": others, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    if options.optimizer == "sgd":
        return optim.SGD(groups, lr=options.learning_rate, momentum=options.momentum)
    return optim.AdamW(groups, lr=options.learning_rate, betas=(options.momentum, options.beta2), fused=True)
