"""A traced step cut at its products: what is computed before, between and behind them, forwards and backwards."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch.fx import Node

from nlp_lstm.cells.engine._tape import Unsupported
from nlp_lstm.cells.engine._trace import Trace

_aten = torch.ops.aten


@dataclass(frozen=True)
class Buffer:
    """Memory that a loop reads or writes a part of at each step."""

    name: str
    """One of: projected, state, weight, factor, product, output_gradient, carried (the gradient of a state on its way
    back), product_gradient, factor_gradient, projected_gradient, weight_gradient."""
    index: int = 0
    next: bool = False
    """Of a state: the one after the step, not the one before. Of `carried`: that of the state before the step, which
    the step gives, not that of the state after it, which the step takes."""


@dataclass(frozen=True)
class Piece:
    """Arithmetic on rows, without a product: `targets` are computed from what is in the buffers of `loads`."""

    targets: dict[Buffer, Node]
    loads: dict[Node, Buffer]


@dataclass(frozen=True)
class Product:
    """result (+)= factor @ matrix.T, or @ matrix where it is `transposed`."""

    factor: Buffer
    result: Buffer
    site: int
    transposed: bool
    accumulate: bool


Step = Piece | Product
Memory = tuple[str, int]
"""The name and the index of a buffer: what `Buffer`s of one memory have in common."""
WITHOUT_END = 1 << 62


def touched(step: Step) -> list[Buffer]:
    """List what a step reads and writes."""
    return [step.factor, step.result] if isinstance(step, Product) else [*step.loads.values(), *step.targets]


def shape(node: Node) -> tuple[int, ...]:
    """Give the shape of a node's tensor, the first one's where it has several. Raises Unsupported for none."""
    if "tensor_meta" in node.meta:
        return tuple(node.meta["tensor_meta"].shape)
    for user in node.users:
        if user.target is operator.getitem and user.args[1] == 0:
            return shape(user)
    raise Unsupported(f"{node}, which is no tensor")


def kind(node: Node) -> torch.dtype:
    """Give the type of numbers of a node's tensor."""
    found: torch.dtype = node.meta["tensor_meta"].dtype
    return found


@dataclass
class _Plan:
    """The order in which targets can be computed, where some nodes are results of products."""

    loads: dict[Node, Buffer]
    targets: dict[Buffer, Node]
    products: dict[Node, Product]
    factors: dict[Node, Node]  # result of a product: what it is made of
    levels: dict[Node, int] = field(default_factory=dict)

    def level(self, node: Node) -> int:
        """Give the number of products that must come before the node."""
        if node not in self.levels:
            if node in self.factors:
                self.levels[node] = self.level(self.factors[node]) + 1
            elif node in self.loads:
                self.levels[node] = 0
            else:
                self.levels[node] = max((self.level(one) for one in node.all_input_nodes), default=0)
        return self.levels[node]

    def write_in_place(self) -> None:
        """Let products write, or add, to a target where the target is that product, or a sum with it."""
        for buffer, node in list(self.targets.items()):
            while True:
                product, other = self._last_product(node)
                if product is None:
                    break
                self.products[product] = Product(
                    **{**vars(self.products[product]), "result": buffer, "accumulate": other is not None}
                )
                if other is None:
                    del self.targets[buffer]
                    break
                self.targets[buffer] = node = other

    def _last_product(self, node: Node) -> tuple[Node | None, Node | None]:
        """Give the product that a target's node is, with None, or the product and what it is added to; else None."""
        if _uses(node) or list(self.targets.values()).count(node) > 1:
            return None, None
        if node in self.products:
            return node, None
        if node.op == "call_function" and node.target is _aten.add.Tensor and not node.kwargs:
            for product, other in (node.args, node.args[::-1]):
                if isinstance(product, Node) and isinstance(other, Node) and product in self.products:
                    alone = _uses(product) == _uses(other) == [node] and other not in self.loads
                    if alone and shape(other) == shape(node) and self.level(other) < self.level(product):
                        return product, other
        return None, None

    def steps(self) -> list[Step]:
        """Give pieces and products in order."""
        self.write_in_place()
        last = max(map(self.level, [*self.targets.values(), *self.products]), default=0)
        done = dict(self.loads)
        order: list[Step] = []
        for level in range(last + 1):
            made = {node: product for node, product in self.products.items() if self.level(node) == level}
            order += made.values()
            done |= {node: product.result for node, product in made.items()}
            targets = {buffer: node for buffer, node in self.targets.items() if self.level(node) == level}
            if targets:
                order.append(Piece(targets, {node: done[node] for node in _reached(targets, done)}))
            done |= {node: buffer for buffer, node in targets.items() if node not in done}
        return order


def _uses(node: Node) -> list[Node]:
    """List the operations that take the node; being a result of the step is no use in this sense."""
    return [user for user in node.users if user.op != "output"]


