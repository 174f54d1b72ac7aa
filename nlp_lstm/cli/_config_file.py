"""`--config`: flat YAML files that hold what differs from a recipe's defaults."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any

from jsonargparse import get_loader

from nlp_lstm.cli._options import nearest
from nlp_lstm.cli._recipe_files import recipes_folder
from nlp_lstm.errors import RunFolderError, UsageError, unknown_name
from nlp_lstm.training import flat_settings


def find_config_file(name_or_file: str, recipe: Path) -> Path:
    """Turn what stands after `--config` into a file.

    A name without ending is looked for in the `configs` folder beside the recipe, then beside the shipped recipes
    (a copied recipe finds the files of its origin). Raises UsageError where there is no such file.
    """
    given = Path(name_or_file)
    if given.suffix in (".yaml", ".yml") or given.is_file():
        if not given.is_file():
            raise UsageError(f"--config: there is no file {name_or_file}.")
        return given
    folders = [recipe.parent / "configs", recipes_folder() / "configs"]
    files = {file.stem: file for folder in reversed(folders) for file in sorted(folder.glob("*.yaml"))}
    if name_or_file not in files:
        if not files:
            raise UsageError(f"--config: there is no file {name_or_file}, and no configs folder beside the recipe.")
        raise unknown_name("configuration for --config", name_or_file, files)
    return files[name_or_file]


def read_config_file(file: Path) -> dict[str, Any]:
    """Read a flat YAML mapping; names may be written with hyphens.

    Raises UsageError naming the file, and the line where the YAML is broken.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}, byte {error.start}: not UTF-8 text. Save the file as UTF-8.") from error
    if not text.strip():
        return {}
    try:
        loaded = get_loader("yaml")(text)
    except Exception as error:  # yaml.YAMLError; the library has no type information to import it by
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise UsageError(f"{file}{line}: not valid YAML: {getattr(error, 'problem', error)}.") from error
    if not isinstance(loaded, dict):
        raise UsageError(f"{file} must hold lines of the form `name: value`, such as `hidden_size: 512`.")
    return {str(name).replace("-", "_"): value for name, value in loaded.items()}


def as_yaml(value: Any) -> str:
    """Write settings, or one value of them, as YAML that `read_config_file` reads back to the same values."""
    yaml: Any = importlib.import_module("yaml")  # it comes with jsonargparse, and without type information
    if isinstance(value, dict):
        dumped: str = yaml.safe_dump(
            {name: _plain(item) for name, item in value.items()}, sort_keys=False, allow_unicode=True
        )
        return dumped
    text: str = yaml.safe_dump(_plain(value), default_flow_style=True, allow_unicode=True, width=1000)
    return text.removesuffix("...\n")


def _plain(value: Any) -> Any:
    """The value in types that YAML has."""
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, PurePath) else value


def require_known(values: Mapping[str, Any], names: Iterable[str], source: str) -> None:
    """Raise UsageError for every name that is no setting of the recipe, all in one message."""
    names = list(names)
    unknown = [f"{name!r} is no setting of this recipe.{nearest(name, names)}" for name in values if name not in names]
    if unknown:
        raise UsageError(f"{source}: {' '.join(unknown)} --help lists the settings.")


def settings_of_run(folder: Path) -> dict[str, Any]:
    """Give the settings that a run was started with, flat; none where there is no readable config.json.

    What is wrong with the folder is said by whoever goes on with it.
    """
    from nlp_lstm.tasks import read_json

    try:
        return flat_settings(read_json(folder, "config.json"))
    except (RunFolderError, KeyError, TypeError, AttributeError):
        return {}
