"""`nlp-lstm train`: a recipe's Config filled from defaults, --smoke, --config and flags, then its main."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonargparse

from nlp_lstm.cli._config_file import as_yaml, find_config_file, read_config_file, require_known, settings_of_run
from nlp_lstm.cli._options import check_values, new_parser, parse, placeholder
from nlp_lstm.cli._recipe_files import find_recipe, load_recipe, summary
from nlp_lstm.cli._settings import Setting, build_config, settings_of
from nlp_lstm.errors import UsageError
from nlp_lstm.training import BUDGETS

_HELP = """usage: nlp-lstm train RECIPE|FILE.py [options]

Train a model with a recipe and save it as a run folder.

  nlp-lstm recipes                the recipes there are
  nlp-lstm train RECIPE --help    the options of one: data, model and training
  nlp-lstm train RECIPE --smoke   a run of a few seconds, to see that everything works
"""
_COMMAND_OPTIONS = ("smoke", "config", "print_config")


def run(arguments: list[str]) -> int:
    """Load the recipe that the first argument names, build its Config from the rest, and run its main."""
    if arguments[:1] in (["-h"], ["--help"]):
        print(_HELP, end="")
        return 0
    if not arguments or arguments[0].startswith("-"):
        raise UsageError("The recipe comes first: nlp-lstm train RECIPE [options]. `nlp-lstm recipes` lists them.")
    file = find_recipe(arguments[0])
    recipe = load_recipe(file)
    settings = settings_of(recipe.Config, file.name, reserved=_COMMAND_OPTIONS)
    parser = _parser(arguments[0], file, settings)
    values = _layered_values(parser, arguments[1:], recipe, file, settings)
    config = build_config(recipe.Config, {setting.name: values[setting.name] for setting in settings})
    if values["print_config"]:
        print(as_yaml({setting.name: values[setting.name] for setting in settings}), end="")
        return 0
    recipe.main(config)
    return 0


def _parser(name: str, file: Path, settings: list[Setting]) -> jsonargparse.ArgumentParser:
    parser = new_parser(f"train {name}", "[options]", summary(file))
    groups = {title: parser.add_argument_group(title) for title in dict.fromkeys(s.group for s in settings)}
    for setting in settings:
        help_text = f"{setting.help}{_default_of(setting)}".strip().replace("%", "%%")
        # A flag alone switches a bool on; `--flag false` switches off what a YAML file or the recipe switched on.
        switch: dict[str, Any] = {"nargs": "?", "const": True} if setting.type is bool else {}
        groups[setting.group].add_argument(
            setting.flag,
            type=setting.type,
            default=setting.default,
            metavar=placeholder(setting.type),
            help=help_text,
            **switch,
        )
    call = parser.add_argument_group("call (defaults < --smoke < --config < flags)")
    call.add_argument("--smoke", action="store_true", help="tiny sizes: a run of seconds that shows that all works")
    config_help = "YAML file of settings, name: value; or a bare name in the recipe's configs folder"
    call.add_argument("--config", type=str, metavar="FILE.yaml", help=config_help)
    call.add_argument("--print-config", action="store_true", help="print all settings as YAML and stop")
    return parser


def _default_of(setting: Setting) -> str:
    """The default as it would be written in YAML; null says nothing, the help tells what it means."""
    return "" if setting.default is None else f" (default: {as_yaml(setting.default).strip()})"


def _layered_values(
    parser: jsonargparse.ArgumentParser, arguments: list[str], recipe: ModuleType, file: Path, settings: list[Setting]
) -> dict[str, Any]:
    """Defaults < --smoke < the run to --resume < --config < flags, each layer becoming the defaults of the next.

    A layer that names a budget (of time, steps or epochs) replaces the budgets of the layers below it.
    """
    given = parse(parser, arguments)
    names = [setting.name for setting in settings]
    if given["smoke"]:
        smoke: dict[str, Any] = dict(getattr(recipe, "SMOKE", {}))
        if not smoke:
            raise UsageError(
                f"{file.name} has no SMOKE settings for --smoke. Add SMOKE = {{'max_steps': 5}} or the like."
            )
        require_known(smoke, names, f"SMOKE in {file.name}")
        parser.set_defaults(_no_other_budget(smoke, names) | check_values(parser, smoke, f"SMOKE in {file.name}"))
    if given.get("resume") and given.get("run"):
        earlier = {name: value for name, value in settings_of_run(Path(given["run"])).items() if name in names}
        parser.set_defaults(earlier | {"run": given["run"], "resume": True})
    if given["config"] is not None:
        config_file = find_config_file(given["config"], file)
        loaded = read_config_file(config_file)
        require_known(loaded, names, str(config_file))
        parser.set_defaults(_no_other_budget(loaded, names) | check_values(parser, loaded, str(config_file)))
    flags = {argument.partition("=")[0].lstrip("-").replace("-", "_") for argument in arguments if argument[:2] == "--"}
    parser.set_defaults(_no_other_budget(flags, names))
    return parse(parser, arguments)


def _no_other_budget(layer: Iterable[str], names: list[str]) -> dict[str, None]:
    """The defaults that take back all budgets of the recipe, where a layer names one."""
    return dict.fromkeys(set(BUDGETS) & set(names)) if set(BUDGETS) & set(layer) else {}
