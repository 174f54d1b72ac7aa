"""Options of a subcommand over jsonargparse: hyphens or underscores, and errors of one line that name the flag."""

from __future__ import annotations

import argparse
import difflib
import re
import types
from collections.abc import Iterator
from typing import Any, Literal, NoReturn, Union, get_args, get_origin

import jsonargparse

from nlp_lstm.errors import UsageError

_OPTION = re.compile(r"--[A-Za-z][\w-]*")
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}


def new_parser(command: str, words: str, description: str) -> jsonargparse.ArgumentParser:
    """Start the parser of `nlp-lstm COMMAND WORDS`; options are added with `add_argument("--with-hyphens", type=...)`.

    The usage shows the words alone: forty options in it are forty names that nobody reads.
    """
    return jsonargparse.ArgumentParser(
        prog=f"nlp-lstm {command}",
        usage=f"nlp-lstm {command} {words}".rstrip(),
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        exit_on_error=False,
        allow_abbrev=False,
    )


def parse(parser: jsonargparse.ArgumentParser, arguments: list[str]) -> dict[str, Any]:
    """Parse `arguments` into a dictionary by option name with underscores.

    `--help` prints and leaves with SystemExit(0). Raises UsageError, in one line, for an option that is not there,
    a value of the wrong type, a missing value or a word too many.
    """
    arguments = list(_with_hyphens(arguments))
    _refuse_unknown_options(parser, arguments)
    try:
        values: dict[str, Any] = parser.parse_args(arguments).as_dict()
    except argparse.ArgumentError as error:
        _refuse(parser, error)
    return values


def check_values(parser: jsonargparse.ArgumentParser, values: dict[str, Any], source: str) -> dict[str, Any]:
    """Convert values that did not come from the command line (a file, a recipe) to the types of their options.

    Raises UsageError that names `source` and the value that does not fit.
    """
    hints = {action.dest: getattr(action, "_typehint", action.type) for action in parser._actions}
    for name, value in values.items():
        kinds = set(_leaves(hints[name]))
        if value is None and type(None) not in kinds:
            raise UsageError(f"{source}: {name} must be {describe(hints[name])}, not null.")
        if isinstance(value, int | float) and not isinstance(value, bool) and str in kinds and not {int, float} & kinds:
            values = {**values, name: str(value)}  # `max_time: 90` means the text "90"
    try:
        converted: dict[str, Any] = parser.parse_object(values).as_dict()
    except argparse.ArgumentError as error:
        _refuse(parser, error, values, source)
    return {name: converted[name] for name in values}


def nearest(given: str, names: list[str]) -> str:
    """Return " Did you mean NAME?" for the closest of `names`, or nothing where none is close."""
    close = difflib.get_close_matches(given, names, n=1)
    return f" Did you mean {close[0]}?" if close else ""


def placeholder(hint: object) -> str:
    """What stands for the value in the help: N for whole numbers, X for numbers, {a,b} for a choice."""
    leaves = list(_leaves(hint))
    for leaf, word in ((bool, "true|false"), (str, "TEXT"), (float, "X"), (int, "N")):
        if leaf in leaves:
            return word
    choices = [str(choice) for leaf in leaves if get_origin(leaf) is Literal for choice in get_args(leaf)]
    return f"{{{','.join(choices)}}}" if choices else "VALUE"


def describe(hint: object) -> str:
    """Say in words what an option of this type takes: "a whole number or null", "one of lstm, gru"."""
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, get_args(hint)))
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(describe(member) for member in get_args(hint))
    if get_origin(hint) in (list, tuple):
        return f"a list such as [{', '.join('…' for _ in get_args(hint))}]"
    return _KINDS.get(hint, getattr(hint, "__name__", str(hint)))  # type: ignore[call-overload, no-any-return]


def _with_hyphens(arguments: list[str]) -> Iterator[str]:
    """Turn `--max_time=85s` into `--max-time=85s`; values, and all that follows a lone `--`, stay as they are."""
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        yield name.replace("_", "-") + equals + value if _OPTION.fullmatch(name) else argument
        if argument == "--":
            yield from rest


def _refuse_unknown_options(parser: jsonargparse.ArgumentParser, arguments: list[str]) -> None:
    known = [option for action in parser._actions for option in action.option_strings]
    for argument in arguments[: arguments.index("--") if "--" in arguments else None]:
        name = argument.partition("=")[0]
        if _OPTION.fullmatch(name) and name not in known:
            raise UsageError(f"There is no option {name}.{nearest(name, known)} `{parser.prog} --help` lists them.")


def _refuse(
    parser: jsonargparse.ArgumentParser,
    error: argparse.ArgumentError,
    values: dict[str, Any] | None = None,
    source: str = "",
) -> NoReturn:
    """Say jsonargparse's error in one line and in the user's words."""
    text = str(error)
    key = re.match(r'Parser key "([^"]+)"', text)
    action = next((action for action in parser._actions if key and action.dest == key[1]), None)
    if key and action is not None:
        flag = next(iter(action.option_strings), str(action.metavar or action.dest))
        got = re.search(r"(?:Got|Given) value: (.*)", text, re.DOTALL)
        given = values[key[1]] if values is not None else got[1] if got else ""
        wanted = describe(getattr(action, "_typehint", action.type))
        subject = f"{source}: {key[1]}" if source else flag
        raise UsageError(f"{subject} must be {wanted}, not {given!r}.") from error
    missing = re.match(r"argument (--\S+): expected one argument", text)
    if missing:
        raise UsageError(
            f"{missing[1]} needs a value. One that begins with a hyphen is written {missing[1]}=-value."
        ) from error
    absent = re.match(r"the following arguments are required: (.*)", text)
    if absent:
        raise UsageError(f"{absent[1].upper()} is missing. `{parser.prog} --help` shows the call.") from error
    extra = re.match(r"unrecognized arguments: (.*)", text, re.DOTALL)
    if extra:
        raise UsageError(f"There is a word too many: {extra[1]!r}. `{parser.prog} --help` shows the call.") from error
    raise UsageError(f"{' '.join(text.split())} (`{parser.prog} --help` shows the call.)") from error


def _leaves(hint: object) -> Iterator[object]:
    """The types in a union, or the type itself."""
    if get_origin(hint) in (Union, types.UnionType):
        for member in get_args(hint):
            yield from _leaves(member)
    else:
        yield hint
