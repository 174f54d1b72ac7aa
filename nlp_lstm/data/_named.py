"""What `--data` names: built-in data, a file, several files, a folder or a hub data set."""

from __future__ import annotations

import contextlib
import difflib
import glob
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nlp_lstm.data._builtin import BUILT_IN, BUILT_IN_LABELLED, BUILT_IN_PAIRS
from nlp_lstm.data._hub import looks_like_hub_id
from nlp_lstm.data._records import RECORD_FORMATS
from nlp_lstm.errors import DataError

_FILE_ENDINGS = {*RECORD_FORMATS, ".txt", ".gz", ".json", ".tokens"}
Content = Literal["text", "labelled texts", "pairs of texts"]
_BUILT_IN_OF: dict[Content, list[str]] = {
    "text": list(BUILT_IN),
    "labelled texts": list(BUILT_IN_LABELLED),
    "pairs of texts": list(BUILT_IN_PAIRS),
}


@dataclass(frozen=True)
class Named:
    """What a name stands for.

    Attributes:
        kind: How it is loaded.
        description: One line for the model card, where the loader adds nothing of its own.
        paths: The folder, the file, or the files that a pattern fits, in the order of their names.
    """

    kind: Literal["built-in", "files", "folder", "hub"]
    description: str = ""
    paths: tuple[Path, ...] = ()


def find_data(data: str, content: Content) -> Named:
    """Tell what `data` names; built-in names come first, then local files and folders, then the hub.

    Raises:
        DataError: Nothing is there under this name, or it is built-in data of another content.
    """
    if _is_built_in(data):
        if data not in _BUILT_IN_OF[content]:
            raise _other_content(data, content)
        return Named("built-in")
    path = _path_of(data)
    if _is_local(path):
        if path.is_dir():
            return Named("folder", paths=(path,))
        _require_files([path])
        return Named("files", f"file {path.name}", (path,))
    if _is_pattern(data):
        # Path.glob takes no absolute pattern.
        found = map(Path, sorted(glob.glob(str(path), recursive=True)))  # noqa: PTH207
        files = [file for file in found if not file.is_dir()]
        if not files:
            raise DataError(
                f"No file fits the pattern {data!r}. Check the folder and the ending, in quotes: --data '{data}'."
            )
        _require_files(files)
        return Named("files", f"{len(files)} files {path.name}", tuple(files))
    if _is_hub_id(data):
        return Named("hub")
    raise _nothing_there(path, _BUILT_IN_OF[content])


def lasting_name(data: str) -> str:
    """Give the name under which the same data is found from any folder: a path becomes an absolute one."""
    path = _path_of(data)
    if _is_built_in(data) or not (_is_local(path) or _is_pattern(data)):
        return data
    return str(path.resolve())


def _path_of(data: str) -> Path:
    if "\0" in data:
        raise DataError(f"--data {data!r} has a NUL character, which no name of a file has. Check where it comes from.")
    try:
        return Path(data).expanduser()
    except RuntimeError:  # ~name
        raise DataError(
            f"--data {data!r} names the home of a user whom there is not here. Write the path out."
        ) from None


def _is_built_in(data: str) -> bool:
    return any(data in names for names in _BUILT_IN_OF.values())


def _is_local(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise DataError(f"{path} cannot be looked at: {error.strerror}. Check the path and its permissions.") from None


def _is_pattern(data: str) -> bool:
    return any(sign in data for sign in "*?[")


def _is_hub_id(data: str) -> bool:
    # `texts/book.txt` has the form of a hub id as well; a folder `texts` here or the ending says that a file is meant.
    path = Path(data)
    return looks_like_hub_id(data) and path.suffix.lower() not in _FILE_ENDINGS and not path.parent.is_dir()


def _require_files(paths: Iterable[Path]) -> None:
    for path in paths:
        if not path.is_file():
            raise DataError(
                f"{path} is a pipe or a device, but the text is read more than once: save it to a file first."
            )


def _other_content(data: str, content: Content) -> DataError:
    found = next(other for other, names in _BUILT_IN_OF.items() if data in names)
    return DataError(
        f"The built-in data {data!r} is {found}, and {content} are needed here. Built-in with that: "
        f"{', '.join(_BUILT_IN_OF[content])}. If a file or folder of this name is meant, write ./{data}."
    )


def _nothing_there(path: Path, built_in: Iterable[str]) -> DataError:
    names = {name: name for name in built_in}
    with contextlib.suppress(OSError):  # without the folder there is only less to suggest
        names |= {other.name: str(other) for other in path.parent.iterdir()}
    close = difflib.get_close_matches(path.name, names, n=1)
    hint = f" Did you mean {names[close[0]]!r}?" if close else ""
    return DataError(
        f"There is no file or folder {str(path)!r}.{hint} --data takes a file, a folder, a hub id (owner/name) or a "
        f"built-in name: {', '.join(built_in)}."
    )
