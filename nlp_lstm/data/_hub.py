"""Data sets of the Hugging Face hub, by their id."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from nlp_lstm.data._columns import asked_column
from nlp_lstm.data._delimited import Row
from nlp_lstm.data._files import SPLIT_OF_NAME
from nlp_lstm.data._tables import Table
from nlp_lstm.errors import DataError, first_line

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")


def looks_like_hub_id(data: str) -> bool:
    """Tell whether a name has the form `owner/name` or `owner/name:configuration`."""
    return _HUB_ID.fullmatch(data) is not None and not data.startswith(".")


def hub_tables(data: str) -> tuple[dict[str, Table], list[str]]:
    """Return the splits of a hub data set as tables, and notes.

    Only this module imports `datasets`, and only here may the network be used; HF_HUB_OFFLINE forbids it, and then
    what the cache of `datasets` holds is found all the same.

    Raises:
        DataError: The data set is not there, cannot be reached or has none of the three splits.
    """
    splits, notes = _known_splits(data, _download(data))
    return {split: _table(rows, name, _columns(rows, name)) for split, (name, rows) in splits.items()}, notes


def hub_shards(data: str) -> tuple[dict[str, list[Table]], dict[str, int], list[str]]:
    """Return the splits of a hub data set as the shards it is stored in, their numbers of rows where told, and notes.

    Nothing is kept on disk: what is read comes over the network each time, also in every epoch.

    Raises:
        DataError: As of `hub_tables`; and the connection is lost, while a shard is read.
    """
    splits, notes = _known_splits(data, _download(data, streaming=True))
    shards: dict[str, list[Table]] = {}
    lengths: dict[str, int] = {}
    for split, (name, rows) in splits.items():
        columns = _columns(rows, name)
        shards[split] = [
            _told_where(_table(rows, f"{name}, shard {number + 1}", columns, number))
            for number in range(rows.num_shards)
        ]
        told = (rows.info.splits or {}).get(str(rows.split))
        if told is not None and told.num_examples:
            lengths[split] = told.num_examples
    return shards, lengths, notes


def _known_splits(data: str, splits: Mapping[Any, Any]) -> tuple[dict[str, tuple[str, Any]], list[str]]:
    """Sort the splits by what they are for, each with its name for messages; also return a note on the others."""
    known: dict[str, tuple[str, Any]] = {}
    others: list[str] = []
    for name, rows in splits.items():
        split = SPLIT_OF_NAME.get(str(name).lower())
        if split is None or split in known:
            others.append(str(name))
        else:
            known[split] = f"{data} ({name})", rows
    if not known:
        raise DataError(f"The hub data set {data} has no train, valid or test split, only: {', '.join(others)}.")
    return known, [f"Splits of {data} that are left out: {', '.join(others)}"] if others else []


def _columns(rows: Any, name: str) -> tuple[dict[str, bool], dict[str, list[str]]]:
    """Tell which columns hold strings, and the names behind the numbers of others."""
    if rows.features is None:  # streamed, from files that do not say what is in them
        return {field: isinstance(value, str) for field, value in _first_row(rows, name).items()}, {}
    strings = {field: getattr(kind, "dtype", "") in {"string", "large_string"} for field, kind in rows.features.items()}
    label_names = {
        field: list(names)
        for field, kind in rows.features.items()
        if (names := getattr(kind, "names", None) or getattr(getattr(kind, "feature", None), "names", None))
    }
    return strings, label_names


def _first_row(rows: Any, name: str) -> dict[str, Any]:
    try:
        return next(iter(rows), {})
    except Exception as error:  # see `_download`
        raise _failed(name, first_line(error)) from None


def _table(
    rows: Any, name: str, columns: tuple[dict[str, bool], dict[str, list[str]]], shard: int | None = None
) -> Table:
    strings, label_names = columns

    def read(fields: Mapping[str, str]) -> Iterator[Row]:
        wanted = [asked_column(name, strings, field, flag) for field, flag in fields.items()]
        place = 0
        # Here, since to choose a shard takes longer the more there are.
        chosen = rows if shard is None else rows.shard(rows.num_shards, shard)
        for batch in chosen.select_columns(wanted).iter(batch_size=256):
            for values in zip(*(batch[field] for field in wanted), strict=True):
                place += 1
                yield place, values

    return Table(name, "row", strings, read, label_names)


def _told_where(table: Table) -> Table:
    """Return a table that comes over the network, whose faults, however late, say in which row they arose."""

    def read(fields: Mapping[str, str]) -> Iterator[Row]:
        place = 0
        try:
            for place, values in table.rows(fields):
                yield place, values
        except DataError:
            raise
        except Exception as error:  # see `_download`
            raise DataError(
                f"{table.name} cannot be read after row {place:,} ({first_line(error)}). Check the network; a "
                "training goes on from its last checkpoint with --resume."
            ) from None

    return replace(table, rows=read)


def _download(data: str, **how: bool) -> Any:
    import datasets

    name, _, configuration = data.partition(":")
    try:
        return datasets.load_dataset(name, configuration or None, **how)
    except datasets.exceptions.DatasetNotFoundError:
        reason = "the hub has no such data set, or it is not public"
    except ConnectionError as error:
        reason = f"the hub cannot be reached: {first_line(error)}"
    except ValueError as error:
        if "onfig" not in str(error):  # of `Config name is missing` and `BuilderConfig ... not found`
            raise _failed(data, first_line(error)) from None
        raise DataError(
            f"{name} has several configurations; name one as --data {name}:CONFIGURATION. {_whole(error)}"
        ) from None
    except Exception as error:  # what a download can raise is no closed family, and every fault in it is the data's
        reason = first_line(error)
    raise _failed(data, reason)


def _failed(data: str, reason: str) -> DataError:
    return DataError(
        f"{data} is no file or folder here, and loading it from the Hugging Face hub failed ({reason}). Check the "
        "spelling and the network (HF_HUB_OFFLINE forbids it), or give a local file: --data FILE."
    )


def _whole(error: Exception) -> str:
    return " ".join(str(error).split())
