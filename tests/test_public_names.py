"""The public names: each list of them is true, each name is documented, and listing them costs no import."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import nlp_lstm

PACKAGE = Path(nlp_lstm.__file__).parent
FOLDERS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
HEAVY = {"torch", "numpy", "datasets", "tokenizers", "sentencepiece", "sacrebleu", "babel"}


def public_objects(module: ModuleType) -> dict[str, object]:
    """Return the classes and functions that a module offers and that are the package's own."""
    found = {name: getattr(module, name) for name in dir(module) if not name.startswith("_")}
    return {
        name: value
        for name, value in found.items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__.startswith("nlp_lstm.")
    }


def imported_names(folder: str) -> set[str]:
    """Return the public names that a folder's __init__.py takes from its own modules, for type checkers or at once."""
    tree = ast.parse((PACKAGE / folder / "__init__.py").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    own = [node for node in imports if node.level or (node.module or "").startswith(f"nlp_lstm.{folder}")]
    names = {alias.asname or alias.name for node in own for alias in node.names}
    return {name for name in names if not name.startswith("_")}


def documentation_fault(value: object) -> str | None:
    """Say what is wrong with the docstring of a class or function; None when its first line is a sentence."""
    text = getattr(value, "__doc__", None)
    name = getattr(value, "__name__", "")
    if not text or not text.strip():
        return "has no docstring"
    first = text.strip().splitlines()[0]
    if first.startswith(f"{name}("):
        return "has only the docstring that a dataclass makes for itself"
    if not first.endswith((".", "?", "!")) or first[0].islower():
        return f"has a docstring whose first line is no sentence: {first!r}"
    return None


def test_every_folder_is_seen() -> None:
    assert len(FOLDERS) >= 9


@pytest.mark.parametrize("folder", FOLDERS)
def test_all_is_true(folder: str) -> None:
    module = importlib.import_module(f"nlp_lstm.{folder}")
    names = list(module.__all__)
    assert names
    assert len(names) == len(set(names))
    assert [name for name in names if name.startswith("_")] == []
    assert [name for name in names if not hasattr(module, name)] == []
    assert sorted(imported_names(folder) - set(names)) == [], "imported by __init__.py, but not in __all__"


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_a_public_module_defines_is_exported(folder: str) -> None:
    exported = set(importlib.import_module(f"nlp_lstm.{folder}").__all__)
    for path in (PACKAGE / folder).glob("[!_]*.py"):
        module = importlib.import_module(f"nlp_lstm.{folder}.{path.stem}")
        own = {name for name, value in public_objects(module).items() if value.__module__ == module.__name__}
        assert sorted(own - exported) == [], path.name


@pytest.mark.parametrize("folder", [*FOLDERS, "errors"])
def test_public_names_are_documented(folder: str) -> None:
    module = importlib.import_module(f"nlp_lstm.{folder}")
    objects = {name: getattr(module, name) for name in getattr(module, "__all__", public_objects(module))}
    checked = {
        name: documentation_fault(value)
        for name, value in objects.items()
        if inspect.isclass(value) or inspect.isfunction(value)
    }
    assert checked
    assert {name: fault for name, fault in checked.items() if fault} == {}


@pytest.mark.parametrize("name", nlp_lstm.__all__)
def test_a_name_of_the_package_is_the_folders_own(name: str) -> None:
    value = getattr(nlp_lstm, name)
    assert name in dir(nlp_lstm)
    if name != "__version__":
        folder = importlib.import_module(f"nlp_lstm.{nlp_lstm._FOLDER_OF[name]}")
        assert value is getattr(folder, name)
        assert name in getattr(folder, "__all__", [name])


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    seen = {
        alias.asname: node.module.removeprefix("nlp_lstm.")
        for node in imports
        for alias in node.names
        if node.module and node.module.startswith("nlp_lstm.") and alias.asname
    }
    assert seen == nlp_lstm._FOLDER_OF


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'nlp_lstm' has no attribute 'no_such_name'"):
        _ = nlp_lstm.no_such_name


@pytest.mark.parametrize("module", ["nlp_lstm", "nlp_lstm.errors", "nlp_lstm.cli"])
def test_importing_is_light(module: str) -> None:
    program = f"import json, sys, {module}; print(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    imported = set(json.loads(result.stdout))
    assert "nlp_lstm" in imported
    assert imported & HEAVY == set()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, "has no docstring"),
        ("  ", "has no docstring"),
        ("Thing(a: int)", "dataclass"),
        ("returns the thing.", "no sentence"),
        ("Return the thing", "no sentence"),
    ],
)
def test_a_missing_docstring_is_found(text: str | None, fault: str) -> None:
    thing = type("Thing", (), {"__doc__": text})
    assert fault in (documentation_fault(thing) or "")


def test_a_docstring_that_is_a_sentence_passes() -> None:
    assert documentation_fault(type("Thing", (), {"__doc__": "Return the thing.\n\nMore of it"})) is None
