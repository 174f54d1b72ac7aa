"""Imports run one way: the table of who may import whom, held against every syntax tree of the repository."""

from __future__ import annotations

import ast
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import nlp_lstm

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "nlp_lstm"

MAY_IMPORT: dict[str, set[str]] = {
    "tokenization": set(),
    "cells": set(),
    "decoding": set(),
    "evaluation": set(),
    "data": {"tokenization"},
    "models": {"cells"},
    "tasks": {"tokenization", "data", "models", "decoding", "evaluation"},
    "training": {"data", "models", "tasks"},
    "cli": {"tokenization", "cells", "decoding", "evaluation", "data", "models", "tasks", "training"},
}
# What lies beside the folders: the public names point everywhere, `python -m nlp_lstm` is the command line.
MAY_IMPORT_AT_TOP: dict[str, set[str]] = {
    "__init__": set(MAY_IMPORT),
    "__main__": {"cli"},
    "_lazy": set(),
    "errors": set(),
}
OPEN_TO_ALL = {"errors", "_lazy", "__version__"}

COMPUTED = "a name computed while the program runs"
DOTTED_NAME = re.compile(r"nlp_lstm(\.\w+)+")


def imports_in(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Yield (line, full dotted name) of all that `source`, a module of `package`, imports in whatever way."""
    tree = ast.parse(source)
    modules = _names_of_modules(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join([*parents[: len(parents) - node.level + 1], *([base] if base else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            yield node.lineno, f"{modules[node.value.id]}.{node.attr}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and DOTTED_NAME.fullmatch(node.value):
            yield node.lineno, node.value  # a lazy table of modules
        elif isinstance(node, ast.Call) and _is_import_call(node.func):
            yield node.lineno, _imported_by_call(node, package)


def _names_of_modules(tree: ast.AST) -> dict[str, str]:
    """Map each name that the package or a folder of it is bound to, such as `nl` after `import nlp_lstm as nl`."""
    modules = {"nlp_lstm", *(f"nlp_lstm.{folder}" for folder in MAY_IMPORT)}
    bound = {"nlp_lstm": "nlp_lstm"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            bound |= {alias.asname: alias.name for alias in node.names if alias.asname and alias.name in modules}
        elif isinstance(node, ast.ImportFrom):
            names = {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            bound |= {name: dotted for name, dotted in names.items() if dotted in modules}
    return bound


def _is_import_call(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in {"import_module", "__import__"}


def _imported_by_call(call: ast.Call, package: str) -> str:
    argument = call.args[0] if call.args else None
    if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
        return COMPUTED
    return package + argument.value if argument.value.startswith(".") else argument.value


def folder_of(dotted: str) -> str | None:
    """Name the folder of the package that a dotted name lives in; None for what is no part of the package."""
    parts = dotted.split(".")
    if parts[0] != "nlp_lstm" or len(parts) == 1:
        return None
    return nlp_lstm._FOLDER_OF.get(parts[1], parts[1])


def forbidden_in_package(source: str, package: str, allowed: set[str]) -> list[str]:
    """List the imports of a module that its folder's row of the table does not allow."""
    faults = []
    own = folder_of(package)
    for line, name in imports_in(source, package):
        folder = folder_of(name)
        if name.split(".")[0] == "recipes" or folder == "recipes":
            faults.append(f"line {line}: {name}: nothing imports recipes")
        elif name == COMPUTED:
            if own not in {None, "cli"}:  # those may import everything, and do so by name
                faults.append(f"line {line}: imports {name}, which no test can check")
        elif folder not in {None, own, *OPEN_TO_ALL, *allowed}:
            faults.append(f"line {line}: {name}: {own or 'this module'} may import {sorted(allowed) or 'nothing'}")
        elif folder not in {None, own, *OPEN_TO_ALL} and any(part.startswith("_") for part in name.split(".")):
            faults.append(f"line {line}: {name}: private to its folder")
    return faults


def forbidden_for_users(source: str) -> list[str]:
    """List the imports of a recipe, notebook or benchmark that are not public names."""
    faults = []
    for line, name in imports_in(source, "recipes"):
        parts = name.split(".")
        if parts[0] == "recipes":
            faults.append(f"line {line}: {name}: nothing imports recipes")
        elif parts[0] == "nlp_lstm" and len(parts) > 1 and not _is_public(parts[1:]):
            faults.append(f"line {line}: {name} is not a public name")
    return faults


def _is_public(parts: list[str]) -> bool:
    if len(parts) == 1:
        return parts[0] in nlp_lstm.__all__ or parts[0] in MAY_IMPORT
    folder = parts[0]
    if folder not in {*MAY_IMPORT, "errors"} or len(parts) > 2:
        return False
    module = importlib.import_module(f"nlp_lstm.{folder}")
    return parts[1] in getattr(module, "__all__", vars(module))


def package_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).parent.parts)


def notebook_code(path: Path) -> str:
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    lines = "\n".join("".join(cell["source"]) for cell in cells).splitlines()
    return "\n".join("pass" if line.startswith(("%", "!")) else line for line in lines)


