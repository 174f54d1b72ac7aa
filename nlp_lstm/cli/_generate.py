"""`nlp-lstm generate`: continue a prompt, each line of stdin, or what is typed in a conversation."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import Any

import jsonargparse

from nlp_lstm.cli._lines import line_blocks
from nlp_lstm.cli._options import new_parser, parse
from nlp_lstm.cli._runs import load_of_kind
from nlp_lstm.cli._terminal import is_terminal, note, write
from nlp_lstm.cli._threads import add_threads, take_threads
from nlp_lstm.errors import UsageError

_DESCRIPTION = """Continue text with a trained language model; only what the model adds is printed.
With --prompt: the continuation of the prompt, as it comes.
Without, and stdin is a file or a pipe: one line in, one line out. Each line is a prompt of its own, its continuation
ends at the first line end, and a blank line gives a blank line.
Without, on a terminal: a conversation; :help lists its commands."""

_LINE_END = re.compile(r"[\r\n]")


def run(arguments: list[str]) -> int:
    """Load the run and continue the prompt, the lines of stdin or the entries of a conversation."""
    options = parse(_parser(), arguments)
    _check(options)
    take_threads(options)
    sampling = _sampling_options(options)
    task = load_of_kind(options["run"], "language_modeling", "generate takes a language model")
    if options["prompt"] is not None and options["samples"] == 1:
        _stream_one(task, options, sampling)
    elif options["prompt"] is not None:
        _print_samples(task, options, sampling)
    elif is_terminal(sys.stdin):
        from nlp_lstm.cli._conversation import Conversation

        Conversation(task.conversation(), sampling, options["max_tokens"], options["seed"]).run()
    else:
        _continue_lines(task, options, sampling)
    return 0


def _parser() -> jsonargparse.ArgumentParser:
    parser = new_parser("generate", "RUN [options]", _DESCRIPTION)
    parser.add_argument("run", metavar="RUN", type=str, help="run folder that `nlp-lstm train` wrote")
    parser.add_argument("--prompt", type=str, metavar="T", help="text to continue; an empty one starts from nothing")
    parser.add_argument("--max-tokens", type=int, default=400, metavar="N", help="tokens to add at most (default: 400)")
    parser.add_argument(
        "--samples",
        type=int,
        default=1,
        metavar="N",
        help="continuations of --prompt, a blank line between (default: 1)",
    )
    # No defaults here: SamplingOptions has them, and --help must not wait for what it imports.
    parser.add_argument(
        "--temperature", type=float, metavar="X", help="below 1 is safer, above 1 bolder, 0 takes the likeliest"
    )
    parser.add_argument("--top-k", type=int, metavar="N", help="draw from the N likeliest tokens; 0 is off")
    parser.add_argument(
        "--top-p", type=float, metavar="X", help="draw from the likeliest tokens that hold this share; 1 is off"
    )
    parser.add_argument(
        "--min-p", type=float, metavar="X", help="drop tokens below this share of the likeliest; 0 is off"
    )
    parser.add_argument(
        "--repetition-penalty", type=float, metavar="X", help="above 1 makes recent tokens rarer; 1 is off"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="the same text again; line i of stdin uses N + i")
    add_threads(parser)
    return parser


def _check(options: dict[str, Any]) -> None:
    """Refuse what cannot work before the model is loaded."""
    for name in ("max_tokens", "samples"):
        if options[name] < 1:
            raise UsageError(f"--{name.replace('_', '-')} must be at least 1, not {options[name]}.")
    if options["samples"] > 1 and options["prompt"] is None:
        raise UsageError("--samples needs --prompt. Add --prompt TEXT; an empty one starts from nothing.")
    if options["seed"] is not None and options["seed"] < 0:
        raise UsageError(f"--seed must be 0 or more, not {options['seed']}.")
    try:
        (options["prompt"] or "").encode("utf-8")
    except UnicodeEncodeError as error:  # bytes that are not UTF-8 arrive as lone surrogates
        raise UsageError(f"--prompt is not UTF-8 text at character {error.start + 1}.") from error


def _sampling_options(options: dict[str, Any]) -> Any:
    names = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
    from nlp_lstm.decoding import SamplingOptions

    return SamplingOptions(**{name: options[name] for name in names if options[name] is not None})


def _stream_one(task: Any, options: dict[str, Any], sampling: Any) -> None:
    """Write the continuation piece by piece; it ends with a line end, also where Ctrl-C ends it."""
    last = ""
    try:
        for piece in task.stream(
            options["prompt"], max_tokens=options["max_tokens"], options=sampling, seed=options["seed"]
        ):
            write(piece)
            last = piece or last
    except KeyboardInterrupt:
        write("\n")
        raise
    if not last.endswith("\n"):
        write("\n")


def _print_samples(task: Any, options: dict[str, Any], sampling: Any) -> None:
    """Write several continuations of one prompt, drawn in one batch."""
    samples = task.generate(
        options["prompt"],
        max_tokens=options["max_tokens"],
        samples=options["samples"],
        options=sampling,
        seed=options["seed"],
    )
    for number, sample in enumerate(samples, start=1):
        if number > 1:
            write("\n")
        note(f"sample {number} of {len(samples)}:")
        write(sample if sample.endswith("\n") else sample + "\n")


def _continue_lines(task: Any, options: dict[str, Any], sampling: Any) -> None:
    """Write one line for each line of stdin, flushed, so that a program can talk to the model through pipes."""
    seed = options["seed"]
    for index, line in enumerate(_lines_of_stdin()):
        pieces = task.stream(
            line, max_tokens=options["max_tokens"], options=sampling, seed=None if seed is None else seed + index
        )
        write((_until_line_end(pieces) if line else "") + "\n")


def _lines_of_stdin() -> Iterator[str]:
    if sys.stdin is None:
        raise UsageError("There is no stdin to read prompts from. Give one with --prompt TEXT.")
    for lines in line_blocks(sys.stdin):
        yield from lines


def _until_line_end(pieces: Iterator[str]) -> str:
    """Join the pieces up to the first line end, and stop the model there."""
    kept = []
    with contextlib.closing(pieces):  # type: ignore[type-var]
        for piece in pieces:
            before, *after = _LINE_END.split(piece, maxsplit=1)
            kept.append(before)
            if after:
                break
    return "".join(kept)
