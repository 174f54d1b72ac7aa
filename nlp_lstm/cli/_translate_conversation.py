"""The conversation with a translator: entries that are translated, and a look at what the model attended to."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from nlp_lstm.cli._entries import converse
from nlp_lstm.cli._terminal import note, write
from nlp_lstm.cli._translate_notes import longer
from nlp_lstm.cli._translate_picture import attention_map, checked_picture, save_picture
from nlp_lstm.errors import UsageError, unknown_name

_WELCOME = "Type a text to translate and press Enter. :help lists the commands, Ctrl-D leaves."
_HELP = """Type a text and press Enter: its translation follows.
  :map           what the words of the last translation attended to in the source
  :picture FILE  the same as a picture, .png, .svg or .pdf
  :n-best N      show the N best translations
  :beam-size N   keep N translations while searching
  :quit          leave"""
_NUMBERS = ("n-best", "beam-size")


class TranslationConversation:
    """Translates entries one by one. `task` is what `nlp_lstm.load` gives, `search` a `Search`."""

    def __init__(self, task: Any, search: Any) -> None:
        self.task, self.search = task, search
        self.last: Any = None

    def run(self) -> None:
        """Read entries until Ctrl-D or :quit."""
        converse(_WELCOME, self._answer)

    def _answer(self, entry: str) -> None:
        if entry.startswith(":"):
            self._obey(entry)
        elif entry.strip():
            self._translate(entry)

    def _obey(self, entry: str) -> None:
        name, _, value = entry[1:].strip().partition(" ")
        name = name.replace("_", "-")
        actions: dict[str, Callable[[], None]] = {
            "help": lambda: note(_HELP),
            "map": self._map,
            "picture": lambda: self._picture(value.strip()),
            **{number: lambda number=number: self._set(number, value.strip()) for number in _NUMBERS},  # type: ignore[misc]
        }
        if name not in actions:
            raise unknown_name("command", f":{name}", [f":{known}" for known in (*actions, "quit")])
        actions[name]()

    def _translate(self, entry: str) -> None:
        (found,) = self.task.translate_n_best([entry], search=self.search)
        self.last = found[0]
        if found[0].parts > 1:
            note(f"This is {longer(found[0].parts, self.search)}")
        if math.isinf(found[0].score):
            note("No translation meets the conditions.")
            return
        if found[0].cut:
            note("Cut at the limit of length. Leave and start again with --max-length N to raise it.")
        for one in found:
            write(f"{one.score:8.3f}  {one.text}\n" if len(found) > 1 else f"{one.text}\n")

    def _map(self) -> None:
        write(f"{attention_map(self._last())}\n")

    def _picture(self, file: str) -> None:
        last = self._last()
        if not file:
            raise UsageError("Name the file: :picture FILE.")
        path = checked_picture(file, ":picture")
        try:
            save_picture(last, path)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}. Name another file.") from error
        note(f"The picture is in {path}.")

    def _last(self) -> Any:
        if self.last is None:
            raise UsageError("Nothing is translated yet. Type a text first.")
        return self.last

    def _set(self, name: str, value: str) -> None:
        field = name.replace("-", "_")
        if not value:
            note(f"{name} is {getattr(self.search.options, field)}")
            return
        if not value.isdecimal():
            raise UsageError(f":{name} takes a whole number, not {value!r}.")
        changed = {field: int(value)}
        if field == "n_best":  # more translations need as wide a beam
            changed["beam_size"] = max(int(value), self.search.options.beam_size)
        try:
            options = dataclasses.replace(self.search.options, **changed)
        except UsageError as error:  # it names the flag of the command line
            raise UsageError(str(error).replace("--", ":")) from error
        self.search = dataclasses.replace(self.search, options=options)
