"""How far back the gradient of a language model's loss reaches: the vanishing gradient, measured."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor
from torch.nn import functional as F

from nlp_lstm.errors import ShapeError, UsageError
from nlp_lstm.models._language_model import LanguageModel
from nlp_lstm.models._stepper import Stepper, StepperState


def gradient_flow(model: LanguageModel, ids: Tensor, steps: int) -> Tensor:
    """Measure the gradient of the loss at step t with respect to the state at step t - k, for k = 0 to `steps`.

    What vanishes or explodes in training by back-propagation through time (Hochreiter 1991; Bengio, Simard and Frasconi
    1994; Pascanu, Mikolov and Bengio 2013, section 2). The loss at step t is the nats of token t + 1. The state is that
    of all layers, taken as one vector whose parts (h and c of an LSTM) are independent: the gradient k steps back is
    the one k - 1 steps back times the Jacobian of one step. For k = 0 it is the gradient of the output's h.

    `ids` (batch, time) int64 holds a text a row, read from the state that texts start from, without dropout; time is
    at least steps + 2. Returns the norms, (batch, steps + 1) float64, each row's a mean over all t that have `steps`
    steps before them. The model computes in its own type and is left as it was: in fp32 a gradient below 1e-38 reads
    as zero, and `model.double()` goes further. All steps stay in memory: a few hundred tokens a text are plenty.

    Raises UsageError for a model whose past is no state of recurrent layers (the transformer), and for `steps` below 1;
    ShapeError where ids are not of that shape.
    """
    _check(model, ids, steps)
    stepper, state = _start(model, ids[:, 0])
    count = ids.shape[1] - 1 - steps
    total = torch.zeros(len(ids), steps + 1, dtype=torch.float64, device=ids.device)
    with torch.enable_grad():
        before: deque[StepperState] = deque([_independent(state)], maxlen=steps)
        for t in range(1, ids.shape[1] - 1):
            logits, state = stepper(ids[:, t], before[-1])
            if t >= steps:
                loss = F.cross_entropy(logits, ids[:, t + 1], reduction="sum")
                total += _norms(loss, state[-1][0], before)
            before.append(_independent(state))
    return total / count


def _check(model: LanguageModel, ids: Tensor, steps: int) -> None:
    if not Stepper.fits(model):
        raise UsageError(
            "The gradient is followed through the state of plain recurrent layers, which this model does not have. "
            "Give a LanguageModel of a recurrent cell, without a cache."
        )
    if steps < 1:
        raise UsageError(f"steps={steps} must be at least 1.")
    if ids.dim() != 2 or ids.shape[1] < steps + 2:
        raise ShapeError(
            f"The token ids have the shape {tuple(ids.shape)}; give (batch, time) with a time of at least "
            f"{steps + 2}, which is steps + 2."
        )


@torch.no_grad()
def _start(model: LanguageModel, ids: Tensor) -> tuple[Stepper, StepperState]:
    """Read the first token of each row."""
    training = model.training
    model.eval()
    try:
        stepper = Stepper(model)
        _, state = stepper(ids, None)
    finally:
        model.train(training)
    return stepper, state


def _independent(state: StepperState) -> StepperState:
    """Copy a state, so that a gradient with respect to c does not pass through the h that was made of it."""
    return tuple(
        tuple(tensor.clone() if tensor.requires_grad else tensor.requires_grad_() for tensor in one) for one in state
    )


def _norms(loss: Tensor, h: Tensor, before: deque[StepperState]) -> Tensor:
    """Give each row's norm of the gradient for h and for the states before it, the last first: (batch, steps + 1)."""
    tensors = [[tensor for layer in state for tensor in layer] for state in reversed(before)]
    flat = [h, *(tensor for state in tensors for tensor in state)]
    # Not every tensor of a state is read by the next step: the h of a cell without a recurrent matrix is not.
    gradients = iter(torch.autograd.grad(loss, flat, retain_graph=True, materialize_grads=True))
    parts = [torch.cat([next(gradients).double() for _ in state], dim=-1) for state in ([h], *tensors)]
    return torch.stack([part.norm(dim=-1) for part in parts], dim=1)
