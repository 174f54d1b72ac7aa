"""`benchmarks/kill_resume.py` knows every recipe, and its options are those of every recipe."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from nlp_lstm.cli import main

ROOT = Path(__file__).resolve().parent.parent
RECIPES = sorted(path.stem for path in (ROOT / "recipes").glob("[!_]*.py"))


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("kill_resume")


def test_every_recipe_is_killed(benchmark: ModuleType) -> None:
    assert len(RECIPES) >= 5
    assert sorted(benchmark.RECIPES) == RECIPES


@pytest.mark.parametrize("recipe", RECIPES)
def test_its_options_fit(recipe: str, benchmark: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", recipe, "--smoke", *benchmark.SMALL, "--threads", "1", "--print-config"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, value in zip(benchmark.SMALL[::2], benchmark.SMALL[1::2], strict=True):
        assert f"{name.lstrip('-').replace('-', '_')}: {value}" in lines
