"""`--data`: from what the user named to the splits of a text."""

from __future__ import annotations

import contextlib
import difflib
from pathlib import Path

from nlp_lstm.data._builtin import BUILT_IN
from nlp_lstm.data._cuts import fill_splits
from nlp_lstm.data._files import file_source, split_files
from nlp_lstm.data._hub import load_hub, looks_like_hub_id
from nlp_lstm.data._options import DataOptions
from nlp_lstm.data._records import RECORD_FORMATS
from nlp_lstm.data._source import SPLITS, TextData, TextSource
from nlp_lstm.errors import DataError

_FILE_ENDINGS = {*RECORD_FORMATS, ".txt", ".gz", ".json", ".tokens"}


def load_text(options: DataOptions) -> TextData:
    """Find the text that `options.data` names and split it; the text itself is read later, piece by piece.

    A built-in name goes before a local file or folder (write `./pydoc` for a file of that name), and that before the
    hub. Data without splits is cut by position, in characters for plain text and in records otherwise: the first
    floor((1 - valid - test) * n) are for training, then come validation and test.

    Raises:
        DataError: Nothing is there under this name, or it cannot be read as text; the message names the file, the
            place in it and the cure.
    """
    sources, description, notes = _find(options)
    splits, cut_notes = fill_splits(sources, options)
    train, valid, test = (splits.get(name) for name in SPLITS)
    return TextData(train, valid, test, description, notes + cut_notes)


def lasting_name(data: str) -> str:
    """Give the name under which `load_text` finds the same data from any folder: a path becomes an absolute one."""
    path = Path(data).expanduser()
    return data if data in BUILT_IN or not _is_local(path) else str(path.resolve())


def _find(options: DataOptions) -> tuple[dict[str, TextSource], str, list[str]]:
    data = options.data
    if data in BUILT_IN:
        source, description = BUILT_IN[data]()
        return {"train": source}, description, []
    path = Path(data).expanduser()
    if _is_local(path):
        return _load_folder(path, options) if path.is_dir() else _load_file(path, options)
    if _is_hub_id(data):
        return load_hub(data, options.text_field)
    raise _nothing_there(path)


def _is_local(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise DataError(f"{path} cannot be looked at: {error.strerror}. Check the path and its permissions.") from None


def _is_hub_id(data: str) -> bool:
    # `texts/book.txt` has the form of a hub id as well; a folder `texts` here or the ending says that a file is meant.
    path = Path(data)
    return looks_like_hub_id(data) and path.suffix.lower() not in _FILE_ENDINGS and not path.parent.is_dir()


def _load_file(path: Path, options: DataOptions) -> tuple[dict[str, TextSource], str, list[str]]:
    if not path.is_file():
        raise DataError(f"{path} is a pipe or a device, but the text is read more than once: save it to a file first.")
    return {"train": file_source([path], path.name, options.text_field)}, f"file {path.name}", []


def _load_folder(folder: Path, options: DataOptions) -> tuple[dict[str, TextSource], str, list[str]]:
    files, others = split_files(folder)
    name = folder.resolve().name
    sources = {split: file_source(paths, f"{name} ({split})", options.text_field) for split, paths in files.items()}
    there = "; ".join(f"{split}: {', '.join(path.name for path in files[split])}" for split in SPLITS if split in files)
    notes = [f"Left out of {name}, since no split is in the name: {', '.join(others)}"] if others else []
    return sources, f"folder {name} ({there})", notes


def _nothing_there(path: Path) -> DataError:
    names = {name: name for name in BUILT_IN}
    with contextlib.suppress(OSError):  # without the folder there is only less to suggest
        names |= {other.name: str(other) for other in path.parent.iterdir()}
    close = difflib.get_close_matches(path.name, names, n=1)
    hint = f" Did you mean {names[close[0]]!r}?" if close else ""
    return DataError(
        f"There is no file or folder {str(path)!r}.{hint} --data takes a file, a folder, a hub id (owner/name) or a "
        f"built-in name: {', '.join(BUILT_IN)}."
    )