def test_the_table_names_every_folder() -> None:
    on_disk = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert on_disk == set(MAY_IMPORT)
    assert {path.stem for path in PACKAGE.glob("*.py")} == set(MAY_IMPORT_AT_TOP)


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_imports_only_what_the_table_allows(folder: str) -> None:
    files = sorted((PACKAGE / folder).rglob("*.py"))
    assert len(files) > 1, f"nlp_lstm/{folder} holds {len(files)} Python files"
    faults = [
        f"{path.relative_to(ROOT)} {fault}"
        for path in files
        for fault in forbidden_in_package(path.read_text(encoding="utf-8"), package_of(path), MAY_IMPORT[folder])
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("module", MAY_IMPORT_AT_TOP)
def test_the_modules_beside_the_folders(module: str) -> None:
    source = (PACKAGE / f"{module}.py").read_text(encoding="utf-8")
    assert forbidden_in_package(source, "nlp_lstm", MAY_IMPORT_AT_TOP[module]) == []


@pytest.mark.parametrize(("folder", "pattern"), [("recipes", "*.py"), ("benchmarks", "*.py"), ("notebooks", "*.ipynb")])
def test_recipes_notebooks_and_benchmarks_use_public_names_only(folder: str, pattern: str) -> None:
    files = sorted((ROOT / folder).rglob(pattern))
    assert len(files) > 0, f"{folder} holds no {pattern}"
    faults = [
        f"{path.relative_to(ROOT)} {fault}"
        for path in files
        for fault in forbidden_for_users(
            notebook_code(path) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")
        )
    ]
    assert not faults, "\n".join(faults)


def test_no_test_imports_a_recipe_by_name() -> None:
    files = sorted((ROOT / "tests").rglob("*.py"))
    assert len(files) > len(MAY_IMPORT)
    for path in files:
        names = [f"{name}." for _, name in imports_in(path.read_text(encoding="utf-8"), "tests")]
        assert [name for name in names if name.startswith(("recipes.", "nlp_lstm.recipes."))] == [], path


@pytest.mark.parametrize(
    ("source", "package"),
    [
        ("import nlp_lstm.training", "nlp_lstm.data"),
        ("from nlp_lstm.training import fit", "nlp_lstm.data"),
        ("from nlp_lstm import training", "nlp_lstm.data"),
        ("from nlp_lstm import fit", "nlp_lstm.data"),
        ("import nlp_lstm\nnlp_lstm.fit", "nlp_lstm.data"),
        ("import nlp_lstm as nl\nnl.fit", "nlp_lstm.data"),
        ("from ..training import fit", "nlp_lstm.data"),
        ("from .. import training", "nlp_lstm.data"),
        ("from ...training import fit", "nlp_lstm.data.sub"),
        ("def f():\n    from nlp_lstm.training import fit", "nlp_lstm.data"),
        ("if TYPE_CHECKING:\n    from nlp_lstm.training import fit", "nlp_lstm.data"),
        ("import importlib\nimportlib.import_module('nlp_lstm.training')", "nlp_lstm.data"),
        ("import_module(f'nlp_lstm.{x}')", "nlp_lstm.data"),
        ("TABLE = {'fit': 'nlp_lstm.training._fit'}", "nlp_lstm.data"),
        ("from nlp_lstm.tokenization._base import Tokenizer", "nlp_lstm.data"),
        ("import recipes.char_lm", "nlp_lstm.data"),
        ("from nlp_lstm.recipes import char_lm", "nlp_lstm.data"),
    ],
)
def test_a_forbidden_import_is_found(source: str, package: str) -> None:
    assert len(forbidden_in_package(source, package, {"tokenization"})) >= 1


@pytest.mark.parametrize(
    "source",
    [
        "import torch, json",
        "from nlp_lstm.errors import DataError",
        "from nlp_lstm import DataError, __version__",
        "from nlp_lstm.data._readers import read",
        "from ._readers import read\nfrom . import _splits",
        "from nlp_lstm.tokenization import Tokenizer",
        "if TYPE_CHECKING:\n    from ..tokenization import Tokenizer",
    ],
)
def test_an_allowed_import_passes(source: str) -> None:
    assert forbidden_in_package(source, "nlp_lstm.data", {"tokenization"}) == []


@pytest.mark.parametrize(
    "source",
    [
        "from nlp_lstm.cells._lstm import LSTM",
        "from nlp_lstm import _FOLDER_OF",
        "import nlp_lstm\nnlp_lstm._FOLDER_OF",
        "import nlp_lstm\nnlp_lstm.no_such_name",
        "import nlp_lstm as nl\nnl.no_such_name",
        "from nlp_lstm import cells\ncells._lstm",
        "import nlp_lstm.cells as zoo\nzoo.no_such_name",
        "from nlp_lstm.cells import no_such_name",
        "from recipes.char_lm import Config",
        "from .char_lm import Config",
    ],
)
def test_a_private_name_in_a_recipe_is_found(source: str) -> None:
    assert len(forbidden_for_users(source)) == 1


def test_public_names_in_a_recipe_pass() -> None:
    source = (
        "import nlp_lstm\nfrom nlp_lstm import load\nfrom nlp_lstm.cells import LSTM\nnlp_lstm.run_recipe\nimport os"
    )
    assert forbidden_for_users(source) == []
