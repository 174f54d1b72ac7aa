"""The run folder as what a model is saved to and loaded from: JSON, safetensors and the tokenizer's own files."""

from __future__ import annotations

import json
import os
import reprlib
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nlp_lstm.errors import NlpLstmError, RunFolderError
from nlp_lstm.tokenization import Tokenizer, load_tokenizer

FORMAT_VERSION = 1
_LARGEST_JSON = 16 * 2**20
_DEEPEST_JSON = 50


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON under a temporary name, then rename: a crash leaves no half file."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text under a temporary name, then rename."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give the temporary name to write a file under; it is renamed at the end, and where that is not reached removed.

    A training that is killed leaves such a file, and the next one in the folder knows it by its name and removes it.
    An OSError that names no file, as that of a disk which is full, gets the name of this one.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_description(
    folder: Path, task: str, tokenizer: Tokenizer, config: dict[str, Any], model: dict[str, Any]
) -> None:
    """Write all that `nlp_lstm.load` needs but the weights: the tokenizer's files and config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(folder)
    write_json(folder / "config.json", {**config, "format_version": FORMAT_VERSION, "task": task, "model": model})


def read_config(folder: Path) -> dict[str, Any]:
    """Read config.json of a run folder, or raise RunFolderError that says what is wrong with it."""
    if not _is_folder(folder):
        raise RunFolderError(
            f"There is no run folder {str(folder)!r}. Train one: nlp-lstm train char_lm --run {folder}"
        )
    path = folder / "config.json"
    config = read_json(folder, path.name)
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict) or "task" not in config:
        raise RunFolderError(f"{path} does not describe a run: it must hold 'task' and 'model'. Train again.")
    version = config.get("format_version")
    if version != FORMAT_VERSION:
        raise RunFolderError(
            f"{path} has format version {reprlib.repr(version)}; this nlp_lstm reads {FORMAT_VERSION}. "
            f"Use the nlp_lstm that wrote it, or train again."
        )
    return config


def read_json(folder: Path, name: str) -> Any:
    """Read a JSON file of a run folder, of a bounded size and depth.

    Raises RunFolderError where it is missing, no plain file of the folder, too large, too deep or no JSON.
    """
    path = checked_file(folder, name, _LARGEST_JSON)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise RunFolderError(f"{path} is not valid JSON ({error}). Restore the file, or train again.") from None
    if _is_deeper(value, _DEEPEST_JSON):
        raise RunFolderError(f"{path} is nested more than {_DEEPEST_JSON} deep. It is not a run's file.")
    return value


def checked_file(folder: Path, name: str, largest: int | None = None) -> Path:
    """Return the path of a plain file in a run folder; a missing one, a link outside or a huge one is refused."""
    path = folder / name
    try:
        if not path.exists():
            raise RunFolderError(
                f"{folder} is no whole run: {name} is missing. Go on training it (--resume), or train anew."
            )
        inside, status = path.resolve().is_relative_to(folder.resolve()), path.stat()
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {error.strerror}.") from None
    if not inside:
        raise RunFolderError(f"{path} is a link that leads out of the run folder; it is not read. Copy the file there.")
    if not stat.S_ISREG(status.st_mode):
        raise RunFolderError(f"{path} is no plain file. Restore it, or train again.")
    if largest is not None and status.st_size > largest:
        raise RunFolderError(
            f"{path} has {status.st_size:,} bytes; at most {largest:,} are read. It is not a run's file."
        )
    return path


def _is_folder(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except OSError as error:
        raise RunFolderError(f"{folder} cannot be read: {error.strerror}.") from None


def _is_deeper(value: object, most: int) -> bool:
    """Tell whether lists and objects stand in each other more than `most` deep, without going down one by one."""
    level = [value]
    for _ in range(most + 1):
        inner: list[object] = []
        for one in level:
            inner += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        if not inner:
            return False
        level = inner
    return True


def read_tokenizer(folder: Path) -> Tokenizer:
    """Load the tokenizer of a run folder; a fault in its files becomes a RunFolderError."""
    try:
        return load_tokenizer(folder)
    except RunFolderError:
        raise
    except NlpLstmError as error:
        raise RunFolderError(str(error)) from error
