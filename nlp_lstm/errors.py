"""One family of exceptions: each says what was given, what is allowed and what to do next."""

from __future__ import annotations

import difflib
import json
import reprlib
from collections.abc import Iterable
from typing import Literal, get_args, get_origin, get_type_hints


class NlpLstmError(Exception):
    """A fault that the user can mend; its message is one sentence or two, without a traceback.

    `exit_code` is what the command line returns for it: 1 for a failure, 2 for a wrong call.
    """

    exit_code = 1


class UsageError(NlpLstmError):
    """The call itself is wrong: an unknown name, an option out of range, options that exclude each other."""

    exit_code = 2


class DataError(NlpLstmError):
    """The data cannot be read or used; the message names the file and the place in it."""


class TokenizerError(NlpLstmError):
    """A tokenizer cannot be trained, or its saved files do not load."""


class RunFolderError(NlpLstmError):
    """A run folder is incomplete, damaged, unsafe to load, or in the way of a new run."""


class TrainingError(NlpLstmError):
    """Training cannot go on: the loss is not finite, or a checkpoint does not fit the run."""


class ShapeError(NlpLstmError, ValueError):
    """A tensor does not fit the layer it was given to; the message speaks of features, batch and time."""


class Stopped(KeyboardInterrupt):
    """Training was stopped by a signal, and has been saved; `exit_code` is what a shell reports for that signal."""

    def __init__(self, signal: int) -> None:
        super().__init__()
        self.exit_code = 128 + signal


def require_choices(options: object) -> None:
    """Raise UsageError where a field of a dataclass whose type is a Literal holds anything else."""
    for name, hint in get_type_hints(type(options)).items():
        given = getattr(options, name)
        if get_origin(hint) is Literal and given not in get_args(hint):
            raise unknown_name("--" + name.replace("_", "-"), str(given), get_args(hint))


def unknown_name(kind: str, given: str, allowed: Iterable[str]) -> UsageError:
    """Build the error for a name that no table holds, with the nearest allowed name where one is close.

    `kind` is what the name should have been, in the user's words: "cell", "recipe", "tokenizer".
    """
    names = sorted(allowed)
    close = difflib.get_close_matches(given, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return UsageError(f"There is no {kind} named {given!r}.{hint} Allowed: {', '.join(names)}.")


def printable(text: str, most: int) -> str:
    """Give the first `most` characters of a text from elsewhere for a message, with ? for what does not print."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:most])


def first_line(error: Exception, most: int = 200) -> str:
    """Give the first line of what a library's error says for a message, or its kind where it says nothing."""
    return printable((str(error).strip() or type(error).__name__).splitlines()[0], most)


def flag_value(value: object) -> str:
    """Give a setting as it is typed behind its flag, the first 200 signs of it."""
    text = value if isinstance(value, str) and value.isprintable() else json.dumps(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def shown(name: str, most: int = 120) -> str:
    """Give a name that stands in a file for a message: as it is where it is short and printable, else quoted."""
    return name if len(name) <= most and name.isprintable() else reprlib.repr(name)
