"""The choice of device and precision."""

from __future__ import annotations

import pytest
import torch

from nlp_lstm.errors import UsageError
from nlp_lstm.models import _device, autocast, choose_device, choose_precision, has_fast_bf16

CPU = torch.device("cpu")


def test_auto_takes_the_first_that_is_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == CPU
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize("name", ["cuda", "tpu"])
def test_a_missing_device_is_refused(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=rf"--device {name} .*auto, cpu"):
        choose_device(name)


@pytest.mark.parametrize(("fast", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_precision_follows_the_chip(monkeypatch, fast, expected):
    monkeypatch.setattr(_device, "has_fast_bf16", lambda device: fast)
    assert choose_precision("auto", CPU) == expected
    assert choose_precision("fp32", CPU) == "fp32"
    assert choose_precision("bf16", CPU) == "bf16"


def test_chips_good_at_bf16(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert not has_fast_bf16(torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert has_fast_bf16(torch.device("cuda"))
    assert not has_fast_bf16(torch.device("mps"))
    for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, probe, lambda: False, raising=False)
    assert not has_fast_bf16(CPU)


def test_autocast_multiplies_in_bf16_only_when_asked():
    x = torch.ones(2, 2)
    with autocast("bf16", CPU):
        assert (x @ x).dtype == torch.bfloat16
    with autocast("fp32", CPU):
        assert (x @ x).dtype == torch.float32
