"""Rules that every source file keeps: files and functions stay readable, and nothing loads code from data."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LONGEST_FILE = 260
LONGEST_FUNCTION = 60
LONGEST_RECIPE = 120
CODE_FROM_DATA = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}

SHIPPED = sorted([*(ROOT / "nlp_lstm").rglob("*.py"), *(ROOT / "recipes").glob("*.py")])


def long_functions(source: str, limit: int) -> list[str]:
    """List the functions that take more lines than `limit`, from `def` to the last line."""
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    lengths = [(node.name, (node.end_lineno or node.lineno) - node.lineno + 1) for node in functions]
    return [f"{name} takes {length} lines" for name, length in lengths if length > limit]


def unsafe_code(source: str) -> list[str]:
    """List what could run code that came with data: pickles, unchecked torch.load, eval and exec."""
    return [f"line {line}: {what}" for node in ast.walk(ast.parse(source)) for line, what in _unsafe(node)]


def _unsafe(node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        module = node.module if isinstance(node, ast.ImportFrom) else None
        for alias in node.names:
            if (module or alias.name).split(".")[0] in CODE_FROM_DATA:
                yield node.lineno, f"imports {module or alias.name}"
            if module == "torch" and alias.name == "load":
                yield node.lineno, "imports torch.load under a name that hides it"
    elif isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if called in {"eval", "exec", "builtins.eval", "builtins.exec"}:
            yield node.lineno, f"calls {called}"
        if called == "torch.load" and keywords.get("weights_only") != "True":
            yield node.lineno, "calls torch.load without weights_only=True"
        if keywords.get("allow_pickle", "False") != "False":
            yield node.lineno, "allows pickles"


def test_the_files_are_found() -> None:
    assert len(SHIPPED) > 20


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_source_file_keeps_the_rules(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    limit = LONGEST_RECIPE if path.parent.name == "recipes" else LONGEST_FILE
    lines = len(source.splitlines())
    assert lines <= limit, f"{lines} lines, of at most {limit}: look for the seam"
    assert long_functions(source, LONGEST_FUNCTION) == []
    assert unsafe_code(source) == []


def test_a_long_function_is_found() -> None:
    body = "    x = 1\n"
    assert long_functions("def f():\n" + body * 3, 4) == []
    assert long_functions("class C:\n  async def f(self):\n" + body * 4, 4) == ["f takes 5 lines"]


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "def f():\n    import dill as d",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "from torch import load",
        "eval('1')",
        "exec(text)",
        "numpy.load(path, allow_pickle=True)",
    ],
)
def test_unsafe_code_is_found(source: str) -> None:
    assert len(unsafe_code(source)) == 1


@pytest.mark.parametrize("source", ["model.eval()", "torch.load(path, weights_only=True)", "numpy.load(path)"])
def test_safe_code_passes(source: str) -> None:
    assert unsafe_code(source) == []
