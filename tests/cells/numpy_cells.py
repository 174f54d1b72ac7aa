"""An independent float64 reading of the papers' equations, gate by gate, to hold the cells against."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


def _gate(weights: dict[str, Array], index: int, size: int, x: Array, h: Array) -> tuple[Array, Array]:
    rows = slice(index * size, (index + 1) * size)
    from_input = x @ weights["weight_ih"][rows].T + weights["bias_ih"][rows]
    from_hidden = h @ weights["weight_hh"][rows].T + weights["bias_hh"][rows]
    return from_input, from_hidden


def lstm(x: Array, state: tuple[Array, ...], weights: dict[str, Array]) -> tuple[Array, ...]:
    h, c = state
    i, f, g, o = (sum(_gate(weights, index, h.shape[1], x, h)) for index in range(4))
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(x: Array, state: tuple[Array, ...], weights: dict[str, Array]) -> tuple[Array, ...]:
    (h,) = state
    r = sigmoid(sum(_gate(weights, 0, h.shape[1], x, h)))
    z = sigmoid(sum(_gate(weights, 1, h.shape[1], x, h)))
    from_input, from_hidden = _gate(weights, 2, h.shape[1], x, h)
    n = np.tanh(from_input + r * from_hidden)
    return ((1 - z) * n + z * h,)


def rnn(x: Array, state: tuple[Array, ...], weights: dict[str, Array]) -> tuple[Array, ...]:
    (h,) = state
    return (np.tanh(sum(_gate(weights, 0, h.shape[1], x, h))),)


STEPS = {"lstm": lstm, "gru": gru, "rnn": rnn}
