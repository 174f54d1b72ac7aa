"""What the benchmarks share: options, the machine they ran on, tables and JSON, and texts that need no data."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import random
import re
import resource
import string
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nlp_lstm as nl
from nlp_lstm import training

_LIBRARIES = ("torch", "numpy", "tokenizers")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]?)B?", re.IGNORECASE)
_FACTORS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


def new_parser(description: str, epilog: str | None = None) -> argparse.ArgumentParser:
    """Start a benchmark's options with those that all have: --json and --smoke."""
    parser = argparse.ArgumentParser(
        description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--json", action="store_true", help="print JSON in one line on stdout, and the table on stderr")
    parser.add_argument(
        "--smoke", action="store_true", help="tiny sizes on generated text: seconds, and no data needed"
    )
    return parser


def fill_in(arguments: argparse.Namespace, defaults: Mapping[str, tuple[Any, Any]]) -> None:
    """Give options that were left out (None) their defaults: the first of each pair, or the second with --smoke."""
    for name, values in defaults.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, values[arguments.smoke])


def machine(threads: int) -> dict[str, Any]:
    """Describe where this runs: processor model, cores that may be used, threads that are, and system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": training.processor(),
        "cores": cores,
        "threads": threads,
        "system": platform.platform(terse=True),
    }


def versions() -> dict[str, str]:
    """Return the versions of what decides the figures."""
    libraries = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"nlp_lstm": nl.__version__, **libraries, "python": platform.python_version()}


def print_result(
    name: str, threads: int, result: Mapping[str, Any] | list[dict[str, Any]], table: str, as_json: bool
) -> None:
    """Print the table under a line on the machine; with --json that goes to stderr, and stdout gets the object.

    A list of objects is printed as one; each then says by itself which benchmark, machine and versions it is of.
    """
    common = {"benchmark": name, "machine": machine(threads), "versions": versions()}
    whole = [{**row, **common} for row in result] if isinstance(result, list) else {**common, **result}
    described = [", ".join(f"{key} {value}" for key, value in common[part].items()) for part in ("machine", "versions")]
    one = result[0] if isinstance(result, list) else result
    seeds = one["seeds"] if "seeds" in one else [one["seed"]]
    head = [f"{name}: seed {', '.join(map(str, seeds))}", *described]
    print("\n".join([*head, "", table]), file=sys.stderr if as_json else sys.stdout, flush=True)
    if as_json:
        print(json.dumps(whole), flush=True)


def format_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lay rows out in columns: the first to the left, the others, numbers, to the right."""
    cells = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = []
    for row in cells:
        padded = [
            row[0].ljust(widths[0]),
            *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True)),
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else "-" if value is None else str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 100 else f"{value:.4g}"


def parse_size(text: str) -> int:
    """Read a size such as 1GB, 10MB or 500KB as bytes (decimal units); for `type=` of an option."""
    match = _SIZE.fullmatch(text.strip())
    size = int(float(match[1]) * _FACTORS[match[2].upper()]) if match else 0
    if size < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write it as 1GB, 10MB or 500KB")
    return size


def generated_text(characters: int, seed: int) -> str:
    """Make lines of invented words whose frequencies fall as 1 / rank, as those of words do (Zipf's law)."""
    chance = random.Random(seed)
    words = ["".join(chance.choices(string.ascii_lowercase, k=chance.randint(1, 8))) for _ in range(1000)]
    weights = [1 / rank for rank in range(1, len(words) + 1)]
    lines: list[str] = []
    size = 0
    while size < characters:
        lines.append(" ".join(chance.choices(words, weights, k=10)) + ".\n")
        size += len(lines[-1])
    return "".join(lines)[:characters]


def resident_memory() -> int:
    """Return this process's resident memory in bytes; where the system does not tell, its peak so far."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return peak_memory(resource.getrusage(resource.RUSAGE_SELF))
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_memory(usage: resource.struct_rusage) -> int:
    """Return the peak of resident memory in bytes, which macOS counts in bytes and Linux in KiB."""
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def nlp_lstm_command(*arguments: object) -> list[str]:
    """Return the command line that a user would type as `nlp-lstm ...`, for this very Python."""
    return [sys.executable, "-m", "nlp_lstm", *map(str, arguments)]


def run_command(*arguments: object) -> str:
    """Run `nlp-lstm ...` in a process of its own and return its stdout; a failure ends the benchmark."""
    done = subprocess.run(nlp_lstm_command(*arguments), stdout=subprocess.PIPE, encoding="utf-8", check=False)
    _check(done.returncode, arguments)
    return done.stdout


def peak_of_command(*arguments: object) -> int:
    """Run `nlp-lstm ...` as `run_command` does, without its stdout; return its peak of resident memory in bytes."""
    process = subprocess.Popen(nlp_lstm_command(*arguments), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    _check(process.returncode, arguments)
    return peak_memory(usage)


def _check(code: int, arguments: Sequence[object]) -> None:
    if code:
        raise SystemExit(f"nlp-lstm {' '.join(map(str, arguments))} failed with exit code {code}.")
