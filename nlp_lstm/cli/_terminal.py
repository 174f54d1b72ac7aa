"""Where words go: results to stdout, everything else to stderr."""

from __future__ import annotations

import sys

# A model may write any character it was trained on, and a terminal obeys some of them: these are shown as pictures.
_VISIBLE = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"}
_VISIBLE |= {0x7F: "\u2421"} | dict.fromkeys(range(0x80, 0xA0), "\ufffd")


def note(text: str) -> None:
    """Say something beside the result, on stderr."""
    print(text, file=sys.stderr, flush=True)


def write(text: str) -> None:
    """Write a piece of the result to stdout at once, without a line end; on a terminal without control characters."""
    sys.stdout.write(text.translate(_VISIBLE) if is_terminal(sys.stdout) else text)
    sys.stdout.flush()


def is_terminal(stream: object) -> bool:
    """Whether a person sits at the other end; False for a stream that is closed or missing."""
    isatty = getattr(stream, "isatty", None)
    return bool(isatty is not None and not getattr(stream, "closed", False) and isatty())
