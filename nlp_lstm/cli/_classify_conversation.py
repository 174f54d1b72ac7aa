"""The conversation with a classifier on a terminal: what is typed gets its labels, and its words their colours."""

from __future__ import annotations

import sys
from typing import Any

from nlp_lstm.cli._colours import coloured, in_brackets, wants_colour
from nlp_lstm.cli._entries import HOW_TO_LEAVE, converse
from nlp_lstm.cli._terminal import note, write
from nlp_lstm.errors import unknown_name

_WELCOME = "Type a text and press Enter. :help lists the commands, Ctrl-D leaves."
_HELP = """Type a text and press Enter: its label and the label's probability, then the text.
Words on blue speak for the label, words on orange against it, the darker the more. NO_COLOR=1 writes numbers instead.
  :method NAME   integrated-gradients, or leave-one-out
  :labels        the labels that the model knows
  :quit          leave"""
_SHOWN = 5


class ClassificationConversation:
    """Labels entries one by one. `task` is what `nlp_lstm.load` gives; `method` says how words are explained."""

    def __init__(self, task: Any, method: str) -> None:
        self.task, self.method = task, method

    def run(self) -> None:
        """Read entries until Ctrl-D or :quit."""
        converse(_WELCOME, self._answer)

    def _answer(self, entry: str) -> None:
        try:
            if entry.startswith(":"):
                self._obey(entry)
            else:
                self._classify(entry)
        except KeyboardInterrupt:
            note(HOW_TO_LEAVE)

    def _obey(self, entry: str) -> None:
        name, _, value = entry.strip().partition(" ")
        if name == ":help":
            note(_HELP)
        elif name == ":labels":
            note(", ".join(self.task.labels))
        elif name == ":method":
            from nlp_lstm.tasks import METHODS

            if value.strip() not in METHODS:
                raise unknown_name("method", value.strip(), METHODS)
            self.method = value.strip()
        else:
            raise unknown_name("command", name, [":help", ":labels", ":method", ":quit"])

    def _classify(self, entry: str) -> None:
        if not entry.strip():
            write("\n")
            return
        (table,) = self.task.classify([entry])
        rows = list(table.items())
        write("\n".join(f"{label}\t{probability:.4f}" for label, probability in rows[:_SHOWN]) + "\n")
        explanation = self.task.explain(entry, self.method)
        if wants_colour(sys.stdout):
            sys.stdout.write(coloured(explanation) + "\n")
            sys.stdout.flush()
        else:
            write(in_brackets(explanation) + "\n")
