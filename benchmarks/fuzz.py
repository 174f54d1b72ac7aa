"""Damaged and hostile files over everything that reads files: is each read, or refused in a sentence?

Each reader (of texts, labelled texts, pairs, word vectors, tokenizers, run folders and checkpoints) is given small
valid inputs with one file damaged: bytes flipped, cut, inserted, moved, spliced with another file; JSON values of
another kind; a pipe, a link, a device, a folder or two gigabytes of nothing in its place. What an input is follows from
--seed and its number.

They are read in a worker process whose address space may grow by four gigabytes, which keeps the machine safe; what is
judged is the growth of its peak resident memory. An input fails that raises anything but an error of nlp_lstm, takes
longer than --seconds, takes more than --memory, or ends the process. It is saved under its number in --failures, and
--repeat NUMBER reads it again with its traceback.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from _common import format_table, new_parser, parse_size, print_result
from _fuzz_worker import KINDS, Limits, Outcome, make_input, ring, scratch, try_input, work
from _fuzzed import all_readers

FAILURES = KINDS[2:]


class Worker:
    """The process that reads, started again where an input ended it."""

    def __init__(self, seed: int, folder: Path, limits: Limits) -> None:
        self.seed, self.folder, self.limits = seed, folder, limits
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, self.seed, self.folder, self.limits), daemon=True)
        self.process.start()
        theirs.close()
        try:
            self.names: list[str] = self.connection.recv()
        except EOFError:
            raise SystemExit("The worker process ended before it could read anything.") from None

    def ask(self, number: int) -> Outcome:
        """Have an input read."""
        kind = "crash"
        try:
            self.connection.send(number)
            if self.connection.poll(2 * self.limits.seconds + 10):  # what no alarm can interrupt
                answer: Outcome = self.connection.recv()
                return answer
            kind = "hang"
        except (EOFError, OSError):
            pass
        self.process.kill()
        self.process.join()
        outcome = Outcome(number, self.names[number % len(self.names)], kind, 0, f"exit {self.process.exitcode}")
        self._start()
        return outcome

    def stop(self) -> None:
        """End the process."""
        self.connection.send(None)
        self.process.join()


def run(inputs: int, seed: int, folder: Path, limits: Limits) -> list[Outcome]:
    """Have so many inputs read, and say how far it has come."""
    worker = Worker(seed, folder, limits)
    outcomes = []
    for number in range(inputs):
        outcomes.append(worker.ask(number))
        if (number + 1) % 500 == 0:
            print(f"{number + 1:,} of {inputs:,} inputs", file=sys.stderr, flush=True)
    worker.stop()
    return outcomes


def save_failures(failures: list[Outcome], seed: int, work_folder: Path, folder: Path) -> None:
    """Write each failing input into a folder of its own, with what became of it."""
    with scratch(work_folder) as made:
        readers = all_readers(made)
    for one in failures:
        target = folder / str(one.number)
        shutil.rmtree(target, ignore_errors=True)
        (target / "input").mkdir(parents=True)
        make_input(readers, seed, one.number, target / "input")
        (target / "outcome.json").write_text(json.dumps({**asdict(one), "seed": seed}, indent=2), encoding="utf-8")


def repeat(number: int, seed: int, folder: Path, limits: Limits) -> int:
    """Read one input again, in this process, and print what becomes of it; the exit code is 1 where it fails."""
    signal.signal(signal.SIGALRM, ring)
    with scratch(folder) as made:
        readers = all_readers(made)
    with scratch(folder) as made:
        reader = make_input(readers, seed, number, made)
        outcome = try_input(reader, number, made, limits)
    print(f"input {number}, {reader.name}: {outcome.kind}, {outcome.memory:,} bytes\n{outcome.detail}")
    return int(outcome.kind in FAILURES)


def summary(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """Count what became of the inputs of each reader, in the readers' order."""
    found = []
    for name in dict.fromkeys(one.reader for one in outcomes):
        own = [one for one in outcomes if one.reader == name]
        counts = Counter(one.kind for one in own)
        found.append(
            {"reader": name, "inputs": len(own)}
            | {kind: counts[kind] for kind in KINDS}
            | {"peak_mb": round(max(one.memory for one in own) / 1e6, 1)}
        )
    return found


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = new_parser(__doc__)
    parser.add_argument(
        "--inputs", type=int, help="how many, over all readers in turn (default: 10000; with --smoke 66)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the damage (default: 0)")
    parser.add_argument("--seconds", type=float, default=5.0, help="that an input may take (default: 5)")
    parser.add_argument("--memory", type=parse_size, default=10**9, help="that an input may take (default: 1GB)")
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"), help="folder for inputs that fail")
    parser.add_argument("--repeat", type=int, metavar="NUMBER", help="read one input again, and show its traceback")
    arguments = parser.parse_args()
    arguments.inputs = (66 if arguments.smoke else 10_000) if arguments.inputs is None else arguments.inputs
    if arguments.inputs < 1 or arguments.seconds <= 0:
        parser.error(f"--inputs {arguments.inputs} and --seconds {arguments.seconds} must be above 0")
    return arguments


def main() -> int:
    """Read all inputs and print a table by reader; the exit code is 1 where one fails."""
    arguments = parse()
    limits = Limits(arguments.seconds, arguments.memory)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
        os.environ["HF_HOME"], os.environ["HF_HUB_OFFLINE"] = made, "1"
        if arguments.repeat is not None:
            return repeat(arguments.repeat, arguments.seed, Path(made), limits)
        outcomes = run(arguments.inputs, arguments.seed, Path(made), limits)
        failures = [one for one in outcomes if one.kind in FAILURES]
        if failures:
            save_failures(failures, arguments.seed, Path(made), arguments.failures)
    readers = summary(outcomes)
    rows = [list(row.values()) for row in readers]
    sums = [sum(row[column] for row in rows) for column in range(1, len(KINDS) + 2)]
    rows.append(["all", *sums, max(row["peak_mb"] for row in readers)])
    header = ["reader", "inputs", "accepted", "refused", "tracebacks", "hangs", "memory", "crashes", "peak MB"]
    last = [f"{one.number} ({one.reader}): {one.kind}: {one.detail.strip()[-200:]}" for one in failures[:20]]
    table = "\n".join([format_table(header, rows), *last])
    result = {"seed": arguments.seed, "inputs": arguments.inputs, "limits": asdict(limits), "readers": readers}
    result["failures"] = [asdict(one) for one in failures]
    print_result("fuzz", 1, result, table, arguments.json)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
