"""The process of `fuzz.py` that reads damaged inputs, one number after the other, and measures itself."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from _common import peak_memory, resident_memory
from _fuzzed import Reader, all_readers, write_damaged, write_files
from _mutations import mutate_file, replace_file

import nlp_lstm as nl

KINDS = ("accepted", "refused", "traceback", "hang", "memory", "crash")
ADDRESS_SPACE = 4 * 2**30
REPLACED = 0.05  # share of the inputs in which something else stands in the place of a file


class TooLongError(BaseException):
    """The alarm; no reader catches it."""


@dataclass(frozen=True)
class Limits:
    """What one input may take."""

    seconds: float
    memory: int


@dataclass(frozen=True)
class Outcome:
    """What became of an input."""

    number: int
    reader: str
    kind: str
    memory: int = 0
    detail: str = ""


def make_input(readers: list[Reader], seed: int, number: int, folder: Path) -> Reader:
    """Write the input of a number into an empty folder, and tell whose it is."""
    chance, reader = random.Random(f"{seed} {number}"), readers[number % len(readers)]
    path = write_damaged(reader, folder, chance, mutate_file)
    if chance.random() < REPLACED:
        replace_file(path, chance)
    return reader


def try_input(reader: Reader, number: int, folder: Path, limits: Limits) -> Outcome:
    """Read an input under the alarm, and measure how far the resident memory goes up."""
    before, began = reset_peak(), time.monotonic()
    kind, detail = "accepted", ""
    signal.setitimer(signal.ITIMER_REAL, limits.seconds)
    try:
        reader.read(folder)
    except nl.NlpLstmError as error:
        kind, detail = "refused", str(error)
    except TooLongError:
        kind = "hang"
    except BaseException:  # a panic of a library in Rust is no Exception
        kind, detail = "traceback", traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    memory = max(0, peak() - before)
    if kind in KINDS[:2] and time.monotonic() - began > limits.seconds:
        kind = "hang"
    elif kind in KINDS[:2] and memory > limits.memory:
        kind = "memory"
    return Outcome(number, reader.name, kind, memory, detail)


def reset_peak() -> int:
    """Let the peak of resident memory begin anew, where the system can do that, and return what is resident now."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return max(resident_memory(), peak())


def peak() -> int:
    """Return the peak of this process's resident memory in bytes."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024
    return peak_memory(resource.getrusage(resource.RUSAGE_SELF))


def work(connection: Connection, seed: int, folder: Path, limits: Limits) -> None:
    """Answer each number that comes with what became of its input, until none comes."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):  # libraries write there what they think of a file
        os.dup2(nothing, descriptor)
    torch.set_num_threads(1)
    signal.signal(signal.SIGALRM, ring)
    with scratch(folder) as made:
        readers = all_readers(made)
    for reader in readers:  # what is loaded once is no growth
        with scratch(folder) as made:
            write_files(reader.files, made)
            reader.read(made)
    limit_address_space()
    connection.send([reader.name for reader in readers])
    while (number := connection.recv()) is not None:
        with scratch(folder) as made:
            reader = make_input(readers, seed, number, made)
            connection.send(try_input(reader, number, made, limits))


def ring(*_: object) -> None:
    """What the alarm calls."""
    raise TooLongError


def limit_address_space() -> None:
    """Let this process have some gigabytes more than it has, where the system tells how many those are."""
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * os.sysconf("SC_PAGE_SIZE") + ADDRESS_SPACE
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


@contextlib.contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """An empty folder that goes away."""
    made = Path(tempfile.mkdtemp(dir=folder))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
