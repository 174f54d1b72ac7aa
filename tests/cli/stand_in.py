"""The nlp-lstm command with stand-ins for what needs torch: `python stand_in.py generate any-folder ...`.

The model writes predictable text, so that a test sees what the command line asked it for. Tests run this file as a
process where a terminal, a pipe or a signal matters, and load it as a module where it does not.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

PACKAGE = Path(__file__).resolve().parents[2] / "nlp_lstm"


class FakeConversation:
    """Text that remembers what it was given: `reset` empties it."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def reset(self) -> None:
        self.texts = []

    def stream(self, text: str = "", *, max_tokens: int | None = None, options: Any, seed: int | None) -> Iterator[str]:
        self.texts.append(text)
        if text.endswith("forever"):
            while True:
                yield "ab "
        yield f"[{'+'.join(map(repr, self.texts))} t={options.temperature} k={options.top_k} "
        yield f"n={max_tokens} s={seed}]"


class FakeLanguageModel:
    """What `nlp_lstm.load` returns for a language model, as far as the command line knows it."""

    kind = "language_modeling"

    def __init__(self) -> None:
        self.evaluated: list[tuple[Any, str]] = []

    def conversation(self) -> FakeConversation:
        return FakeConversation()

    def stream(self, prompt: str = "", *, max_tokens: int, options: Any, seed: int | None) -> Iterator[str]:
        yield f"<{prompt}|n={max_tokens}|s={seed}|t={options.temperature}"
        yield ">é"
        yield "\nsecond line\n" if prompt != "no line end" else "."

    def generate(self, prompt: str, *, max_tokens: int, samples: int, options: Any, seed: int | None) -> list[str]:
        return [f"{prompt} {index} n={max_tokens} k={options.top_k} s={seed}" for index in range(samples)]

    def evaluate(self, data: Any, split: str) -> Any:
        self.evaluated.append((data, split))
        print("a library talks")  # it must not reach stdout
        return SimpleNamespace(text=lambda: f"loss 1.5 ({split})", to_json=lambda: {"loss": 1.5, "signature": "naïve"})


def fake_modules(task: Any) -> dict[str, ModuleType]:
    """Modules for sys.modules: tasks and data are stand-ins, SamplingOptions and DataOptions the real classes."""
    tasks, data, decoding = (ModuleType(f"nlp_lstm.{name}") for name in ("tasks", "data", "decoding"))
    tasks.load = lambda folder: task  # type: ignore[attr-defined]
    data.DataOptions = _from_file("data/_options.py").DataOptions  # type: ignore[attr-defined]
    data.load_text = lambda options: SimpleNamespace(notes=[f"cut of {options.data}"])  # type: ignore[attr-defined]
    decoding.SamplingOptions = _from_file("decoding/_options.py").SamplingOptions  # type: ignore[attr-defined]
    return {module.__name__: module for module in (tasks, data, decoding)}


def _from_file(path: str) -> ModuleType:
    """A module of the package without its folder's `__init__`, which imports torch."""
    name = "stand_in_" + path.replace("/", "_").removesuffix(".py")
    spec = importlib.util.spec_from_file_location(name, PACKAGE / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    sys.path.insert(0, str(PACKAGE.parent))
    sys.modules.update(fake_modules(FakeLanguageModel()))
    from nlp_lstm.cli import main

    raise SystemExit(main())
