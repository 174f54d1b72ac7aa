"""Which device, precision and number of threads to use, and what was chosen."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from nlp_lstm.cells.engine import seconds_compiling as seconds_compiling
from nlp_lstm.errors import UsageError


def choose_device(name: str = "auto") -> torch.device:
    """Return the device for "auto" (CUDA, then MPS, then CPU), "cpu", "cuda" or "mps".

    Raises UsageError where the device asked for is not there.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if there[kind]))
    if not there.get(name, False):
        usable = ", ".join(kind for kind, here in there.items() if here)
        raise UsageError(f"--device {name} is not usable here. Usable: auto, {usable}.")
    return torch.device(name)


def has_fast_bf16(device: torch.device) -> bool:
    """Tell whether the chip multiplies bf16 faster than fp32: AVX-512 BF16 or AMX on a CPU, Ampere on CUDA."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type == "cpu":
        probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(bool(getattr(torch.cpu, probe, lambda: False)()) for probe in probes)
    return False


def choose_precision(name: str, device: torch.device) -> str:
    """Return "fp32" or "bf16"; "auto" takes bf16 where the chip is good at it."""
    if name == "auto":
        return "bf16" if has_fast_bf16(device) else "fp32"
    return name


def use_threads(number: int) -> None:
    """Compute with so many processor threads from now on; 0 leaves what torch takes, all that the machine offers."""
    if number:
        torch.set_num_threads(number)


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which products run in bf16 (weights stay fp32), or one that changes nothing."""
    if precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
