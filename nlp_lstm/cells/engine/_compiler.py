"""C++ operators, built on the user's machine at first use and kept for every later one."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType

import torch

TURNED_OFF = "NLP_LSTM_NO_COMPILER"
"""Environment variable: set to 1, nothing is compiled or loaded, and pure torch does the work."""

_DIGEST_BYTES = 32
_LONGEST_BUILD = 600  # seconds
_CAPABILITIES = ("AVX512", "AVX2")
_spent = 0.0


def seconds_compiling() -> float:
    """Seconds that this process has spent on building, or on waiting for another that builds."""
    return _spent


@cache
def compiled(name: str, source: str) -> ModuleType | None:
    """Build C++ operators, or load them from the cache, and return them as a module, `torch.ops.<library>`.

    The source registers its functions with `OPERATORS(m) { m.def("double_it(Tensor x) -> Tensor", &double_it); }`
    (torch/library.h), which names the library after `name` and the source; it includes torch's headers (ATen/, c10/)
    but nothing that needs Python.h. It is built with -O3 for this processor, OpenMP, and the definitions that
    `at::vec` needs. Registered so, a function runs as it stands: it sees no gradient but the one it makes.

    A build is announced in one line on stderr. The library is kept in $XDG_CACHE_HOME/nlp_lstm (else
    ~/.cache/nlp_lstm), under a name that changes with the source, torch, the processor and the compiler. Processes that
    start at once build one library, and one that was damaged is built anew. Returns None where there is no compiler,
    where the build fails, and where NLP_LSTM_NO_COMPILER=1 is set: the caller then takes its way in pure torch.
    """
    return None if turned_off() else _attempt(name, source, build=True)


def compiled_before(name: str, source: str) -> ModuleType | None:
    """Return what `compiled` returns where it has been built before, here or by another process; build nothing."""
    return None if turned_off() else _attempt(name, source, build=False)


def turned_off() -> bool:
    """Tell whether the user wants nothing compiled or loaded."""
    return os.environ.get(TURNED_OFF, "") not in ("", "0")


def _attempt(name: str, source: str, build: bool) -> ModuleType | None:
    try:
        return _load(name, source, build)
    except (OSError, subprocess.SubprocessError):
        return None


def _load(name: str, source: str, build: bool) -> ModuleType | None:
    compiler = _compiler()
    if compiler is None:
        return None
    key = hashlib.sha256("\0".join([source, *_surroundings(compiler)]).encode()).hexdigest()[:16]
    library, folder = f"nlp_lstm_{name}_{key}", cache_folder()
    path = folder / f"{library}.so"
    if not _is_whole(path):
        if not build:
            return None
        folder.mkdir(parents=True, exist_ok=True)
        with _timed(), _locked(folder / f"{library}.lock"):
            if not _is_whole(path):  # another process may have built it meanwhile
                _build(compiler, name, library, source, path)
    torch.ops.load_library(str(path))
    module: ModuleType = getattr(torch.ops, library)
    return module


def _compiler() -> str | None:
    for command in (os.environ.get("CXX"), "g++", "c++", "clang++"):
        found = shutil.which(command) if command else None
        if found:
            return os.path.realpath(found)
    return None


def _surroundings(compiler: str) -> list[str]:
    """What a library depends on beside its source."""
    file = Path(compiler).stat()
    return [torch.__version__, compiler, f"{file.st_size} {file.st_mtime_ns}", _processor(), *_flags("")]


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n")[0].splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    wanted = ("vendor_id", "model name", "flags", "Features", "CPU part")
    return "\n".join(line for line in lines if line.startswith(wanted))


def identifier(name: str) -> str:
    """Make a name one that files and functions can have."""
    return "".join(c if c.isalnum() else "_" for c in name)


def cache_folder() -> Path:
    """Give the folder that keeps what was built, for later processes."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "nlp_lstm"


def _is_whole(path: Path) -> bool:
    """Tell whether a library is there and as it was written: it ends with the digest of all that stands before."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return hashlib.sha256(content[:-_DIGEST_BYTES]).digest() == content[-_DIGEST_BYTES:]


@contextmanager
def _timed() -> Iterator[None]:
    global _spent
    start = time.perf_counter()
    try:
        yield
    finally:
        _spent += time.perf_counter() - start


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that ends with the process, whatever ends it."""
    try:
        import fcntl
    except ImportError as error:  # Windows; there g++ is not what torch is built with either
        raise OSError("no file locks") from error
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _flags(library: str) -> list[str]:
    include = Path(torch.__file__).parent / "include"
    places = [include, include / "torch" / "csrc" / "api" / "include"]
    capability = torch.backends.cpu.get_cpu_capability()
    known = [f"-DCPU_CAPABILITY={capability}", f"-DCPU_CAPABILITY_{capability}"] if capability in _CAPABILITIES else []
    return [
        *("-std=c++20", "-O3", "-march=native", "-fopenmp", "-fPIC", "-w"),
        *(f"-isystem{place}" for place in places),
        *(known or ["-DCPU_CAPABILITY=DEFAULT", "-DCPU_CAPABILITY_DEFAULT"]),
        f"-DOPERATORS(m)=TORCH_LIBRARY_FRAGMENT({library}, m)",
    ]


def _build(compiler: str, name: str, library: str, source: str, path: Path) -> None:
    """Compile to a file beside `path` and put it in place when it is whole; raises where the compiler fails."""
    print(f"nlp-lstm: compiling {name!r} for this processor, once; it takes about half a minute.", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
        code, compiled_code, result = (Path(temporary) / part for part in ("source.cpp", "source.o", path.name))
        code.write_text(source, encoding="utf-8")
        _run([compiler, *_flags(library), "-c", str(code), "-o", str(compiled_code)])
        # Linked without OpenMP's library: the one that torch has loaded is to be used, since a second one would bring
        # its own threads, which fight with torch's for the processor.
        torch_libraries = Path(torch.__file__).parent / "lib"
        _run([compiler, "-shared", str(compiled_code), f"-L{torch_libraries}", "-ltorch_cpu", "-lc10", "-o", result])
        content = result.read_bytes()
        result.write_bytes(content + hashlib.sha256(content).digest())
        os.replace(result, path)


def _run(command: list[str | Path]) -> None:
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=_LONGEST_BUILD)
