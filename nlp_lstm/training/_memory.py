"""What a process does with memory that it no longer uses."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
_LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Keep freed memory for later use, rather than hand it back to the system; for the rest of the process.

    A training step frees large tensors that the next one needs again. Each time the system would take their memory and
    give it back cleared, page by page, which costs as much as several passes over it. The peak stays what it is. Only
    glibc can be told so; elsewhere nothing happens.
    """
    if sys.platform.startswith("linux"):
        tune = getattr(ctypes.CDLL(None), "mallopt", None)
        if tune is not None:
            tune(_MMAP_THRESHOLD, _LARGEST)
            tune(_TRIM_THRESHOLD, _LARGEST)
