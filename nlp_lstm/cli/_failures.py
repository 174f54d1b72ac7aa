"""What an exception means to the person at the terminal: one line, and the exit code."""

from __future__ import annotations

import errno

from nlp_lstm.errors import NlpLstmError, Stopped

EXIT_FAILURE = 1
EXIT_INTERRUPTED = 130  # 128 + SIGINT, what a shell reports for Ctrl-C
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE, what a shell reports for `cat file | head -1`


def explain(error: BaseException) -> tuple[str, int]:
    """Return the line to print (empty: say nothing) and the exit code for `error`."""
    if isinstance(error, NlpLstmError):
        return _one_line(str(error)), error.exit_code
    if isinstance(error, Stopped):
        return "stopped.", error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "stopped.", EXIT_INTERRUPTED
    if isinstance(error, BrokenPipeError):
        return "", EXIT_BROKEN_PIPE
    if isinstance(error, SystemExit):  # sys.exit("a sentence"): a recipe may do that
        return _one_line(str(error.code)), EXIT_FAILURE
    return _sentence_for(error), EXIT_FAILURE


def _sentence_for(error: BaseException) -> str:
    if _is_out_of_memory(error):
        return (
            "The memory is not enough. Use a smaller --batch-size, --sequence-length or --hidden-size, "
            "or close other programs; --debug shows where it ran out."
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" while writing {error.filename}" if error.filename else ""
        return f"There is no space left on the disk{where}. Free some, or name another place (--run for a run folder)."
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"Cannot use {_name(error.filename)}: {error.strerror}. --debug shows the traceback."
    detail = _one_line(str(error))
    return f"unexpected {type(error).__name__}{': ' + detail if detail else ''}; --debug shows the traceback"


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; torch says so with errors of its own, told by name since torch may not be imported."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _name(filename: object) -> str:
    return filename.decode(errors="replace") if isinstance(filename, bytes) else str(filename)


def _one_line(text: str) -> str:
    return " ".join(text.split())
