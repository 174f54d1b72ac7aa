"""Token ids on disk: one folder an entry, whose files are made under another name and renamed when whole."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nlp_lstm.data._folder_lock import lock_folder, unlock
from nlp_lstm.errors import DataError

FORMAT_VERSION = 1
_WORK = ".making-"
_ABANDONED = 24 * 3600  # seconds since a process wrote to its folder, after which it is dead where no lock tells
Ids = npt.NDArray[np.integer[Any]]


def default_folder() -> Path:
    """Return the folder of the token cache, beside that of the hub: HF_HOME and XDG_CACHE_HOME move both."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{cache}/huggingface"
    return Path(home).expanduser() / "nlp_lstm" / "tokens"


class TokenCache:
    """One entry of the cache, `ids.bin` and `meta.json`, which need not be there yet.

    Args:
        folder: Holds all entries; None for the default.
        content: What the ids follow from: text and tokenizer.
        dtype: Of the ids.
    """

    def __init__(self, folder: Path | None, content: str, dtype: np.dtype[Any]) -> None:
        self.root = default_folder() if folder is None else folder
        self.dtype = dtype
        self.key = hashlib.sha256(f"{FORMAT_VERSION} {dtype.str} {content}".encode()).hexdigest()
        self.entry = self.root / self.key

    def find(self) -> tuple[Ids, int] | None:
        """Return the ids, memory-mapped read-only, and how many are unknown; None where the entry is not whole."""
        try:
            meta = json.loads((self.entry / "meta.json").read_text(encoding="utf-8"))
            tokens, unknown = int(meta["tokens"]), int(meta["unknown"])
            path = self.entry / "ids.bin"
            if path.stat().st_size != tokens * self.dtype.itemsize:
                return None
            return np.memmap(path, self.dtype, mode="r", shape=(tokens,)), unknown
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None

    def write(self, arrays: Iterable[Ids], unk_id: int) -> tuple[Ids, int]:
        """Make the entry and return it as `find` does. Two processes may do so at once: one's work is kept.

        Raises:
            DataError: The folder cannot be written.
        """
        with self._naming_the_folder():
            self.root.mkdir(parents=True, exist_ok=True)
            work, lock = self._work_folder()
        try:
            tokens, unknown = self._write_ids(work / "ids.bin", arrays, unk_id)
            with self._naming_the_folder():
                meta = {
                    "format_version": FORMAT_VERSION,
                    "tokens": tokens,
                    "unknown": unknown,
                    "dtype": self.dtype.name,
                }
                (work / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
                self._put_in_place(work)
        finally:
            shutil.rmtree(work, ignore_errors=True)
            unlock(lock)
        found = self.find()
        if found is None:
            raise DataError(f"The token cache {self.entry} was taken away while it was made. Run again.")
        return found

    def _work_folder(self) -> tuple[Path, int | None]:
        """Make a folder to write to and lock it, when what killed processes left is removed."""
        whole = lock_folder(self.root, wait=True)  # or another process could sweep a folder before it is locked
        try:
            self._sweep()
            work = Path(tempfile.mkdtemp(prefix=_WORK, dir=self.root))
            return work, lock_folder(work)
        finally:
            unlock(whole)

    def _sweep(self) -> None:
        for work in self.root.glob(f"{_WORK}*"):
            with contextlib.suppress(OSError):  # also where a living process holds the lock, or another one sweeps
                lock = lock_folder(work)
                try:
                    written = max(path.stat().st_mtime for path in (work, *work.iterdir()))
                    if lock is not None or time.time() - written > _ABANDONED:
                        shutil.rmtree(work, ignore_errors=True)
                finally:
                    unlock(lock)

    def _write_ids(self, path: Path, arrays: Iterable[Ids], unk_id: int) -> tuple[int, int]:
        tokens = unknown = 0
        with self._naming_the_folder():
            file = path.open("wb")
        with file:
            for ids in arrays:
                with self._naming_the_folder():
                    file.write(ids.data)
                    file.flush()
                tokens += len(ids)
                unknown += int(np.count_nonzero(ids == unk_id))
        return tokens, unknown

    def _put_in_place(self, work: Path) -> None:
        # Each file is whole when it gets its name, and the key decides the content of both: an entry that is damaged,
        # half there or being made by another process as well needs no lock. Without the last file nothing counts.
        self.entry.mkdir(exist_ok=True)
        for name in ("ids.bin", "meta.json"):
            (work / name).replace(self.entry / name)

    @contextlib.contextmanager
    def _naming_the_folder(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(
                f"The token cache {self.root} cannot be written: {error.strerror or error}. Make room there or set "
                "HF_HOME to a folder that you may write to."
            ) from None
