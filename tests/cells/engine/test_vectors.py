"""The functions on vectors of vectors.h against torch in float64, at ordinary numbers and at the ends of the range."""

from __future__ import annotations

import ctypes
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import nlp_lstm.cells.engine
from nlp_lstm.cells.engine import compiled

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler here")
FUNCTIONS = {
    "exponential": torch.exp,
    "exponential_minus_1": torch.expm1,
    "sigmoid": torch.sigmoid,
    "hyperbolic_tangent": torch.tanh,
    "logarithm": torch.log,
    "logarithm_of_1_plus": torch.log1p,
    "logarithm_of_sigmoid": F.logsigmoid,
    "square_root": torch.sqrt,
    "absolute": torch.abs,
    "sign": torch.sgn,
}
SOURCE = """
extern "C" void {name}_of(const float* from, float* to, int64_t count) {{
  int64_t j = 0;
  for (; j + LANES <= count; j += LANES) store(to + j, {name}(load(from + j, Full{{}})), Full{{}});
  if (j < count) store(to + j, {name}(load(from + j, Part{{count - j}})), Part{{count - j}});
}}
"""
ROUNDED = """
extern "C" void rounded(const float* from, bfloat16* to, float* back, int64_t count) {
  for (int64_t j = 0; j < count; ++j) {
    store(to + j, load(from + j, Part{1}), Part{1});
    store(back + j, load(to + j, Part{1}), Part{1});
  }
}
"""


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    header = (Path(nlp_lstm.cells.engine.__file__).parent / "vectors.h").read_text(encoding="utf-8")
    text = "".join([header, *(SOURCE.format(name=name) for name in FUNCTIONS), ROUNDED])
    module = compiled("vectors_test", text)
    assert module is not None
    return ctypes.CDLL(next(path for path in torch.ops.loaded_libraries if module.name in path))


def run(library, name: str, x: Tensor) -> Tensor:
    result = torch.full_like(x, 123.0)
    getattr(library, f"{name}_of")(
        ctypes.c_void_p(x.data_ptr()), ctypes.c_void_p(result.data_ptr()), ctypes.c_int64(x.numel())
    )
    return result


def numbers(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    scales = 10.0 ** torch.linspace(-8, 2.3, 60)
    near = torch.randn(60, 501, generator=generator) * scales[:, None]
    return torch.cat([near.flatten(), torch.linspace(-110, 110, 20001), torch.tensor([0.0, -0.0, 1.0, -1.0, 1e-40])])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_exact_to_a_few_units(library, name, seed):
    x = numbers(seed)
    expected = FUNCTIONS[name](x.double())
    found = run(library, name, x).double()
    ordinary = expected.abs() > 1e-37  # below, fp32 loses digits, and so does what goes into it
    ordinary &= expected.abs() < 3e38
    error = ((found - expected) / expected)[ordinary].abs().max()
    assert error < 8 * 2**-23, float(error)
    rest = ~ordinary & expected.isfinite() & (expected.abs() < 1)
    assert (found[rest] - expected[rest]).abs().max() < 1e-37
    assert found[expected > 3.5e38].isposinf().all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_ends_of_the_range(library, name):
    x = torch.tensor([torch.inf, -torch.inf, torch.nan, 0.0, -1.0, 1e38, -1e38])
    torch.testing.assert_close(run(library, name, x), FUNCTIONS[name](x), equal_nan=True, rtol=1e-6, atol=1e-37)


@pytest.mark.parametrize("count", range(1, 40))
def test_any_number_of_elements_and_not_one_more(library, count):
    x = torch.randn(64)
    result = torch.full((64,), 123.0)
    library.exponential_of(ctypes.c_void_p(x.data_ptr()), ctypes.c_void_p(result.data_ptr()), ctypes.c_int64(count))
    torch.testing.assert_close(result[:count], x[:count].exp())
    assert (result[count:] == 123.0).all()


def test_bfloat16_is_rounded_as_torch_does(library, seed):
    x = torch.cat([numbers(seed), torch.tensor([torch.inf, -torch.inf, torch.nan, 3.4e38, 1.00390625, 1.01171875])])
    half, back = torch.empty(x.numel(), dtype=torch.bfloat16), torch.empty_like(x)
    library.rounded(*(ctypes.c_void_p(one.data_ptr()) for one in (x, half, back)), ctypes.c_int64(x.numel()))
    torch.testing.assert_close(half, x.bfloat16(), equal_nan=True, rtol=0, atol=0)
    torch.testing.assert_close(back, half.float(), equal_nan=True, rtol=0, atol=0)
