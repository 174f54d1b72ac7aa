"""What the steps of plain torch read and write, forwards and backwards."""

from __future__ import annotations

from dataclasses import dataclass

from torch.fx import Node

from nlp_lstm.cells.engine._needed import Needed
from nlp_lstm.cells.engine._stages import Buffer, Stages, shape


@dataclass(frozen=True)
class Side:
    """What is in memory before a step, and what the step writes there; of one memory a later pair counts."""

    given: dict[Node, Buffer]
    targets: list[tuple[Buffer, Node]]


def forward_side(stages: Stages, half: bool) -> Side:
    """Give what a step forward takes and makes; with `half`, factors are copies with fewer bits."""
    trace = stages.trace
    given = {trace.projected: Buffer("projected")}
    given |= {node: Buffer("state", index) for index, node in enumerate(trace.states)}
    targets = {Buffer("state", i, next=True): node for i, node in enumerate(trace.new_states)}
    for buffer, node in _factors(stages).items():
        if half and node in trace.states:
            targets[Buffer("factor", buffer.index, next=True)] = trace.new_states[trace.states.index(node)]
        else:
            targets[buffer] = node
    return Side(given, list(targets.items()))


def backward_side(stages: Stages, half: bool) -> Side:
    """Give what a step backward takes, but for what is kept for it alone, and makes."""
    trace = stages.trace
    given = {node: Buffer("state", index, next=True) for index, node in enumerate(trace.new_states)}
    given |= {} if half else {node: buffer for buffer, node in _factors(stages).items()}
    given |= forward_side(stages, half).given
    given |= {node: Buffer("carried", index) for index, node in enumerate(trace.state_gradients)}
    given[trace.output_gradient] = Buffer("output_gradient")
    gradients = [site.product_gradient for site in trace.sites]
    targets: dict[Buffer, Node | None] = dict(zip(stages.product_gradients, gradients, strict=True))
    if stages.projected_gradient is not None:
        targets[stages.projected_gradient] = trace.projected_gradient
    targets |= {Buffer("carried", index, next=True): node for index, node in enumerate(trace.previous_gradients)}
    targets |= {Buffer("weight_gradient", index): node for index, node in enumerate(trace.weight_gradients)}
    return Side(given, [(buffer, node) for buffer, node in targets.items() if node is not None])


def kept_nodes(needed: Needed, forward: Side, backward: Side) -> list[Node]:
    """List what a step forward is to keep for the one back."""
    made, read = ([node for _, node in side.targets] for side in (forward, backward))
    return needed.kept(made, read, backward.given)


def carried(stages: Stages, backward: bool) -> list[tuple[Buffer, Buffer, int]]:
    """List what keeps its numbers once a sequence has ended: the memory before and after a step, and its columns."""
    states = [shape(node)[-1] for node in stages.trace.states]
    found = [("carried" if backward else "state", index, size) for index, size in enumerate(states)]
    if not backward:
        found += [("factor", index, shape(stages.trace.sites[index].factor)[-1]) for index in stages.copies()]
    return [(Buffer(name, index), Buffer(name, index, next=True), size) for name, index, size in found]


def _factors(stages: Stages) -> dict[Buffer, Node]:
    """Say what is copied for products, by its memory."""
    pairs = zip(stages.factors, stages.trace.sites, strict=True)
    return {buffer: site.factor for buffer, site in pairs if buffer.name == "factor"}
