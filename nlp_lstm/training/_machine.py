"""What a run is made with, which its description records: libraries, processor and accelerator."""

from __future__ import annotations

import platform
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import torch

from nlp_lstm import __version__

_LIBRARIES = ("numpy", "tokenizers", "sentencepiece", "safetensors", "datasets")


def versions() -> dict[str, str]:
    """Give the versions of nlp_lstm, torch, Python and, where they are there, what reads data and writes runs."""
    found = {"nlp_lstm": __version__, "torch": str(torch.__version__), "python": platform.python_version()}
    for name in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def processor() -> str:
    """Name the processor as the system does: its model, or else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def accelerator(device: torch.device) -> str | None:
    """Name the CUDA device that a run takes; None where it takes none."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else None
