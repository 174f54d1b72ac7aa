"""An independent float64 reading of the papers' equations, gate by gate, to hold the cells against."""

from __future__ import annotations

import numpy as np

Array = np.ndarray
Weights = dict[str, Array]


def sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


def _rows(index: int, size: int) -> slice:
    return slice(index * size, (index + 1) * size)


def _gate(weights: Weights, index: int, size: int, x: Array, h: Array) -> tuple[Array, Array]:
    rows = _rows(index, size)
    from_input = x @ weights["weight_ih"][rows].T + weights["bias_ih"][rows]
    from_hidden = h @ weights["weight_hh"][rows].T
    if "bias_hh" in weights:
        from_hidden = from_hidden + weights["bias_hh"][rows]
    return from_input, from_hidden


def _gates(weights: Weights, count: int, size: int, x: Array, h: Array) -> list[Array]:
    return [sum(_gate(weights, index, size, x, h)) for index in range(count)]


def rnn(x: Array, state: tuple[Array, ...], weights: Weights) -> tuple[Array, ...]:
    (h,) = state
    return (np.tanh(sum(_gate(weights, 0, h.shape[1], x, h))),)


def rnn_relu(x: Array, state: tuple[Array, ...], weights: Weights) -> tuple[Array, ...]:
    (h,) = state
    return (np.maximum(0, sum(_gate(weights, 0, h.shape[1], x, h))),)


def lstm(x: Array, state: tuple[Array, ...], weights: Weights) -> tuple[Array, ...]:
    h, c = state
    i, f, g, o = _gates(weights, 4, c.shape[1], x, h)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def lstmp(x: Array, state: tuple[Array, ...], weights: Weights) -> tuple[Array, ...]:
    wide, c = lstm(x, state, weights)
    return wide @ weights["weight_hr"].T, c


def gru(x: Array, state: tuple[Array, ...], weights: Weights) -> tuple[Array, ...]:
    (h,) = state
    r, z = (sigmoid(gate) for gate in _gates(weights, 2, h.shape[1], x, h))
    from_input, from_hidden = _gate(weights, 2, h.shape[1], x, h)
    n = np.tanh(from_input + r * from_hidden)
    return ((1 - z) * n + z * h,)


def gru_reset_before(x: Array, state: tuple[Array, ...], weights: Weights) -> tuple[Array, ...]:
    (h,) = state
    size = h.shape[1]
    r, z = (sigmoid(gate) for gate in _gates(weights, 2, size, x, h))
    rows = _rows(2, size)
    n = np.tanh(x @ weights["weight_ih"][rows].T + weights["bias_ih"][rows] + (r * h) @ weights["weight_hn"].T)
    return ((1 - z) * n + z * h,)


def peephole(x: Array, state: tuple[Array, ...], weights: Weights) -> tuple[Array, ...]:
    h, c = state
    i, f, g, o = _gates(weights, 4, h.shape[1], x, h)
    new = sigmoid(f + c * weights["weight_cf"]) * c + sigmoid(i + c * weights["weight_ci"]) * np.tanh(g)
    return sigmoid(o + new * weights["weight_co"]) * np.tanh(new), new


def cifg(x: Array, state: tuple[Array, ...], weights: Weights) -> tuple[Array, ...]:
    """As the paper has it: the input gate is learnt, with the weights of ours turned, and f = 1 - i."""
    h, c = state
    turned, g, o = _gates(weights, 3, h.shape[1], x, h)
    i = sigmoid(-turned)
    c = (1 - i) * c + i * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def _layer_norm(a: Array, gain: Array) -> Array:
    return gain * (a - a.mean(axis=1, keepdims=True)) / np.sqrt(a.var(axis=1, keepdims=True) + 1e-5)


