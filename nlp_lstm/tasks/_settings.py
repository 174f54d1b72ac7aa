"""What config.json says, held against the types that options declare before anything is built of it."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from nlp_lstm.errors import NlpLstmError, RunFolderError, shown

Options = TypeVar("Options")
_LARGEST_NUMBER = 2**31 - 1
_LONGEST_TEXT = 10_000
_IN_WORDS = {bool: "true or false", int: "a whole number below 2**31", float: "a number below 2**31", NoneType: "null"}


@contextmanager
def describing(path: Path, what: str) -> Iterator[None]:
    """Say that config.json of a run folder describes no `what`, a model of some kind, where it fails to be built.

    What is known to go wrong in that becomes a RunFolderError.
    """
    try:
        yield
    except (NlpLstmError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise RunFolderError(f"{path / 'config.json'} describes no {what}: {error}. Train again.") from None


def build_options(kind: type[Options], settings: Mapping[str, Any]) -> Options:
    """Build options, a dataclass, from a JSON object.

    Raises ValueError for a name that they do not have or a value of another type, and what they raise themselves.
    """
    strange = sorted(settings.keys() - get_type_hints(kind).keys())
    if strange:
        raise ValueError(f"unknown settings {', '.join(map(shown, strange[:5]))}")
    require_types(kind, settings)
    return kind(**settings)


def require_types(kind: type[Any], values: Mapping[str, Any], largest: float = _LARGEST_NUMBER) -> None:
    """Raise ValueError where a value of a JSON object is not of the type that options declare under its name.

    Numbers must be from -largest to largest: what sizes a model is bounded, what only limits data may be infinite.

    Python takes the text "false" for true, 1.0 for 1 and NaN for a number; what comes from a file must be what it is.
    """
    for name, hint in get_type_hints(kind).items():
        if name in values and not _fits(values[name], hint, largest):
            choices = get_args(hint) if get_origin(hint) is UnionType else (hint,)
            words = " or ".join(_IN_WORDS.get(choice, "a text") for choice in choices)
            raise ValueError(f"{name} is {reprlib.repr(values[name])}, and must be {words}")


def _fits(value: object, hint: Any, largest: float) -> bool:
    if get_origin(hint) is UnionType:
        return any(_fits(value, choice, largest) for choice in get_args(hint))
    if hint in (bool, NoneType):
        return isinstance(value, hint)
    if hint in (int, float):
        is_number = isinstance(value, int if hint is int else int | float) and not isinstance(value, bool)
        return is_number and -largest <= value <= largest  # type: ignore[operator]
    if hint is str or get_origin(hint) is Literal:
        return isinstance(value, str) and len(value) <= _LONGEST_TEXT
    return True
