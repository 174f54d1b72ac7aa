"""From the command line to a subcommand, and from whatever happens there to one line and an exit code."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback

from nlp_lstm.cli._commands import find_command, help_text
from nlp_lstm.cli._failures import EXIT_BROKEN_PIPE, EXIT_INTERRUPTED, explain


def main(arguments: list[str] | None = None) -> int:
    """Run the `nlp-lstm` command with `arguments` (by default those of the process) and return its exit code.

    The code is 0 when all is done, 1 for a failure, 2 for a wrong call, 130 after Ctrl-C, and 141 when the reader
    of stdout has gone. An error is one line on stderr; `--debug` anywhere adds the traceback.
    """
    debug, arguments = _without_debug(sys.argv[1:] if arguments is None else arguments)
    _speak_utf8()
    # torch reads this when it is imported: large tensors in large pages, a third off the time of a large softmax.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if "OMP_WAIT_POLICY" not in os.environ:
        # Threads that wait for each other spin for microseconds, not for milliseconds: what runs beside gets its time.
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        code = _dispatch(arguments)
        _flush_stdout()
        return code
    except BaseException as error:  # the border of the program: every way out becomes an exit code here
        return _report(error, debug)


def run_recipe(file: str) -> int:
    """Train the recipe in `file` with the options of the process; a recipe's last line hands over to this.

    `python recipes/char_lm.py --max-time 85s` is then the same as `nlp-lstm train char_lm --max-time 85s`.
    """
    return main(["train", file, *sys.argv[1:]])


def _dispatch(arguments: list[str]) -> int:
    if not arguments:
        print(help_text(), end="", file=sys.stderr)
        return 2
    first, *rest = arguments
    if first in ("-h", "--help"):
        print(help_text(), end="")
        return 0
    if first == "--version":
        from nlp_lstm import __version__

        print(f"nlp-lstm {__version__}")
        return 0
    return find_command(first).run(rest)


def _without_debug(arguments: list[str]) -> tuple[bool, list[str]]:
    """Take `--debug` out, wherever it stands before a lone `--`."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    kept = [argument for argument in arguments[:end] if argument != "--debug"]
    return len(kept) < end, kept + arguments[end:]


def _report(error: BaseException, debug: bool) -> int:
    """Say what happened in one line on stderr, and return the exit code for it."""
    if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
        return error.code or 0
    message, code = explain(error)
    with contextlib.suppress(BrokenPipeError):  # the reader of stderr may have gone too
        if debug and code != EXIT_BROKEN_PIPE:
            traceback.print_exception(error)
        if code == EXIT_INTERRUPTED:
            print(file=sys.stderr)  # the terminal shows ^C: the line after it is ours
        if message:
            print(f"nlp-lstm: {message}", file=sys.stderr)
        sys.stderr.flush()
    _abandon_stdout_if_unwritable()
    return code


def _speak_utf8() -> None:
    """UTF-8 in and out whatever the locale says; a path that is not UTF-8 passes through as the bytes it is."""
    for stream, errors in ((sys.stdin, "strict"), (sys.stdout, "surrogateescape"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(io.UnsupportedOperation):  # raised where something was read from it already
                stream.reconfigure(encoding="utf-8", errors=errors)


def _flush_stdout() -> None:
    if sys.stdout is not None:  # None where the caller closed it
        sys.stdout.flush()


def _abandon_stdout_if_unwritable() -> None:
    """Point stdout at nothing where it cannot be written, or Python complains once more as it exits."""
    try:
        _flush_stdout()
    except OSError:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
