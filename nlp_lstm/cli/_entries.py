"""What a person types on a terminal, entry by entry: the loop of every conversation."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable

from nlp_lstm.cli._terminal import is_terminal, note
from nlp_lstm.errors import NlpLstmError

PROMPT = "> "
HOW_TO_LEAVE = "\nCtrl-D or :quit leaves; :help lists the commands."


def converse(welcome: str, answer: Callable[[str], None]) -> None:
    """Give `answer` each entry until Ctrl-D or :quit.

    An error of ours is said in one line and the conversation goes on. Ctrl-C ends an answer, and between answers says
    how to leave.
    """
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (importing it gives input() its editing and history)
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # a mistyped byte is no reason to leave
    note(welcome)
    while True:
        try:
            entry = _read_entry()
        except EOFError:
            note("")
            return
        except KeyboardInterrupt:
            note(HOW_TO_LEAVE)
            continue
        if entry.strip() == ":quit":
            return
        try:
            answer(entry)
        except NlpLstmError as error:
            note(" ".join(str(error).split()))
        except KeyboardInterrupt:
            note("")


def _read_entry() -> str:
    """Read a line with editing and history; the prompt goes to stderr where stdout is no terminal."""
    if is_terminal(sys.stdout):
        return input(PROMPT)
    sys.stderr.write(PROMPT)
    sys.stderr.flush()
    return input()
