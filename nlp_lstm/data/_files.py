"""Files and folders as text sources."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nlp_lstm.data._plain import cut_pieces, read_characters, unreadable
from nlp_lstm.data._source import SPLITS, TextSource
from nlp_lstm.data._tables import choose_text_column, file_table, kind_of, table_source
from nlp_lstm.errors import DataError

SPLIT_OF_NAME = {
    "train": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
}

# Words in the names of files that speak about the data.
ABOUT = {"readme", "license", "licence", "changelog", "about", "md"}


def file_source(paths: Sequence[Path], name: str, text_field: str | None) -> TextSource:
    """Return one source over the files of a split, in the order given, all plain text or all records.

    Raises:
        DataError: A file cannot be read, has no such column, or the files mix plain text and records. What stands
            further inside the files is checked while they are read.
    """
    if all_plain(paths, name):
        source = _plain_source(paths, name)
    else:
        tables = [file_table(path) for path in paths]
        source = table_source(tables, name, choose_text_column(tables[0], text_field))
    source = _with_some_text(source, paths)
    for piece in source:  # fails now, and not after a long training, where the first file is damaged or all is blank
        if piece and not piece.isspace():
            break
    return source


def all_plain(paths: Sequence[Path], name: str) -> bool:
    """Tell whether the files are plain text, and not records; raise DataError where they are of both sorts."""
    is_plain = [kind_of(path) == ".txt" for path in paths]
    if any(is_plain) and not all(is_plain):
        files = ", ".join(path.name for path in paths)
        raise DataError(f"{name} mixes plain text with files of records: {files}. Keep one sort for a split.")
    return all(is_plain)


def _plain_source(paths: Sequence[Path], name: str) -> TextSource:
    return TextSource(name, False, lambda: cut_pieces(text for path in paths for text in read_characters(path)))


def _with_some_text(source: TextSource, paths: Sequence[Path]) -> TextSource:
    def pieces() -> Iterator[str]:
        seen = there = False
        for piece in source:
            there = there or bool(piece)
            seen = seen or (bool(piece) and not piece.isspace())
            yield piece
        if not seen:
            files = " and ".join(str(path) for path in paths)
            fault = "holds only whitespace" if there else "is empty"
            raise DataError(f"{files} {fault}. Give a file with text in it.")

    return replace(source, pieces=pieces)


def split_files(folder: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """Sort the files of a folder by the split that their names say; also return the names of those that say none.

    Raises:
        DataError: The folder cannot be read, holds no file, no name says a split, a name says two, or a file is there
            both packed and unpacked.
    """
    splits, others = sort_files(folder)
    if not splits:
        raise _no_splits(folder, [path.name for path in others])
    return splits, [path.name for path in others]


def sort_files(folder: Path) -> tuple[dict[str, list[Path]], list[Path]]:
    """Sort the files of a folder by the split that their names say, and list those that say none.

    Raises:
        DataError: The folder cannot be read, a name says two splits, or a file is there both packed and unpacked.
    """
    files = [path for path in entries(folder) if path.is_file()]
    splits: dict[str, list[Path]] = {}
    others: list[Path] = []
    for path in files:
        said = {SPLIT_OF_NAME[word] for word in words_of(path) if word in SPLIT_OF_NAME}
        if len(said) > 1:
            raise DataError(f"The name of {path} says two splits, {' and '.join(sorted(said))}: rename it.")
        if said:
            splits.setdefault(said.pop(), []).append(path)
        else:
            others.append(path)
    _refuse_twins(files)
    return {split: splits[split] for split in SPLITS if split in splits}, others


def entries(folder: Path) -> list[Path]:
    """List what a folder holds, in the order of the names, without what is hidden.

    Raises:
        DataError: The folder cannot be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise unreadable(folder, error) from None


def words_of(path: Path) -> list[str]:
    """Return the words of a file's name in small letters: `wiki.VALID-2.txt` gives wiki, valid, 2 and txt."""
    return re.split(r"[._\-\s]", path.name.lower())


def listed_by_split(files: Mapping[str, Sequence[Path]]) -> str:
    """List the files of each split for a description."""
    return "; ".join(f"{split}: {', '.join(path.name for path in files[split])}" for split in SPLITS if split in files)


def left_out(folder: Path, others: Sequence[str]) -> list[str]:
    """Return the note on the files that say no split, or none."""
    return (
        [f"Left out of {folder.resolve().name}, since no split is in the name: {', '.join(others)}"] if others else []
    )


def _refuse_twins(files: Sequence[Path]) -> None:
    for path in files:
        if path.suffix == ".gz" and path.with_suffix("") in files:
            raise DataError(
                f"{path} is there unpacked as well, so its text would be read twice: remove one of the two."
            )


def _no_splits(folder: Path, others: Sequence[str]) -> DataError:
    if not others:
        return DataError(f"The folder {folder} holds no files. Put text there, for example train.txt, or name another.")
    listed = ", ".join(others[:10]) + (f" and {len(others) - 10} more" if len(others) > 10 else "")
    return DataError(
        f"No file name in {folder} says a split; it holds {listed}. Name them train.txt, valid.txt and test.txt, say, "
        f"or give one file: --data {folder / others[0]}."
    )
