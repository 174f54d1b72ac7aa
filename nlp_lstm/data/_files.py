"""Files and folders as text sources."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from nlp_lstm.data._plain import cut_pieces, read_characters, unreadable
from nlp_lstm.data._records import RECORD_FORMATS, choose_column, read_texts
from nlp_lstm.data._source import TextSource
from nlp_lstm.errors import DataError

SPLIT_OF_NAME = {
    "train": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
}


def kind_of(path: Path) -> str:
    """Return the ending that says how a file is read, without `.gz`; an unknown ending is plain text, ".txt".

    Raises:
        DataError: A parquet file is packed again with gzip.
    """
    packed = path.suffix.lower() == ".gz"
    ending = Path(path.stem).suffix.lower() if packed else path.suffix.lower()
    if packed and ending == ".parquet":
        raise DataError(f"{path}: a parquet file is compressed inside already; unpack it with `gunzip` and give that.")
    return ending if ending in RECORD_FORMATS else ".txt"


def file_source(paths: Sequence[Path], name: str, text_field: str | None) -> TextSource:
    """Return one source over the files of a split, in the order given, all plain text or all records.

    Raises:
        DataError: A file cannot be read, has no such column, or the files mix plain text and records. What stands
            further inside the files is checked while they are read.
    """
    kinds = [kind_of(path) for path in paths]
    is_plain = [kind == ".txt" for kind in kinds]
    if any(is_plain) and not all(is_plain):
        files = ", ".join(path.name for path in paths)
        raise DataError(f"{name} mixes plain text with files of records: {files}. Keep one sort for a split.")
    if all(is_plain):
        source = _plain_source(paths, name)
    else:
        columns = RECORD_FORMATS[kinds[0]].columns(paths[0])
        if not columns:
            raise DataError(f"{paths[0]} is empty: it holds no records. Give a file with text in it.")
        source = _record_source(paths, kinds, name, choose_column(str(paths[0]), columns, text_field))
    for piece in source:  # fails now, and not after a long training, where the first file is damaged or all is blank
        if piece and not piece.isspace():
            break
    return source


def _plain_source(paths: Sequence[Path], name: str) -> TextSource:
    def pieces() -> Iterator[str]:
        return _some_text(cut_pieces(text for path in paths for text in read_characters(path)), paths)

    return TextSource(name, False, pieces)


def _record_source(paths: Sequence[Path], kinds: Sequence[str], name: str, column: str) -> TextSource:
    def pieces() -> Iterator[str]:
        files = zip(paths, kinds, strict=True)
        return _some_text((text for path, kind in files for text in read_texts(path, kind, column)), paths)

    return TextSource(name, True, pieces)


def _some_text(pieces: Iterator[str], paths: Sequence[Path]) -> Iterator[str]:
    seen = there = False
    for piece in pieces:
        there = there or bool(piece)
        seen = seen or (bool(piece) and not piece.isspace())
        yield piece
    if not seen:
        files = " and ".join(str(path) for path in paths)
        fault = "holds only whitespace" if there else "is empty"
        raise DataError(f"{files} {fault}. Give a file with text in it.")


def split_files(folder: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """Sort the files of a folder by the split that their names say; also return the names of those that say none.

    Raises:
        DataError: The folder cannot be read, holds no file, no name says a split, a name says two, or a file is there
            both packed and unpacked.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise unreadable(folder, error) from None
    splits: dict[str, list[Path]] = {}
    others: list[str] = []
    for path in files:
        said = {SPLIT_OF_NAME[word] for word in re.split(r"[._\-\s]", path.name.lower()) if word in SPLIT_OF_NAME}
        if len(said) > 1:
            raise DataError(f"The name of {path} says two splits, {' and '.join(sorted(said))}: rename it.")
        if said:
            splits.setdefault(said.pop(), []).append(path)
        else:
            others.append(path.name)
    _refuse_twins(files)
    if not splits:
        raise _no_splits(folder, others)
    return splits, others


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
