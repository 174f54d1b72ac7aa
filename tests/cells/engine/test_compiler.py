"""The builder of C++ operators: one build for all processes, repair, and a quiet None where nothing can be built."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nlp_lstm.cells.engine import _compiler
from nlp_lstm.cells.engine._compiler import TURNED_OFF, compiled, compiled_before

SOURCE = """
#include <ATen/Parallel.h>
#include <torch/library.h>
int64_t chunks(int64_t length) {
  int64_t count = 0;
  at::parallel_for(0, length, 1, [&](int64_t, int64_t) { __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED); });
  return count;
}
OPERATORS(m) { m.def("chunks(int length) -> int", &chunks); }
"""
COMPILER = """#!/bin/sh
# What it has compiled before it copies: compiler ... -c SOURCE -o RESULT
for result; do :; done
case " $* " in *" -c "*) ;; *) exec g++ "$@" ;; esac
kept="$0-$(cksum < "$(dirname "$result")/source.cpp" | tr ' ' -)"
if [ -e "$kept" ]; then cp "$kept" "$result"; else g++ "$@" && cp "$result" "$kept"; fi
"""
PROGRAM = """
import sys
import torch
from nlp_lstm.cells.engine._compiler import compiled
module = compiled("counting", sys.stdin.read())
torch.set_num_threads(2)
print(module.chunks(100), len({line.split()[-1] for line in open("/proc/self/maps") if "libgomp" in line}))
"""
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler here")
needs_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(TURNED_OFF, raising=False)
    monkeypatch.delenv("CXX", raising=False)


@pytest.fixture(scope="module")
def compiler(tmp_path_factory):
    """A compiler that takes its time for a source once."""
    path = tmp_path_factory.mktemp("compiler") / "g++"
    path.write_text(COMPILER, encoding="utf-8")
    path.chmod(0o700)
    return str(path)


def _run_at_once(count):
    """Run PROGRAM in `count` processes; return what each printed, and all that went to stderr."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env=os.environ | {"OMP_NUM_THREADS": "2"},
        )
        for _ in range(count)
    ]
    for process in processes:
        process.stdin.write(SOURCE)
        process.stdin.close()
        process.stdin = None
    ends = [process.communicate() for process in processes]
    return [out for out, _ in ends], "".join(error for _, error in ends)


@needs_compiler
@needs_linux
def test_processes_build_once_and_repair_what_was_damaged(tmp_path, monkeypatch, compiler):
    monkeypatch.setenv("CXX", compiler)
    outputs, said = _run_at_once(2)
    assert outputs == ["2 1\n"] * 2  # two threads, of the one OpenMP library that torch brings
    assert said.count("\n") == 1
    assert "'counting'" in said
    (library,) = tmp_path.glob("nlp_lstm/*.so")
    assert not list(tmp_path.glob("nlp_lstm/tmp*"))
    whole = library.read_bytes()
    library.write_bytes(whole[: len(whole) // 2])
    outputs, said = _run_at_once(1)
    assert outputs == ["2 1\n"]
    assert said.count("\n") == 1
    outputs, said = _run_at_once(1)
    assert (outputs, said) == (["2 1\n"], "")


@needs_compiler
def test_a_build_that_fails_says_one_line_and_gives_none(tmp_path, capfd):
    source = "#error this cannot be built"
    assert compiled("broken", source) is None
    out, said = capfd.readouterr()
    assert out == ""
    assert said.count("\n") == 1
    assert compiled("broken", source) is None
    assert capfd.readouterr() == ("", "")  # tried once in a process
    assert not list(tmp_path.glob("nlp_lstm/*.so"))


def test_without_a_compiler_there_is_nothing_and_nothing_is_said(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert compiled("lonely", SOURCE) is None
    assert capfd.readouterr() == ("", "")


def test_a_missing_compiler_named_by_the_environment_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert compiled("misled", SOURCE) is None


@needs_compiler
def test_it_can_be_turned_off(monkeypatch, capfd):
    monkeypatch.setenv(TURNED_OFF, "1")
    assert compiled("unwanted", SOURCE) is None
    assert capfd.readouterr() == ("", "")


@needs_compiler
def test_what_was_not_built_before_is_not_built_on_the_way(tmp_path, capfd):
    assert compiled_before("unbuilt", SOURCE) is None
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.rglob("*.so"))


def test_what_was_built_before_can_be_turned_off_as_well(monkeypatch):
    built = object()
    monkeypatch.setattr(_compiler, "_load", lambda *_: built)
    assert compiled_before("known", SOURCE) is built
    monkeypatch.setenv(TURNED_OFF, "1")
    assert compiled_before("known", SOURCE) is None


@needs_compiler
def test_a_cache_that_cannot_be_written_gives_none(tmp_path, monkeypatch, capfd):
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    assert compiled("homeless", SOURCE) is None
    assert capfd.readouterr() == ("", "")


@needs_compiler
def test_another_source_is_another_library(monkeypatch, compiler):
    monkeypatch.setenv("CXX", compiler)
    first, second = (compiled("counting", SOURCE.replace("count = 0", f"count = {start}")) for start in (0, 1000))
    assert None not in (first, second)
    assert second.chunks(1) - first.chunks(1) == 1000


@pytest.mark.parametrize("change", ["source", "torch", "processor", "compiler's content", "compiler's date", "path"])
def test_a_library_is_of_its_source_torch_processor_and_compiler(change, tmp_path, monkeypatch):
    from nlp_lstm.cells.engine import _compiler

    built = []
    monkeypatch.setattr(_compiler, "_build", lambda compiler, name, library, source, path: built.append(library))
    commands = [tmp_path / "one", tmp_path / "two"]
    for command in commands:
        command.write_text("#!/bin/sh\n")
        command.chmod(0o755)
        os.utime(command, ns=(10**18, 10**18))
    monkeypatch.setenv("CXX", str(commands[0]))
    source = SOURCE

    def build():
        assert _compiler._attempt("keyed", source, build=True) is None  # there is nothing to load
        return built[-1]

    before = build()
    assert before.startswith("nlp_lstm_keyed_")
    assert build() == before
    if change == "source":
        source += "\n"
    elif change == "torch":
        monkeypatch.setattr(torch, "__version__", "2.99.0")
    elif change == "processor":
        monkeypatch.setattr(_compiler, "_processor", lambda: "model name: another")
    elif change == "compiler's content":
        commands[0].write_text("#!/bin/sh\n\n")
        os.utime(commands[0], ns=(10**18, 10**18))
    elif change == "compiler's date":
        os.utime(commands[0], ns=(10**18, 2 * 10**18))
    else:
        monkeypatch.setenv("CXX", str(commands[1]))
    assert build() != before


def test_the_home_folder_is_where_the_cache_is_by_default(monkeypatch, tmp_path):
    from nlp_lstm.cells.engine import _compiler

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert _compiler.cache_folder() == tmp_path / ".cache" / "nlp_lstm"


def test_definitions_follow_what_torch_says_of_the_processor(monkeypatch):
    from nlp_lstm.cells.engine import _compiler

    for capability, expected in {"AVX512": "AVX512", "AVX2": "AVX2", "NO AVX": "DEFAULT", "SVE256": "DEFAULT"}.items():
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda capability=capability: capability)
        flags = _compiler._flags("library")
        assert f"-DCPU_CAPABILITY={expected}" in flags
        assert f"-DCPU_CAPABILITY_{expected}" in flags
