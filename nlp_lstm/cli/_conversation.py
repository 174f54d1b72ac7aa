"""The conversation on a terminal: entries that the model continues, commands that change how, Ctrl-C to stop a text."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nlp_lstm.cli._entries import PROMPT, converse
from nlp_lstm.cli._files import write_new
from nlp_lstm.cli._terminal import note, write
from nlp_lstm.errors import UsageError, unknown_name

_WELCOME = "Type the beginning of a text and press Enter. :help lists the commands, Ctrl-D leaves."
_HELP = """Type text and press Enter: the model continues it. The next entry goes on below it, on a new line.
Enter alone continues where the text stopped. Ctrl-C stops the text, Ctrl-D leaves.
  :temperature X, :top-k N, :top-p X, :min-p X, :repetition-penalty X, :max-tokens N
                 change how the next text is drawn; without a value they show it
  :seed N        the texts that follow are the same each time
  :save FILE     write the conversation to a new file
  :reset         forget the text so far
  :quit          leave"""
_SAMPLING = {"temperature": float, "top-k": int, "top-p": float, "min-p": float, "repetition-penalty": float}
_NUMBERS = _SAMPLING | {"max-tokens": int, "seed": int}


class Conversation:
    """One conversation with a language model whose state carries on from entry to entry.

    `model` is what `LanguageModeling.conversation()` returns: `.stream(text, max_tokens=, options=, seed=)` continues
    the running text after `text`, and `.reset()` forgets it.
    """

    def __init__(self, model: Any, sampling: Any, max_tokens: int, seed: int | None) -> None:
        self.model = model
        self.sampling = sampling
        self.max_tokens = max_tokens
        self.seed = seed
        self.transcript = ""  # what the terminal shows, commands apart
        self._needs_line_end = False  # whether the running text stopped inside a line

    def run(self) -> None:
        """Read entries until Ctrl-D or :quit."""
        converse(_WELCOME, self._answer)

    def _answer(self, entry: str) -> None:
        """Take one entry; what the disk has against it is said in one line."""
        try:
            if entry.startswith(":"):
                self._obey(entry)
            else:
                self._continue(entry)
        except BrokenPipeError:
            raise
        except OSError as error:
            note(" ".join(str(error).split()))

    def _obey(self, entry: str) -> None:
        """Carry out a command; raises UsageError for an unknown one or a wrong value."""
        name, _, value = entry[1:].strip().partition(" ")
        name, value = name.replace("_", "-"), value.strip()
        actions: dict[str, Callable[[str], None]] = {
            "help": lambda _: note(_HELP),
            "save": self._save,
            "reset": lambda _: self._reset(),
            **{number: lambda text, number=number: self._set(number, text) for number in _NUMBERS},  # type: ignore[misc]
        }
        if name not in actions:
            raise unknown_name("command", f":{name}", [f":{known}" for known in (*actions, "quit")])
        actions[name](value)

    def _continue(self, entry: str) -> None:
        """Stream the continuation of `entry`; Ctrl-C ends the text and keeps what is there."""
        text = "\n" + entry if entry and self._needs_line_end else entry
        self.transcript += f"{PROMPT}{entry}\n"
        last = text
        pieces = self.model.stream(text, max_tokens=self.max_tokens, options=self.sampling, seed=self._next_seed())
        try:
            with _ctrl_c_asked() as asked, contextlib.closing(pieces):
                for piece in pieces:
                    write(piece)
                    self.transcript += piece
                    last = piece or last
                    if asked():
                        break
        finally:
            self._needs_line_end = self._needs_line_end if not last else not last.endswith("\n")
            if not self.transcript.endswith("\n"):
                self.transcript += "\n"
                write("\n")

    def _next_seed(self) -> int | None:
        """The seed of this text; the one after gets the next number, so that texts differ and still repeat."""
        seed = self.seed
        if seed is not None:
            self.seed = seed + 1
        return seed

    def _set(self, name: str, value: str) -> None:
        field = name.replace("-", "_")
        owner = self.sampling if name in _SAMPLING else self
        if not value:
            note(f"{name} is {getattr(owner, field)}")
            return
        kind = _NUMBERS[name]
        try:
            number = kind(value)
        except ValueError:
            wanted = "a whole number" if kind is int else "a number"
            raise UsageError(f":{name} takes {wanted}, not {value!r}.") from None
        if name in _SAMPLING:
            self.sampling = self._sampling_with(field, number)
        elif number < (smallest := 1 if name == "max-tokens" else 0):
            raise UsageError(f":{name} must be at least {smallest}, not {value}.")
        else:
            setattr(self, field, number)

    def _sampling_with(self, field: str, number: float) -> Any:
        try:
            return dataclasses.replace(self.sampling, **{field: number})
        except UsageError as error:  # it names the flag of the command line
            raise UsageError(str(error).replace("--", ":")) from error

    def _save(self, file: str) -> None:
        if not file:
            raise UsageError("Name the file: :save FILE.")
        path = Path(file).expanduser()
        write_new(path, self.transcript, overwrite=False, hint="name another file")
        note(f"Saved to {path}.")

    def _reset(self) -> None:
        self.model.reset()
        self._needs_line_end = False
        note("The model has forgotten the text so far.")


@contextlib.contextmanager
def _ctrl_c_asked() -> Iterator[Callable[[], bool]]:
    """Note Ctrl-C instead of raising it, so that the model's state is never cut in the middle of a step.

    Yields a function that says whether it came. A second Ctrl-C raises KeyboardInterrupt, for a step that hangs.
    """
    asked = False

    def remember(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: asked  # only the main thread may handle signals
        return
    previous = signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, previous)
