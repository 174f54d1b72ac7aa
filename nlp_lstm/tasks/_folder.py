"""The run folder as what a model is saved to and loaded from: JSON, safetensors and the tokenizer's own files."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from nlp_lstm.errors import NlpLstmError, RunFolderError
from nlp_lstm.tokenization import Tokenizer, load_tokenizer

FORMAT_VERSION = 1
MOST_LAYERS = 1000
"""More than any run has; a hostile config.json may name more, and building them would take for ever."""
_LARGEST_JSON = 16 * 2**20
Model = TypeVar("Model", bound=nn.Module)


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON under a temporary name, then rename: a crash leaves no half file."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text under a temporary name, then rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_weights(path: Path, model: nn.Module) -> None:
    """Write a model's parameters as safetensors, a shared one once, under a temporary name, then rename."""
    tensors = {name: parameter.detach().cpu().contiguous() for name, parameter in model.named_parameters()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file(tensors, temporary)
        temporary.replace(path)
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
    if not folder.is_dir():
        raise RunFolderError(
            f"There is no run folder {str(folder)!r}. Train one: nlp-lstm train char_lm --run {folder}"
        )
    path = checked_file(folder, "config.json", _LARGEST_JSON)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise RunFolderError(f"{path} is not valid JSON ({error}). Restore the file, or train again.") from None
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict) or "task" not in config:
        raise RunFolderError(f"{path} does not describe a run: it must hold 'task' and 'model'. Train again.")
    version = config.get("format_version")
    if version != FORMAT_VERSION:
        raise RunFolderError(
            f"{path} has format version {version!r}; this nlp_lstm reads {FORMAT_VERSION}. "
            f"Use the nlp_lstm that wrote it, or train again."
        )
    return config


def checked_file(folder: Path, name: str, largest: int | None = None) -> Path:
    """Return the path of a plain file in a run folder; a missing one, a link outside or a huge one is refused."""
    path = folder / name
    if not path.exists():
        raise RunFolderError(
            f"{folder} is no whole run: {name} is missing. Go on training it (--resume), or train anew."
        )
    if not path.resolve().is_relative_to(folder.resolve()):
        raise RunFolderError(f"{path} is a link that leads out of the run folder; it is not read. Copy the file there.")
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise RunFolderError(f"{path} is no plain file. Restore it, or train again.")
    if largest is not None and status.st_size > largest:
        raise RunFolderError(
            f"{path} has {status.st_size:,} bytes; at most {largest:,} are read. It is not a run's file."
        )
    return path


def compare_weights(folder: Path, model: nn.Module) -> None:
    """Hold the header of model.safetensors against a model, or raise RunFolderError that names what does not fit.

    The model may be on the meta device: nothing is allocated, so that a hostile folder cannot ask for memory.
    """
    path = checked_file(folder, "model.safetensors")
    with path.open("rb") as file:
        start = file.read(2)
    if start[:1] == b"\x80" or start == b"PK":
        raise RunFolderError(f"{path} is a pickle, which can run code when loaded; it is refused. Train again.")
    with _opened(path) as file:
        found = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    _compare(path, found, dict(model.named_parameters()))


def read_model(folder: Path, model: Model) -> Model:
    """Give a model that is on the meta device its memory on the CPU and the weights of a run folder.

    `tie`, where the model has it, makes shared parameters one again.
    """
    compare_weights(folder, model)
    model = model.to_empty(device="cpu")
    tie = getattr(model, "tie", None)
    if tie is not None:
        tie()
    _read_weights(folder, model)
    return model


def _read_weights(folder: Path, model: nn.Module) -> None:
    with _opened(folder / "model.safetensors") as file, torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(file.get_tensor(name))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, ValueError) as error:
        raise RunFolderError(f"{path} is damaged or cut short ({error}). Restore it, or train again.") from None


def _compare(path: Path, found: dict[str, list[int]], parameters: dict[str, nn.Parameter]) -> None:
    expected = {name: list(parameter.shape) for name, parameter in parameters.items()}
    if found == expected:
        return
    wrong = [
        f"{name} is {found.get(name, 'missing')}, not {expected.get(name, 'expected')}"
        for name in sorted(found.keys() | expected.keys())
        if found.get(name) != expected.get(name)
    ]
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    raise RunFolderError(f"{path} does not fit config.json: {'; '.join(wrong[:3])}{more}. They come from two runs.")


def read_tokenizer(folder: Path) -> Tokenizer:
    """Load the tokenizer of a run folder; a fault in its files becomes a RunFolderError."""
    try:
        return load_tokenizer(folder)
    except RunFolderError:
        raise
    except NlpLstmError as error:
        raise RunFolderError(str(error)) from error
