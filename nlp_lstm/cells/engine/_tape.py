"""torch's operations written down as they run: a graph that no longer knows the Python that called them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.fx import Graph, Node
from torch.fx.node import map_aggregate
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary


class Unsupported(Exception):
    """A cell does something that this way of running it does not know; a slower way does."""


class TensorMeta(NamedTuple):
    """What is known of a node's tensor; under "tensor_meta" in `node.meta`, as in torch's own graphs."""

    shape: torch.Size
    dtype: torch.dtype


class Tape(TorchDispatchMode):
    """While it is entered, every operation becomes a node of `graph`, those of autograd's formulas among them.

    `decompositions` says which operations are to be written down as others. torch's own `make_fx` does the same, and
    imports all of torch's compiler for it, which takes longer than `import torch`.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # torch would wrap what follows, and the wrapper imports that compiler

    def __init__(self, decompositions: Mapping[Any, Callable[..., Any]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.graph = Graph()
        self._decompositions = decompositions
        # Weak, since autograd makes a copy of a view that somebody else holds, and a copy is another tensor.
        self._nodes = WeakTensorKeyDictionary()

    def take(self, tensors: Sequence[Tensor]) -> None:
        """Make inputs of the graph of tensors."""
        for number, tensor in enumerate(tensors):
            self._note(self.graph.placeholder(f"input_{number}"), tensor)

    def give(self, results: Sequence[Tensor | None]) -> None:
        """Make results of the graph of tensors, which ends it; None stays None."""
        self.graph.output(map_aggregate(list(results), self._written))

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Sequence[Any] = (), options: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation and write it down. Raises Unsupported where it tells what the tensors hold."""
        options = options or {}
        for simpler in (self._decompositions.get(function), function.decompose):
            if simpler is not None:
                with self:
                    result = simpler(*arguments, **options)
                if result is not NotImplemented:
                    return result
        result = function(*arguments, **options)
        written = map_aggregate((tuple(arguments), dict(options)), self._written)
        self._note(self.graph.call_function(function, *written), result)
        return result

    def _note(self, node: Node, result: Any) -> None:
        if isinstance(result, Tensor):
            self._nodes[result] = node
            node.meta["tensor_meta"] = TensorMeta(result.shape, result.dtype)
        elif isinstance(result, tuple | list):
            for place, part in enumerate(result):
                self._note(self.graph.call_function(operator.getitem, (node, place)), part)
        elif result is not None:
            raise Unsupported(f"a decision by what a tensor holds, {node.target}")

    def _written(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        node = self._nodes.get(value)
        return self.graph.create_node("get_attr", "constant") if node is None else node
