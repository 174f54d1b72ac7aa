"""Labelled texts in files and folders: records, lines with a label, a file a label, a folder a label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nlp_lstm.data._files import ABOUT, SPLIT_OF_NAME, entries, listed_by_split, sort_files, words_of
from nlp_lstm.data._label_columns import Example, Layout, read_examples
from nlp_lstm.data._options import LabelledOptions
from nlp_lstm.data._plain import read_characters, read_lines
from nlp_lstm.data._tables import file_table, kind_of, numbered_table
from nlp_lstm.errors import DataError

_FASTTEXT = "__label__"
_UNLABELLED = {"unsup", "unsupervised", "unlabelled", "unlabeled"}

Files = Mapping[str, Sequence[Path]]
Found = dict[str, list[Example]]


def read_files(files: Files, options: LabelledOptions, notes: list[str]) -> Found:
    """Read the files of each split, records or lines that have the label in them.

    The first file of a kind tells the columns of the others.

    Raises:
        DataError: A file has no text, no labels or a fault; the message names the line.
    """
    layouts: dict[str, Layout] = {}
    found: Found = {}
    for split, paths in files.items():
        found[split] = []
        for path in paths:
            kind = kind_of(path)
            if not _has_labels(path) and _first_line(path):
                raise _no_labels(path)
            if kind == ".txt" and not _has_columns(path):
                found[split] += _fasttext_examples(path)
                continue
            if kind not in layouts:
                layouts[kind] = Layout.of_file(path, options)
                notes.append(_told(path, layouts[kind]))
            table = numbered_table(path) if layouts[kind].numbered else file_table(path)
            found[split] += read_examples(table, layouts[kind], options)
        _require_some(found[split], paths)
    return found


def read_folder(folder: Path, options: LabelledOptions, notes: list[str]) -> tuple[Found, str]:
    """Read a folder, and describe it: a folder a label, files that say the split, files that say the label.

    Raises:
        DataError: Nothing in it looks like labelled texts, or a file has a fault; the message names the line.
    """
    name = folder.resolve().name
    folders = [path for path in entries(folder) if path.is_dir()]
    of_split: dict[str, Path] = {}
    for path in folders:
        split = SPLIT_OF_NAME.get(path.name.lower())
        if split in of_split:
            raise DataError(f"{of_split[split]} and {path} are both {split}: remove one, or rename it.")
        if split is not None:
            of_split[split] = path
    if of_split:
        found = {split: _read_part(path, options, notes) for split, path in of_split.items()}
        return found, f"folder {name} ({', '.join(path.name for path in of_split.values())})"
    splits, others = sort_files(folder)
    if splits:
        notes += _left_out(name, "no split is in the name", [path.name for path in others])
        return _read_flat(splits, options, notes), f"folder {name} ({listed_by_split(splits)})"
    return {"train": _read_part(folder, options, notes)}, f"folder {name}"


def _read_part(folder: Path, options: LabelledOptions, notes: list[str]) -> list[Example]:
    """Read a folder that is one split: with a folder a label, or files that say it in their name or in themselves."""
    labels = {path.name: path for path in entries(folder) if path.is_dir()}
    unlabelled = [name for name in labels if name.lower() in _UNLABELLED]
    if labels:
        notes += _left_out(folder.name, "the name says that it has no labels", unlabelled)
        return [
            Example("".join(read_characters(path)).strip(), (label,), str(path))
            for label, inside in labels.items()
            if label not in unlabelled
            for path in entries(inside)
            if path.is_file()
        ]
    files = [path for path in entries(folder) if path.is_file()]
    about = [path for path in files if ABOUT.intersection(words_of(path)) or path.name.startswith("_")]
    files = [path for path in files if path not in about]
    labelled = [path for path in files if _has_labels(path)]
    if not files:
        raise DataError(
            f"The folder {folder} holds no labelled texts. Put in files that say the split (train.csv, test.csv) or "
            "the label (pos.txt, neg.txt), or a folder of texts for each label."
        )
    rest = [path.name for path in [*about, *files] if path not in (labelled or files)]
    notes += _left_out(folder.name, "there are no labels in them", rest)
    return _read_flat({"train": labelled or files}, options, notes)["train"]


def _read_flat(files: Files, options: LabelledOptions, notes: list[str]) -> Found:
    paths = [path for part in files.values() for path in part]
    if any(_has_labels(path) for path in paths):
        return read_files(files, options, notes)
    labels = _labels_in_names(paths)
    found = {
        split: [example for path in part for example in _line_examples(path, labels[path])]
        for split, part in files.items()
    }
    for split, part in files.items():
        _require_some(found[split], part)
    return found


def _labels_in_names(paths: Sequence[Path]) -> dict[Path, str]:
    """Return the label that each name says: its words without the split, the ending and what all names share."""
    said = {path: [word for word in words_of(path) if word not in {*SPLIT_OF_NAME, "txt", "gz"}] for path in paths}
    shared = (
        set.intersection(*(set(words) for words in said.values())) if len(set(map(tuple, said.values()))) > 1 else set()
    )
    labels = {path: "_".join(word for word in words if word not in shared) for path, words in said.items()}
    for path, label in labels.items():
        if not label:
            raise _no_labels(path)
    return labels


def _no_labels(path: Path) -> DataError:
    return DataError(
        f"{path} has no label: neither its lines (label, tab, text; or __label__x text) nor its name (pos.txt and "
        "neg.txt in a folder). Write the label in each line or in the name."
    )


def _line_examples(path: Path, label: str) -> Iterator[Example]:
    for number, line in _written_lines(path):
        yield Example(line, (label,), f"{path}, line {number:,}")


def _fasttext_examples(path: Path) -> Iterator[Example]:
    for number, line in _written_lines(path):
        labels = []
        while line.startswith(_FASTTEXT):
            label, _, line = line.partition(" ")
            labels.append(label.removeprefix(_FASTTEXT))
        yield Example(line.strip(), tuple(label for label in labels if label), f"{path}, line {number:,}")


def _written_lines(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(read_lines(path), 1):
        if not line.isspace():
            yield number, line.strip()


def _has_labels(path: Path) -> bool:
    """Tell whether the labels stand inside a file."""
    return kind_of(path) != ".txt" or _has_columns(path) or _first_line(path).startswith(_FASTTEXT)


def _has_columns(path: Path) -> bool:
    line = _first_line(path)
    return "\t" in line and not line.startswith(_FASTTEXT)


def _first_line(path: Path) -> str:
    return next(_written_lines(path), (0, ""))[1]


def _require_some(examples: Sequence[Example], paths: Sequence[Path]) -> None:
    if not examples:
        raise DataError(f"{' and '.join(map(str, paths))} holds no texts. Give a file with labelled texts in it.")


def _told(path: Path, layout: Layout) -> str:
    without = " has no line that names its columns:" if layout.numbered else ":"
    return (
        f"{path.name}{without} column {layout.text} is taken for the text and column {layout.label} for the label "
        "(--text-field and --label-field name others)"
    )


def _left_out(folder: str, reason: str, names: Sequence[str]) -> list[str]:
    return [f"Left out of {folder}, since {reason}: {', '.join(names)}"] if names else []
