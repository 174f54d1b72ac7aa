"""`--data` with `--stream`: files, folders and hub sets as shards that are read while the model trains."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from nlp_lstm.data._cuts import is_cut
from nlp_lstm.data._estimates import estimate_files, estimate_rows
from nlp_lstm.data._files import all_plain, file_source, left_out, split_files
from nlp_lstm.data._hub import hub_shards
from nlp_lstm.data._named import find_data
from nlp_lstm.data._options import DataOptions, exact
from nlp_lstm.data._plain import cut_pieces, read_characters
from nlp_lstm.data._shards import SAMPLE_CHARACTERS, Shards, StreamedSource, hold_out_first, sample
from nlp_lstm.data._source import TextData, TextSource
from nlp_lstm.data._tables import choose_text_column, file_table, table_source
from nlp_lstm.errors import UsageError

BLOCK_CHARACTERS = 1 << 14


class _Found(NamedTuple):
    name: str
    shards: Shards
    characters: int | None
    identity: str
    others: dict[str, TextSource]
    description: str
    notes: list[str]


def load_streamed(options: DataOptions) -> TextData:
    """Find the text that `options.data` names; of that to train on, the beginnings of some shards alone are read here.

    Where the data does not come split, the first documents are held out. A document is a record, or 16,384 characters
    of plain text at most, which end at a line end where there is one.

    Raises:
        DataError: Nothing is there under this name, or it cannot be read as text, or is too short.
        UsageError: Built-in data is named, which is in memory anyway.
    """
    found = _find(options)
    splits = dict(found.others)
    notes = list(found.notes)
    if found.shards:
        sizes = _held_out_sizes(found, options)
        cut, held_out, said = hold_out_first(found.shards, sizes, found.name)
        splits |= cut
        notes += [f"{found.name} is streamed: {said}"] if said else []
        notes.append(_described(found, options))
        splits["train"] = StreamedSource(
            f"{found.name}, sample of the training part",
            found.shards[0].ends_with_eos,
            lambda: sample(found.shards, held_out),
            found.shards,
            held_out,
            options.shuffle_buffer,
            None if found.characters is None else max(0, found.characters - sum(sizes.values())),
            found.identity,
        )
    return TextData(splits.get("train"), splits.get("valid"), splits.get("test"), found.description, notes)


def _described(found: _Found, options: DataOptions) -> str:
    known = "an unknown number of" if found.characters is None else f"about {found.characters:,}"
    return (
        f"Streamed in buffers of {options.shuffle_buffer:,} characters, which are shuffled: {known} characters in "
        f"{len(found.shards):,} shards; a tokenizer is trained on up to {SAMPLE_CHARACTERS:,} characters of them"
    )


def _held_out_sizes(found: _Found, options: DataOptions) -> dict[str, int]:
    if not is_cut({"train", *found.others}, options):
        return {}
    shares = {"valid": options.valid_fraction}
    if "test" not in found.others:
        shares["test"] = options.test_fraction
    sizes = {}
    for split, share in shares.items():
        limits = [] if found.characters is None else [int(exact(share) * found.characters)]
        limits += [options.held_out_limit] if options.held_out_limit else []
        if not limits:
            raise UsageError(
                f"The length of {options.data} is not known, so no share of it can be held out. Give the most "
                "characters to hold out: --held-out-limit 1000000."
            )
        if share:
            sizes[split] = max(1, min(limits))
    return sizes


def _find(options: DataOptions) -> _Found:
    named = find_data(options.data, "text")
    if named.kind == "built-in":
        raise UsageError(f"--stream is for text past memory, and {options.data} is built in: leave out --stream.")
    if named.kind == "hub":
        return _find_on_hub(options)
    if named.kind == "files":
        return _find_in_files(Path(options.data).name, named.paths, options, {}, named.description, [])
    folder = named.paths[0]
    files, unsorted = split_files(folder)
    train = files.pop("train", [])
    name = folder.resolve().name
    others = {split: file_source(paths, f"{name} ({split})", options.text_field) for split, paths in files.items()}
    description = f"folder {name} ({len(train):,} files to train on)"
    return _find_in_files(name, train, options, others, description, left_out(folder, unsorted))


def _find_in_files(
    name: str,
    paths: Sequence[Path],
    options: DataOptions,
    others: dict[str, TextSource],
    description: str,
    notes: list[str],
) -> _Found:
    if not paths:
        return _Found(name, [], 0, "", others, description, notes)
    if all_plain(paths, name):
        column = ""
        shards = [_plain_shard(path) for path in paths]
    else:
        column = choose_text_column(file_table(paths[0]), options.text_field)
        shards = [_record_shard(path, column) for path in paths]
    identity = json.dumps([path.name for path in paths])
    return _Found(name, shards, estimate_files(paths, column), identity, others, description, notes)


def _plain_shard(path: Path) -> TextSource:
    return TextSource(str(path), False, lambda: cut_pieces(read_characters(path), BLOCK_CHARACTERS))


def _record_shard(path: Path, column: str) -> TextSource:
    # Opened when its turn comes: there may be ten thousand files.
    return TextSource(str(path), True, lambda: iter(table_source([file_table(path)], str(path), column)))


def _find_on_hub(options: DataOptions) -> _Found:
    tables, lengths, notes = hub_shards(options.data)
    columns = {split: choose_text_column(shards[0], options.text_field) for split, shards in tables.items()}
    column = next(iter(columns.values()))
    train = [table_source([shard], shard.name, columns["train"]) for shard in tables.pop("train", [])]
    others = {
        split: table_source(shards, f"{options.data} ({split})", columns[split]) for split, shards in tables.items()
    }
    identity = json.dumps([options.data, len(train)])
    description = f"hub data set {options.data} (column {column}), streamed"
    characters = estimate_rows(train, lengths["train"]) if "train" in lengths else None
    return _Found(Path(options.data).name, train, characters, identity, others, description, notes)