def layer_norm_lstm(x: Array, state: tuple[Array, ...], weights: Weights) -> tuple[Array, ...]:
    h, c = state
    both = _layer_norm(x @ weights["weight_ih"].T, weights["gain_ih"])
    both = both + _layer_norm(h @ weights["weight_hh"].T, weights["gain_hh"]) + weights["bias_ih"]
    i, f, g, o = np.split(both, 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(_layer_norm(c, weights["gain_c"]) + weights["bias_c"]), c


def mogrifier(x: Array, state: tuple[Array, ...], weights: Weights) -> tuple[Array, ...]:
    h, c = state
    xs, hs = {-1: x}, {0: h}
    rounds = sum(name.startswith(("weight_q", "weight_r")) for name in weights)
    for i in range(1, rounds + 1):
        if i % 2 == 1:
            xs[i] = 2 * sigmoid(hs[i - 1] @ weights[f"weight_q{i}"].T) * xs[i - 2]
        else:
            hs[i] = 2 * sigmoid(xs[i - 1] @ weights[f"weight_r{i}"].T) * hs[i - 2]
    return lstm(xs[max(xs)], (hs[max(hs)], c), weights)


def multiplicative(x: Array, state: tuple[Array, ...], weights: Weights) -> tuple[Array, ...]:
    h, c = state
    m = (x @ weights["weight_mx"].T) * (h @ weights["weight_mh"].T)
    i, f, g, o = _gates(weights, 4, h.shape[1], x, m)
    c = sigmoid(f) * c + sigmoid(i) * g
    return np.tanh(c * sigmoid(o)), c


def slstm(x: Array, state: tuple[Array, ...], weights: Weights) -> tuple[Array, ...]:
    """Without the stabiliser, equations 8 to 14, in the units that exp(m) stands for; m itself by equation 15."""
    h, c, n, m = state
    i, f, z, o = _gates(weights, 4, h.shape[1], x, h)
    true_c = sigmoid(f) * c * np.exp(m) + np.exp(i) * np.tanh(z)
    true_n = sigmoid(f) * n * np.exp(m) + np.exp(i)
    m = np.maximum(np.log(sigmoid(f)) + m, i)
    return sigmoid(o) * true_c / true_n, true_c / np.exp(m), true_n / np.exp(m), m


def minlstm(x: Array, state: tuple[Array, ...], weights: Weights) -> tuple[Array, ...]:
    f, i, n = np.split(x @ weights["weight_ih"].T + weights["bias_ih"], 3, axis=1)
    f, i = sigmoid(f), sigmoid(i)
    return (f / (f + i) * state[0] + i / (f + i) * n,)


def mingru(x: Array, state: tuple[Array, ...], weights: Weights) -> tuple[Array, ...]:
    z, n = np.split(x @ weights["weight_ih"].T + weights["bias_ih"], 2, axis=1)
    return ((1 - sigmoid(z)) * state[0] + sigmoid(z) * n,)


def qrnn(x: Array, state: tuple[Array, ...], weights: Weights) -> tuple[Array, ...]:
    """With a window of two: `pending` is what the input before this one adds."""
    _, c, pending = state
    now, later = np.split(x @ weights["weight_ih"].T, 2, axis=1)
    z, f, o = np.split(now + pending + weights["bias_ih"], 3, axis=1)
    c = sigmoid(f) * c + (1 - sigmoid(f)) * np.tanh(z)
    return sigmoid(o) * c, c, later


STEPS = {
    "rnn": rnn,
    "rnn_relu": rnn_relu,
    "lstm": lstm,
    "lstmp": lstmp,
    "gru": gru,
    "gru_reset_before": gru_reset_before,
    "peephole": peephole,
    "cifg": cifg,
    "layer_norm_lstm": layer_norm_lstm,
    "mogrifier": mogrifier,
    "multiplicative": multiplicative,
    "slstm": slstm,
    "minlstm": minlstm,
    "mingru": mingru,
    "qrnn": qrnn,
}


def qrnn_sequence(xs: list[Array], weights: Weights, size: int) -> list[Array]:
    """A sequence from its start, by the paper's convolution over the last inputs, with zeros before the first."""
    window = len(weights["weight_ih"]) // (3 * size)
    c, outputs = np.zeros((xs[0].shape[0], size)), []
    for t in range(len(xs)):
        gates = weights["bias_ih"]
        for k in range(window):
            if t - k >= 0:
                gates = gates + xs[t - k] @ weights["weight_ih"][_rows(k, 3 * size)].T
        z, f, o = np.split(gates, 3, axis=1)
        c = sigmoid(f) * c + (1 - sigmoid(f)) * np.tanh(z)
        outputs.append(sigmoid(o) * c)
    return outputs
