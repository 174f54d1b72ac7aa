"""Fixtures of the command line's tests: a stand-in model, a folder of small recipes, and the command as a process."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nlp_lstm.cli import _config_file, _recipe_files

HERE = Path(__file__).parent
RECIPE = HERE / "toy_recipe.py"


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipes folder with `toy_lm`, in place of the real one; the working directory is an empty folder beside it."""
    folder = tmp_path / "recipes"
    (folder / "configs").mkdir(parents=True)
    shutil.copy(RECIPE, folder / "toy_lm.py")
    (folder / "_helper.py").write_text('"""No recipe."""\n', encoding="utf-8")
    (folder / "configs" / "large.yaml").write_text("hidden-size: 64\nmax_time: 90\nrate: 1e-3\n", encoding="utf-8")
    monkeypatch.setattr(_recipe_files, "recipes_folder", lambda: folder)
    monkeypatch.setattr(_config_file, "recipes_folder", lambda: folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return folder


@pytest.fixture(scope="session")
def stand_in() -> ModuleType:
    """The module stand_in.py."""
    spec = importlib.util.spec_from_file_location("cli_stand_in", HERE / "stand_in.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def task(stand_in: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stand-in language model, which is what every run folder holds during the test."""
    task = stand_in.FakeLanguageModel()
    for name, module in stand_in.fake_modules(task).items():
        monkeypatch.setitem(sys.modules, name, module)
    return task


@pytest.fixture
def process() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start the command with the stand-in model as a process: `process("generate", "run", stdin=...)`."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, environment: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(HERE / "stand_in.py"), *arguments]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(command, env={**os.environ, **(environment or {})}, **{**pipes, **options}))
        return started[-1]

    yield start
    for running in started:  # after a test that failed half-way
        running.kill()
        running.wait()
        for stream in (running.stdin, running.stdout, running.stderr):
            if stream is not None:
                stream.close()
