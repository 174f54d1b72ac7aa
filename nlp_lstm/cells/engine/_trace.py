"""A cell's step, run once and written down: a graph of torch's operations, forwards and backwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch._decomp import get_decompositions
from torch.fx import Graph, Node

from nlp_lstm.cells.engine._loop import Equations
from nlp_lstm.cells.engine._recorded import recording
from nlp_lstm.cells.engine._rows import with_distinct_rows
from nlp_lstm.cells.engine._simplify import simplify
from nlp_lstm.cells.engine._tape import Tape, Unsupported

_aten = torch.ops.aten
# Operations that are rare in cells, and are no single operation on the processor either.
_DECOMPOSED: dict[Any, Callable[..., Any]] = dict(
    get_decompositions(
        [
            *(_aten.native_layer_norm, _aten.native_layer_norm_backward, _aten.var, _aten.var_mean, _aten.std),
            *(_aten.softplus, _aten.softplus_backward, _aten.silu, _aten.silu_backward, _aten.elu, _aten.elu_backward),
            *(_aten.leaky_relu, _aten.leaky_relu_backward, _aten.hardtanh, _aten.hardtanh_backward),
            *(_aten.hardsigmoid, _aten.hardsigmoid_backward, _aten.addcmul, _aten.addcdiv, _aten.lerp),
        ]
    )
)


def _log_sigmoid_backward(gradient: Tensor, x: Tensor, _: Tensor) -> Tensor:
    return gradient * torch.sigmoid(-x)


_NEVER_WHOLE = {_aten.log_sigmoid_backward.default: _log_sigmoid_backward}
_DECOMPOSED |= _NEVER_WHOLE
_SAME = {_aten.detach.default, _aten.alias.default, _aten.clone.default}


@dataclass(frozen=True)
class Site:
    """One matrix product inside a step, factor @ weight.T, and its gradients."""

    factor: Node
    weight: Node
    product: Node
    product_gradient: Node
    factor_gradient: Node


@dataclass(frozen=True)
class Trace:
    """A step and its gradient as one graph over rows that stand for a batch.

    Inputs: `projected`, `states`, `weights`, and the gradients `output_gradient` (of h as output) and
    `state_gradients` (of the new states, from the step behind). Results: `new_states`, `sites`, and the gradients of
    the inputs, None where there is none. `rows` is the number of rows in the graph, which is no other size in it.
    """

    graph: Graph
    rows: int
    projected: Node
    states: list[Node]
    weights: list[Node]
    output_gradient: Node
    state_gradients: list[Node]
    new_states: list[Node]
    sites: list[Site]
    projected_gradient: Node | None
    previous_gradients: list[Node | None]
    weight_gradients: list[Node | None]


class _Given(torch.autograd.Function):
    """A number whose gradients by several tensors are given.

    torch.autograd.grad takes them as `grad_outputs` too, but compares their shapes by way of symbolic mathematics, and
    that library takes half a second to import.
    """

    @staticmethod
    def forward(ctx: Any, gradients: Sequence[Tensor], *tensors: Tensor) -> Tensor:
        ctx.gradients = gradients
        return tensors[0].new_zeros(())

    @staticmethod
    def backward(ctx: Any, _: Tensor) -> tuple[Tensor | None, ...]:
        return None, *ctx.gradients


def trace(
    cell: Equations,
    columns: int,
    widths: Sequence[int],
    shapes: Sequence[tuple[str, tuple[int, ...] | None]],
    whole: bool = False,
) -> Trace:
    """Trace `cell.step` and its gradient.

    `columns` is the width of the projected input, `widths` those of the states, `shapes` the weights' names and
    shapes, None for a weight that is None. With `whole`, operations stay as large as torch has them, and are put
    together. Raises Unsupported, or whatever the step raises on tensors of zeros.
    """
    sizes = {columns, *widths, *(size for _, shape in shapes for size in shape or ())}
    rows, graph = with_distinct_rows(lambda number: _recorded(number, cell, columns, widths, shapes, whole), sizes)
    _check(graph)
    for node in list(graph.nodes):
        if node.op == "call_function" and node.target in _SAME:
            node.replace_all_uses_with(node.args[0])
    graph.eliminate_dead_code()
    if whole:
        simplify(graph)
    return _named(graph, rows, len(widths), sum(shape is not None for _, shape in shapes))


def _recorded(
    rows: int,
    cell: Equations,
    columns: int,
    widths: Sequence[int],
    shapes: Sequence[tuple[str, tuple[int, ...] | None]],
    whole: bool,
) -> Graph:
    names = [name for name, shape in shapes if shape is not None]
    absent = {name: None for name, shape in shapes if shape is None}
    sites: list[dict[str, Tensor]] = []

    def step(
        projected: Tensor, states: list[Tensor], weights: list[Tensor], gradients: list[Tensor]
    ) -> list[Tensor | None]:
        leaves = [projected, *states, *weights]
        for leaf in leaves:
            leaf.requires_grad_()
        space = SimpleNamespace(**absent, **dict(zip(names, weights, strict=True)))
        with recording(sites, whole):
            new = list(cell.step(projected, tuple(states), space))
        shown = [(list(one.shape), one.is_floating_point()) for one in new]
        if shown != [([rows, width], True) for width in widths]:
            raise Unsupported("a new state that has not the size and kind of the one before")
        incoming = [gradients[0] + gradients[1], *gradients[2:]]
        back = torch.autograd.grad(_Given.apply(incoming, *new), leaves, allow_unused=True)
        return [*new, *back, *(note.get(name) for note in sites for name in Site.__annotations__)]

    def zeros(*sizes: int) -> Tensor:
        return torch.zeros(sizes, dtype=torch.float32, device="cpu")

    with torch.inference_mode(False), torch.enable_grad(), torch.autocast("cpu", enabled=False):
        examples = (
            zeros(rows, columns),
            [zeros(rows, width) for width in widths],
            [zeros(*shape) for _, shape in shapes if shape is not None],
            [zeros(rows, width) for width in (widths[0], *widths)],
        )
        tape = Tape(_NEVER_WHOLE if whole else _DECOMPOSED)
        tape.take([examples[0], *examples[1], *examples[2], *examples[3]])
        with tape:
            tape.give(step(*examples))
    return tape.graph


def _check(graph: Graph) -> None:
    """Raise Unsupported for operations that give another result when they are repeated."""
    for node in graph.nodes:
        target = node.target
        if isinstance(target, torch._ops.OpOverload):
            if torch.Tag.nondeterministic_seeded in target.tags:
                raise Unsupported(f"a random operation, {target}")
            if target._schema.is_mutable:
                raise Unsupported(f"a change in place, {target}")


def _named(graph: Graph, rows: int, states: int, weights: int) -> Trace:
    """Find by position what the graph takes and gives."""
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    results: list[Any] = list(graph.output_node().args[0])  # type: ignore[arg-type]
    new, back, noted = results[:states], results[states:][: 1 + states + weights], results[1 + 2 * states + weights :]
    size = len(Site.__annotations__)
    sites = [noted[start : start + size] for start in range(0, len(noted), size)]
    if any(None in site for site in sites):
        raise Unsupported("a product that the new state does not depend on")
    first, second = 1 + states, 1 + states + weights
    return Trace(
        graph=graph,
        rows=rows,
        projected=inputs[0],
        states=inputs[1:first],
        weights=inputs[first:second],
        output_gradient=inputs[second],
        state_gradients=inputs[second + 1 :],
        new_states=list(new),
        sites=[Site(*site) for site in sites],
        projected_gradient=back[0],
        previous_gradients=list(back[1:first]),
        weight_gradients=list(back[first:second]),
    )
