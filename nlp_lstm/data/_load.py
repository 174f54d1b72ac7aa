"""`--data`: from what the user named to the splits of a text."""

from __future__ import annotations

from pathlib import Path

from nlp_lstm.data._builtin import BUILT_IN
from nlp_lstm.data._cuts import fill_splits
from nlp_lstm.data._files import file_source, left_out, listed_by_split, split_files
from nlp_lstm.data._hub import hub_tables
from nlp_lstm.data._named import find_data
from nlp_lstm.data._options import DataOptions
from nlp_lstm.data._source import SPLITS, TextData, TextSource
from nlp_lstm.data._streamed_files import load_streamed
from nlp_lstm.data._tables import choose_text_column, table_source


def load_text(options: DataOptions) -> TextData:
    """Find the text that `options.data` names and split it; the text itself is read later, piece by piece.

    A built-in name goes before a local file or folder (write `./pydoc` for a file of that name), and that before the
    hub. The files of a pattern are one text, in the order of their names. Data without splits is cut by position, in
    characters for plain text and in records otherwise: the first floor((1 - valid - test) * n) are for training, then
    come validation and test. With `options.stream` the training split is a `StreamedSource`.

    Raises:
        DataError: Nothing is there under this name, or it cannot be read as text; the message names the file, the
            place in it and the cure.
    """
    if options.stream:
        return load_streamed(options)
    sources, description, notes = _find(options)
    splits, cut_notes = fill_splits(sources, options)
    train, valid, test = (splits.get(name) for name in SPLITS)
    return TextData(train, valid, test, description, notes + cut_notes)


def _find(options: DataOptions) -> tuple[dict[str, TextSource], str, list[str]]:
    named = find_data(options.data, "text")
    if named.kind == "built-in":
        source, description = BUILT_IN[options.data]()
        return {"train": source}, description, []
    if named.kind == "hub":
        return _load_hub(options)
    if named.kind == "folder":
        return _load_folder(named.paths[0], options)
    return {"train": file_source(named.paths, Path(options.data).name, options.text_field)}, named.description, []


def _load_hub(options: DataOptions) -> tuple[dict[str, TextSource], str, list[str]]:
    tables, notes = hub_tables(options.data)
    sources = {}
    column = ""
    for split, table in tables.items():
        column = choose_text_column(table, options.text_field)
        sources[split] = table_source([table], table.name, column)
    return sources, f"hub data set {options.data} (column {column})", notes


def _load_folder(folder: Path, options: DataOptions) -> tuple[dict[str, TextSource], str, list[str]]:
    files, others = split_files(folder)
    name = folder.resolve().name
    sources = {split: file_source(paths, f"{name} ({split})", options.text_field) for split, paths in files.items()}
    return sources, f"folder {name} ({listed_by_split(files)})", left_out(folder, others)