def _reached(targets: Mapping[Buffer, Node], done: Mapping[Node, Buffer]) -> list[Node]:
    """List what computing the targets reads."""
    found: dict[Node, None] = {}
    seen: set[Node] = set()
    waiting = list(targets.values())
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if node in done:
            found[node] = None
        elif node.op != "call_function":
            raise Unsupported(f"a constant tensor, {node}")
        else:
            waiting += node.all_input_nodes
    return list(found)


@dataclass(frozen=True)
class Stages:
    """A cell's step in pieces and products, in order: forwards, and backwards.

    `factors` and `product_gradients` say which buffer holds each product's factor and gradient, `projected_gradient`
    which holds that of the projected input; one buffer may serve for several. `kept` are nodes of the step forward that
    the one back reads from memory; where it is None, that one computes again what it needs from the products.
    """

    trace: Trace
    forward: list[Step]
    backward: list[Step]
    factors: list[Buffer]
    product_gradients: list[Buffer]
    projected_gradient: Buffer | None
    kept: list[Node] | None = None

    def steps(self, backward: bool) -> list[Step]:
        """Give the steps of one direction."""
        return self.backward if backward else self.forward

    def copies(self) -> list[int]:
        """List the factors that are copies of states: their memory, like that of states, is one step longer."""
        steps = [step for step in self.forward if isinstance(step, Piece)]
        return [buffer.index for step in steps for buffer in step.targets if buffer.name == "factor" and buffer.next]

    def slot(self, buffer: Buffer, reverse: bool) -> tuple[int, int]:
        """Say which part of its memory a buffer is at step t: part (t + shift) % period, for (shift, period).

        A period of 0 stands for the one part of the thread at work.
        """
        if buffer.name == "weight_gradient":
            return 0, 0
        if buffer.name == "carried":
            return int(buffer.next == reverse), 2
        longer = buffer.name == "state" or (buffer.name == "factor" and buffer.index in self.copies())
        return int(longer and buffer.next != reverse), WITHOUT_END


def cut(trace: Trace, own_factors: bool = False) -> Stages:
    """Cut a trace into stages. Raises Unsupported where its products do not allow it.

    With `own_factors` every factor has a buffer of its own (of another precision, say), also where it is a state.
    """
    inputs = {trace.projected: Buffer("projected")}
    inputs |= {node: Buffer("state", index) for index, node in enumerate(trace.states)}
    inputs |= {node: Buffer("weight", index) for index, node in enumerate(trace.weights)}
    factors = _buffers("factor", [site.factor for site in trace.sites], {} if own_factors else inputs)
    targets = {Buffer("state", index, next=True): node for index, node in enumerate(trace.new_states)}
    for buffer, site in zip(factors, trace.sites, strict=True):
        if buffer.name == "factor" and site.factor in trace.states:
            targets[Buffer("factor", buffer.index, next=True)] = trace.new_states[trace.states.index(site.factor)]
        elif buffer.name == "factor":
            targets[buffer] = site.factor
    products = {
        site.product: Product(factors[index], Buffer("product", index), index, transposed=False, accumulate=False)
        for index, site in enumerate(trace.sites)
    }
    plan = _Plan(inputs, targets, products, {site.product: site.factor for site in trace.sites})
    forward = plan.steps()
    known = inputs | {node: product.result for node, product in plan.products.items()}
    for buffer, node in plan.targets.items():
        if node not in known or buffer.name == "state":  # a state is the more precise copy
            known[node] = inputs.get(node, buffer)
    return _with_backward(trace, forward, known, factors)


def _with_backward(trace: Trace, forward: list[Step], known: dict[Node, Buffer], factors: list[Buffer]) -> Stages:
    known = known | {trace.output_gradient: Buffer("output_gradient")}
    known |= {node: Buffer("carried", index) for index, node in enumerate(trace.state_gradients)}
    gradients = _buffers("product_gradient", [site.product_gradient for site in trace.sites], {})
    targets = {buffer: site.product_gradient for buffer, site in zip(gradients, trace.sites, strict=True)}
    projected = next((buffer for buffer, node in targets.items() if node is trace.projected_gradient), None)
    if projected is None and trace.projected_gradient is not None:
        projected = Buffer("projected_gradient")
        targets[projected] = trace.projected_gradient
    results = {Buffer("carried", index, next=True): node for index, node in enumerate(trace.previous_gradients)}
    results |= {Buffer("weight_gradient", index): node for index, node in enumerate(trace.weight_gradients)}
    targets |= {buffer: node for buffer, node in results.items() if node is not None}
    products = {
        site.factor_gradient: Product(gradients[index], Buffer("factor_gradient", index), index, True, False)
        for index, site in enumerate(trace.sites)
    }
    plan = _Plan(known, targets, products, {site.factor_gradient: site.product_gradient for site in trace.sites})
    return Stages(trace, forward, plan.steps(), factors, gradients, projected)


def _buffers(name: str, nodes: list[Node], known: Mapping[Node, Buffer]) -> list[Buffer]:
    """Give each node a buffer, the same node the same one; a node that is known already keeps its own."""
    found = dict(known)
    return [found.setdefault(node, Buffer(name, index)) for index, node in enumerate(nodes)]
