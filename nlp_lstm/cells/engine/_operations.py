"""How torch's pointwise operations are written in C++ over vectors; see vectors.h for the functions."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Node

from nlp_lstm.cells.engine._tape import Unsupported

_aten = torch.ops.aten

TEMPLATES: dict[Any, str] = {
    _aten.add.Tensor: "({0} + {1})",
    _aten.add.Scalar: "({0} + {1})",
    _aten.sub.Tensor: "({0} - {1})",
    _aten.sub.Scalar: "({0} - {1})",
    _aten.rsub.Scalar: "({1} - {0})",
    _aten.mul.Tensor: "({0} * {1})",
    _aten.mul.Scalar: "({0} * {1})",
    _aten.div.Tensor: "({0} / {1})",
    _aten.div.Scalar: "({0} / {1})",
    _aten.neg.default: "(-{0})",
    _aten.abs.default: "absolute({0})",
    _aten.sgn.default: "sign({0})",
    _aten.sign.default: "sign({0})",
    _aten.square.default: "({0} * {0})",
    _aten.reciprocal.default: "(1.0f / {0})",
    _aten.exp.default: "exponential({0})",
    _aten.expm1.default: "exponential_minus_1({0})",
    _aten.log.default: "logarithm({0})",
    _aten.log1p.default: "logarithm_of_1_plus({0})",
    _aten.sqrt.default: "square_root({0})",
    _aten.rsqrt.default: "(1.0f / square_root({0}))",
    _aten.sigmoid.default: "sigmoid({0})",
    _aten.tanh.default: "hyperbolic_tangent({0})",
    _aten.relu.default: "choose({0} < 0.0f, splat(0.0f), {0})",
    _aten.maximum.default: "maximum({0}, {1})",
    _aten.minimum.default: "minimum({0}, {1})",
    _aten.where.self: "choose({0}, {1}, {2})",
    _aten.masked_fill.Scalar: "choose({1}, {2}, {0})",
    _aten.masked_fill.Tensor: "choose({1}, {2}, {0})",
    _aten.logical_not.default: "(~{0})",
    _aten.logical_and.default: "({0} & {1})",
    _aten.logical_or.default: "({0} | {1})",
    _aten.bitwise_not.default: "(~{0})",
    _aten.bitwise_and.Tensor: "({0} & {1})",
    _aten.bitwise_or.Tensor: "({0} | {1})",
    _aten.sigmoid_backward.default: "({0} * ({1} * (1.0f - {1})))",
    _aten.tanh_backward.default: "({0} * (1.0f - {1} * {1}))",
    _aten.threshold_backward.default: "choose({1} <= {2}, splat(0.0f), {0})",
    _aten.log_sigmoid_forward.default: "logarithm_of_sigmoid({0})",
}
for _name, _sign in {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}.items():
    for _kind in ("Scalar", "Tensor"):
        TEMPLATES[getattr(getattr(_aten, _name), _kind)] = f"({{0}} {_sign} {{1}})"

EXPENSIVE = {
    *(_aten.exp.default, _aten.expm1.default, _aten.log.default, _aten.log1p.default, _aten.sqrt.default),
    *(_aten.rsqrt.default, _aten.sigmoid.default, _aten.tanh.default, _aten.log_sigmoid_forward.default),
}
"""Operations whose result is worth keeping where it is needed in two passes over a row."""

RESHAPING = {
    *(_aten.view.default, _aten._unsafe_view.default, _aten.reshape.default, _aten.expand.default),
    *(_aten.unsqueeze.default, _aten.squeeze.default, _aten.squeeze.dim, _aten.squeeze.dims),
}
"""Operations that change no element, and no element's place in its row, where both shapes are rows of one width."""

_POWERS = {1: "{0}", 2: "({0} * {0})", 3: "({0} * {0} * {0})", 0.5: "square_root({0})", -1: "(1.0f / {0})"}
_POWERS[-0.5] = "(1.0f / square_root({0}))"
_FILLED = {_aten.zeros.default, _aten.new_zeros.default, _aten.zeros_like.default}
_ONES = {_aten.ones.default, _aten.new_ones.default, _aten.ones_like.default}


def constant_value(node: Node) -> float | None:
    """Give the number that fills the node's tensor, or None where it is no constant."""
    if node.target in _FILLED:
        return 0.0
    if node.target in _ONES:
        return 1.0
    if node.target is _aten.scalar_tensor.default:
        return float(node.args[0])  # type: ignore[arg-type]
    if node.target in (_aten.full.default, _aten.full_like.default, _aten.new_full.default):
        return float(node.args[-1])  # type: ignore[arg-type]
    return None


def template(node: Node) -> tuple[str, list[Any]]:
    """Give the C++ of a pointwise operation and what goes into it, nodes or numbers. Raises Unsupported."""
    target, arguments = node.target, list(node.args)
    if target is _aten.pow.Tensor_Scalar and arguments[1] in _POWERS:
        return _POWERS[arguments[1]], arguments[:1]  # type: ignore[index]
    if target in (_aten.clamp.default, _aten.clamp_min.default, _aten.clamp_max.default):
        return _clamp(node)
    if target in (_aten._to_copy.default, torch.ops.prims.convert_element_type.default):
        boolean = arguments[0].meta["tensor_meta"].dtype == torch.bool  # type: ignore[union-attr]
        return ("choose({0}, splat(1.0f), splat(0.0f))" if boolean else "{0}"), arguments[:1]
    if target not in TEMPLATES:
        raise Unsupported(f"the operation {target}")
    alpha = node.kwargs.get("alpha", 1)
    if target in (_aten.add.Tensor, _aten.sub.Tensor) and alpha != 1:
        return TEMPLATES[target].replace("{1}", "({2} * {1})"), [*arguments, alpha]
    if set(node.kwargs) - {"alpha"}:
        raise Unsupported(f"the operation {target} with {dict(node.kwargs)}")
    return TEMPLATES[target], arguments


def _clamp(node: Node) -> tuple[str, list[Any]]:
    bounds = dict(zip(("min", "max"), node.args[1:], strict=False)) | dict(node.kwargs)
    if node.target is _aten.clamp_max.default:
        bounds = {"max": bounds.get("max", node.args[1])}
    text, arguments = "{0}", [node.args[0]]
    for name, function in (("min", "maximum"), ("max", "minimum")):
        if bounds.get(name) is not None:
            arguments.append(bounds[name])
            text = f"{function}({text}, {{{len(arguments) - 1}}})"
    return text, arguments
