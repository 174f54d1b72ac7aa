"""The fields of a recipe's Config as one flat list of settings, and a Config built back from their values."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from nlp_lstm.errors import NlpLstmError, UsageError


@dataclass(frozen=True)
class Setting:
    """One field: its name, type, default and help, and the group of the help page that it stands in."""

    name: str
    type: Any
    default: Any
    help: str
    group: str

    @property
    def flag(self) -> str:
        """The option on the command line, with hyphens."""
        return "--" + self.name.replace("_", "-")


def settings_of(config_class: Any, recipe: str, reserved: Iterable[str] = ()) -> list[Setting]:
    """List the settings of a recipe: its own fields, then those of the dataclasses among them (`training`).

    Raises UsageError where Config is no dataclass, a field has no default, or a name stands twice.
    """
    if not (isinstance(config_class, type) and dataclasses.is_dataclass(config_class)):
        raise UsageError(f"Config in {recipe} must be a dataclass: write @dataclass(frozen=True) above it.")
    own: list[Setting] = []
    nested: list[Setting] = []
    for field, hint, default in _fields_of(config_class, recipe):
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            nested += _settings(hint, default, group=field.name)
        else:
            own.append(Setting(field.name, hint, default, _help_of(config_class, field.name), "recipe"))
    _refuse_doubles([*own, *nested], recipe, reserved)
    return [*own, *nested]


def build_config(config_class: Any, values: Mapping[str, Any]) -> Any:
    """Make the Config whose own and nested fields have these values.

    Raises UsageError for what a `__post_init__` refuses with ValueError or TypeError.
    """
    hints = get_type_hints(config_class)
    try:
        arguments = {
            field.name: build_config(hint, values)
            if dataclasses.is_dataclass(hint := hints[field.name])
            else values[field.name]
            for field in dataclasses.fields(config_class)
            if field.init
        }
        return config_class(**arguments)
    except NlpLstmError:
        raise
    except (ValueError, TypeError) as error:
        raise UsageError(f"These settings do not go together: {error}") from error


def _fields_of(config_class: Any, recipe: str) -> Iterable[tuple[dataclasses.Field[Any], Any, Any]]:
    """Each field that the constructor takes, with its type and its default."""
    hints = get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        if not field.init:
            continue
        if field.default is not dataclasses.MISSING:
            default = field.default
        elif field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        else:
            raise UsageError(f"{config_class.__name__}.{field.name} in {recipe} needs a default value.")
        yield field, hints[field.name], default


def _settings(dataclass_type: type[Any], default: Any, group: str) -> list[Setting]:
    hints = get_type_hints(dataclass_type)
    return [
        Setting(
            field.name, hints[field.name], getattr(default, field.name), _help_of(dataclass_type, field.name), group
        )
        for field in dataclasses.fields(dataclass_type)
        if field.init
    ]


def _refuse_doubles(settings: list[Setting], recipe: str, reserved: Iterable[str]) -> None:
    seen = dict.fromkeys([*reserved, "help", "debug"], "the options of every recipe")
    for setting in settings:
        place = "Config" if setting.group == "recipe" else f"Config.{setting.group}"
        if setting.name in seen:
            raise UsageError(
                f"{recipe} has a field {setting.name!r} in {place} and one in {seen[setting.name]}; "
                f"both would be {setting.flag}. Rename one."
            )
        seen[setting.name] = place


def _help_of(dataclass_type: type[Any], name: str) -> str:
    """What the "Attributes:" section of the docstring says about a field; its lines become one."""
    section = re.search(r"^[ \t]*Attributes:[ \t]*\n(.*)", dataclass_type.__doc__ or "", re.DOTALL | re.MULTILINE)
    if section is None:
        return ""
    entry = re.search(rf"^([ \t]+){name}(?: \([^)\n]*\))?:(.*(?:\n\1[ \t]+.*)*)", section[1], re.MULTILINE)
    return " ".join(entry[2].split()) if entry else ""
