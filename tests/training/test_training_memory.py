"""Freed memory that a process keeps."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, resource, sys
from nlp_lstm.training import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes, c.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
def faults():
    place = c.malloc(200_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    ctypes.memset(place, 1, 200_000_000)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    c.free(place)
    return after - before
faults()
print(faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="tells glibc")
def test_memory_that_was_freed_is_used_again_without_the_system():
    def faults(how):
        return int(subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, check=True).stdout)

    assert faults("leave") > 90  # pages of 4 KiB, or of 2 MiB
    assert faults("keep") < 10
