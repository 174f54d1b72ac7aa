"""Locks on folders, which the system takes back when a process ends, however it ends."""

from __future__ import annotations

import os
from pathlib import Path


def lock_folder(folder: Path, wait: bool = False) -> int | None:
    """Lock a folder, which other processes may still read and write; returns the descriptor that `unlock` takes.

    None where the system has no locks on folders. Raises BlockingIOError where another holds it, unless told to `wait`,
    and OSError where the folder cannot be opened.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, OSError) and not isinstance(error, BlockingIOError):
            return None  # a file system without locks, such as some network ones
        raise
    return descriptor


def unlock(descriptor: int | None) -> None:
    """Give a lock back, also where a child of this process has the descriptor too."""
    if descriptor is not None:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)
