"""Recipes are files: where they lie, what their first line says, and how one is loaded by its path."""

from __future__ import annotations

import ast
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

from nlp_lstm.errors import NlpLstmError, UsageError, unknown_name


def recipes_folder() -> Path:
    """The folder of the recipes: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "recipes", package.parent / "recipes"):
        if folder.is_dir():
            return folder
    raise NlpLstmError(f"The recipes are missing from {package}. Install nlp-lstm again.")


def shipped_recipes() -> dict[str, Path]:
    """Every recipe that comes with the package, by name, in alphabetical order."""
    return {file.stem: file for file in sorted(recipes_folder().glob("*.py")) if not file.name.startswith("_")}


def shipped_recipe(name: str) -> Path:
    """The file of the recipe `name` (hyphens do for underscores); raises UsageError with the nearest name."""
    recipes = shipped_recipes()
    file = recipes.get(name) or recipes.get(name.replace("-", "_"))
    if file is None:
        if Path(f"{name}.py").is_file():
            raise UsageError(f"There is no recipe named {name!r}, but a file: `nlp-lstm train {name}.py`.")
        raise unknown_name("recipe", name, recipes)
    return file


def find_recipe(name_or_file: str) -> Path:
    """Turn what the user wrote after `train` into a file: a path where it ends in `.py`, otherwise a name."""
    if not name_or_file.endswith(".py"):
        return shipped_recipe(name_or_file)
    file = Path(name_or_file)
    if not file.is_file():
        raise UsageError(
            f"There is no recipe file {name_or_file}. `nlp-lstm copy RECIPE {name_or_file}` writes one to start from."
        )
    return file


def summary(file: Path) -> str:
    """The first line of the recipe's docstring, read without running the file."""
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


def load_recipe(file: Path) -> ModuleType:
    """Run the file as a module and check that it has what a recipe has: `Config` and `main`.

    Raises UsageError where it lacks one, and NlpLstmError that names the file and the line where it fails to run.
    """
    module = _running_script(file) or _module_from(file)
    missing = [name for name in ("Config", "main") if not hasattr(module, name)]
    if missing:
        raise UsageError(
            f"{file} is no recipe: it has no {' and no '.join(missing)}. A recipe has a frozen dataclass Config and "
            "main(config); `nlp-lstm copy RECIPE` writes one to start from."
        )
    return module


def _running_script(file: Path) -> ModuleType | None:
    """The module that Python is running as a script, where it is this very file: it need not run twice."""
    script = sys.modules.get("__main__")
    script_file = getattr(script, "__file__", None)
    return script if script_file and Path(script_file).resolve() == file.resolve() else None


def _module_from(file: Path) -> ModuleType:
    # The prefix keeps a recipe named like a library (copy.py, tokenizers.py) from hiding it.
    name = f"nlp_lstm_recipe_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise NlpLstmError(f"{file} cannot be loaded as Python.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up here
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)  # so that a recipe finds the helpers beside it, after everything that is installed
    try:
        spec.loader.exec_module(module)
    except NlpLstmError:
        raise
    except Exception as error:
        del sys.modules[name]
        what = error.msg if isinstance(error, SyntaxError) else error
        raise NlpLstmError(f"{_place(file, error)}: {type(error).__name__}: {what}") from error
    return module


def _place(file: Path, error: Exception) -> str:
    """The file and the line of it that failed; deeper lines belong to what it imports."""
    if isinstance(error, SyntaxError):
        name = file if error.filename is None or Path(error.filename).resolve() == file.resolve() else error.filename
        return f"{name}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == file.resolve()]
    return f"{file}, line {lines[-1]}" if lines else str(file)
