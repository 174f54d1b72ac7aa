"""Reading and writing the files of a tokenizer: nothing half-written, nothing read from outside the folder."""

from __future__ import annotations

import json
import os
import reprlib
from pathlib import Path
from typing import Any

from nlp_lstm.errors import RunFolderError, printable

CONFIG_NAME = "tokenizer_config.json"
LIBRARY_JSON = "tokenizer.json"
SENTENCEPIECE_MODEL = "tokenizer.model"
FORMAT_VERSION = 1
MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_JSON_VALUES = 5_000_000  # a value of two bytes takes fifty times that when it is read


def write_atomically(folder: Path, name: str, content: bytes) -> None:
    """Write a file under a temporary name and rename it, so that a crash leaves the old file or the new one.

    Raises RunFolderError where the folder cannot be written.
    """
    temporary = folder / f".{name}.{os.getpid()}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, folder / name)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as fault:
        raise RunFolderError(f"{folder / name} cannot be written: {fault.strerror}. Choose another --run.") from fault


def read_bytes(folder: Path, name: str) -> bytes:
    """Return the file's content; raises RunFolderError where it is missing, too big or a link out of the folder."""
    path = folder / name
    try:
        if not path.is_file():
            raise RunFolderError(f"{path} is missing: {folder} does not hold a whole tokenizer. Train or copy it anew.")
        if not path.resolve().is_relative_to(folder.resolve()):
            raise RunFolderError(f"{path} is a link to a place outside the folder. Put the file itself there.")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise RunFolderError(f"{path} is larger than {MAX_FILE_BYTES:,} bytes: no tokenizer of nlp_lstm is so big.")
        with path.open("rb") as file:
            return file.read()
    except OSError as fault:
        raise RunFolderError(f"{path} cannot be read: {fault.strerror}.") from fault


def read_json(folder: Path, name: str) -> tuple[dict[str, Any], str]:
    """Return the JSON object in the file, and its text.

    Raises RunFolderError as `read_bytes` does, and where the file is not JSON, holds no object or too many values.
    """
    content = read_bytes(folder, name)
    if sum(map(content.count, (b",", b"[", b"{"))) > MAX_JSON_VALUES:
        raise RunFolderError(f"{folder / name} holds more than {MAX_JSON_VALUES:,} values: no tokenizer has so many.")
    try:
        text = content.decode("utf-8")
        value = json.loads(text)
    except (ValueError, RecursionError) as fault:
        reason = str(fault).removesuffix(".")
        raise RunFolderError(f"{folder / name} is damaged: it is not JSON ({reason}). Copy it anew.") from None
    if not isinstance(value, dict):
        raise RunFolderError(f"{folder / name} is damaged: it holds a JSON {type(value).__name__}, not an object.")
    return value, text


def read_config(folder: Path, tokenizer: str | None = None) -> dict[str, Any]:
    """Return `tokenizer_config.json`.

    Raises RunFolderError where this version does not read its format version, or it is of another `tokenizer`.
    """
    config, _ = read_json(folder, CONFIG_NAME)
    if config.get("format_version") != FORMAT_VERSION:
        raise RunFolderError(
            f"{folder / CONFIG_NAME} has format_version {reprlib.repr(config.get('format_version'))}; this version "
            f"of nlp_lstm reads {FORMAT_VERSION}. Load it with the version that wrote it."
        )
    if tokenizer not in (None, config.get("tokenizer")):
        raise RunFolderError(
            f"{folder / CONFIG_NAME} is of the tokenizer {reprlib.repr(config.get('tokenizer'))}, not {tokenizer!r}."
        )
    return config


def one_line(fault: BaseException) -> str:
    """Return what a library says of a file, whose bytes it may quote: short, and without control characters."""
    return printable(str(fault).strip(), 300)


def read_flag(folder: Path, config: dict[str, Any], name: str) -> bool:
    """Return the true-or-false option of `tokenizer_config.json`; raises RunFolderError where it is anything else."""
    value = config.get(name)
    if not isinstance(value, bool):
        raise RunFolderError(f"{folder / CONFIG_NAME}: {name!r} is {reprlib.repr(value)}, and must be true or false.")
    return value
