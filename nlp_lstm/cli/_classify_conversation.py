"""The conversation with a classifier on a terminal: what is typed gets its labels, and its words their colours."""

from __future__ import annotations

import contextlib
import io
import sys
from typing import Any

from nlp_lstm.cli._colours import coloured, in_brackets, wants_colour
from nlp_lstm.cli._conversation import _read_entry
from nlp_lstm.cli._terminal import note, write
from nlp_lstm.errors import NlpLstmError, unknown_name

_WELCOME = "Type a text and press Enter. :help lists the commands, Ctrl-D leaves."
_HELP = """Type a text and press Enter: its label and the label's probability, then the text.
Words on blue speak for the label, words on orange against it, the darker the more. NO_COLOR=1 writes numbers instead.
  :method NAME   integrated-gradients, or leave-one-out
  :labels        the labels that the model knows
  :quit          leave"""
_SHOWN = 5


def converse(task: Any, method: str) -> None:
    """Answer entries until Ctrl-D or :quit; `method` says how words are explained."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (importing it gives input() its editing and history)
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # a mistyped byte is no reason to leave
    note(_WELCOME)
    while True:
        try:
            entry = _read_entry()
            if entry.strip() == ":quit":
                return
            method = _obey(task, entry, method) if entry.startswith(":") else _answer(task, entry, method)
        except EOFError:
            note("")
            return
        except KeyboardInterrupt:
            note("\nCtrl-D or :quit leaves; :help lists the commands.")
        except NlpLstmError as error:
            note(" ".join(str(error).split()))


def _obey(task: Any, entry: str, method: str) -> str:
    """Carry out a command; returns the method from here on."""
    name, _, value = entry.strip().partition(" ")
    if name == ":help":
        note(_HELP)
    elif name == ":labels":
        note(", ".join(task.labels))
    elif name == ":method":
        from nlp_lstm.tasks import METHODS

        if value.strip() not in METHODS:
            raise unknown_name("method", value.strip(), METHODS)
        return value.strip()
    else:
        raise unknown_name("command", name, [":help", ":labels", ":method", ":quit"])
    return method


def _answer(task: Any, entry: str, method: str) -> str:
    if not entry.strip():
        write("\n")
        return method
    (table,) = task.classify([entry])
    rows = list(table.items())
    write("\n".join(f"{label}\t{probability:.4f}" for label, probability in rows[:_SHOWN]) + "\n")
    explanation = task.explain(entry, method)
    if wants_colour(sys.stdout):
        sys.stdout.write(coloured(explanation) + "\n")
        sys.stdout.flush()
    else:
        write(in_brackets(explanation) + "\n")
    return method
