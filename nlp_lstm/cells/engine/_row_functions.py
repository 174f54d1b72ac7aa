"""The functions that cells are made of, in Triton over a row's columns; vectors.h has them in C++, by the same names.

Only what the engine writes for a GPU imports this, so that Triton is loaded where there is one. Each function is right
in Triton's interpreter too: none is of a maker's library.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = [
    *("absolute", "choose", "exponential", "exponential_minus_1", "hyperbolic_tangent", "load", "load_one"),
    *("logarithm", "logarithm_of_1_plus", "logarithm_of_sigmoid", "maximum", "minimum", "sigmoid", "sign", "splat"),
    *("square_root", "store", "store_one", "sum_of_row", "tl", "triton"),
]


@triton.jit
def load(place, mask):
    """Read columns as fp32; what stands outside the row is 0."""
    return tl.load(place, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def load_one(place):
    """Read one number as fp32."""
    return tl.load(place).to(tl.float32)


@triton.jit
def store(place, x, mask):
    """Write columns, rounded to the nearest number that the memory can hold."""
    tl.store(place, x.to(place.dtype.element_ty), mask=mask)


@triton.jit
def store_one(place, x):
    """Write one number."""
    tl.store(place, x.to(place.dtype.element_ty))


@triton.jit
def sum_of_row(x, mask):
    """Add up columns; what is computed outside the row may be no number."""
    return tl.sum(tl.where(mask, x, 0.0), axis=0)


@triton.jit
def splat(x):
    """Make a number of a constant."""
    return tl.full((), x, tl.float32)


@triton.jit
def choose(condition, yes, no):
    """Take the one or the other."""
    return tl.where(condition, yes, no)


@triton.jit
def absolute(x):
    """Drop the sign."""
    return tl.abs(x)


@triton.jit
def sign(x):
    """Give -1, 0 or 1."""
    return tl.where(x > 0.0, 1.0, tl.where(x < 0.0, -1.0, 0.0))


@triton.jit
def maximum(x, y):
    """Give the larger; a NaN in either argument stays one."""
    return tl.where((x > y) | (x != x), x, y)


@triton.jit
def minimum(x, y):
    """Give the smaller; a NaN in either argument stays one."""
    return tl.where((x < y) | (x != x), x, y)


@triton.jit
def square_root(x):
    """Give the root."""
    return tl.sqrt(x)


@triton.jit
def exponential(x):
    """Give e^x."""
    return tl.exp(x)


@triton.jit
def exponential_minus_1_of_moderate(x):
    """Give e^x - 1 for |x| <= 87: x = n * ln 2 + r, and the series of (e^r - 1 - r) / r^2."""
    n = tl.floor(x * 1.44269504 + 0.5)
    r = (x - n * 0.693359375) + n * 2.12194440e-4
    series = ((((r / 5040 + 1.0 / 720) * r + 1.0 / 120) * r + 1.0 / 24) * r + 1.0 / 6) * r + 0.5
    scale = tl.exp2(n)
    return (series * r * r + r) * scale + (scale - 1.0)


@triton.jit
def exponential_minus_1(x):
    """Give e^x - 1, as precise near 0 as far from it."""
    near = exponential_minus_1_of_moderate(tl.where(tl.abs(x) > 60.0, 0.0, x))
    return tl.where(x > 60.0, tl.exp(x), tl.where(x < -60.0, -1.0, near))


@triton.jit
def sigmoid(x):
    """Give 1 / (1 + e^-x)."""
    bounded = tl.where(x < -87.0, -87.0, tl.where(x > 87.0, 87.0, x))
    return 1.0 / (1.0 + tl.exp(-bounded))


@triton.jit
def hyperbolic_tangent(x):
    """Give tanh x by e^2x - 1, which keeps it precise near 0."""
    bounded = tl.where(x < -15.0, -15.0, tl.where(x > 15.0, 15.0, x))
    y = exponential_minus_1_of_moderate(2.0 * bounded)
    return y / (y + 2.0)


@triton.jit
def logarithm(x):
    """Give ln x."""
    return tl.log(x)


@triton.jit
def logarithm_of_1_plus(x):
    """Give ln (1 + x), corrected for what the sum 1 + x loses."""
    total = 1.0 + x
    seen = total - 1.0
    y = tl.where(seen == 0.0, x, tl.log(total) * (x / tl.where(seen == 0.0, 1.0, seen)))
    return tl.where((x == float("inf")) | (x == -1.0), tl.log(total), y)


@triton.jit
def logarithm_of_sigmoid(x):
    """Give ln sigmoid x: e^-|x| is at most 1, and ln (1 + e^-|x|) a series of artanh."""
    small = tl.exp(-tl.abs(x))
    s = small / (small + 2.0)
    z = s * s
    series = (((z / 13 + 1.0 / 11) * z + 1.0 / 9) * z + 1.0 / 7) * z + 1.0 / 5
    series = (series * z + 1.0 / 3) * z + 1.0
    return tl.where(x != x, x, tl.where(x < 0.0, x, 0.0)) - 2.0 * s * series
