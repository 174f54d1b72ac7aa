"""Data sets of the Hugging Face hub, by their id."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from nlp_lstm.data._columns import asked_column
from nlp_lstm.data._delimited import Row
from nlp_lstm.data._files import SPLIT_OF_NAME
from nlp_lstm.data._tables import Table
from nlp_lstm.errors import DataError

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")


def looks_like_hub_id(data: str) -> bool:
    """Tell whether a name has the form `owner/name` or `owner/name:configuration`."""
    return _HUB_ID.fullmatch(data) is not None and not data.startswith(".")


def hub_tables(data: str) -> tuple[dict[str, Table], list[str]]:
    """Return the splits of a hub data set as tables, and notes.

    Only this function imports `datasets`, and only here may the network be used; HF_HUB_OFFLINE forbids it, and then
    what the cache of `datasets` holds is found all the same.

    Raises:
        DataError: The data set is not there, cannot be reached or has none of the three splits.
    """
    splits = _download(data)
    tables: dict[str, Table] = {}
    others: list[str] = []
    for name, rows in splits.items():
        split = SPLIT_OF_NAME.get(str(name).lower())
        if split is None or split in tables:
            others.append(str(name))
        else:
            tables[split] = _table(rows, f"{data} ({name})")
    if not tables:
        raise DataError(f"The hub data set {data} has no train, valid or test split, only: {', '.join(others)}.")
    notes = [f"Splits of {data} that are left out: {', '.join(others)}"] if others else []
    return tables, notes


def _table(rows: Any, name: str) -> Table:
    features = rows.features
    strings = {field: getattr(kind, "dtype", "") in {"string", "large_string"} for field, kind in features.items()}
    label_names = {
        field: list(names)
        for field, kind in features.items()
        if (names := getattr(kind, "names", None) or getattr(getattr(kind, "feature", None), "names", None))
    }

    def read(fields: Mapping[str, str]) -> Iterator[Row]:
        wanted = [asked_column(name, strings, field, flag) for field, flag in fields.items()]
        place = 0
        for batch in rows.select_columns(wanted).iter(batch_size=256):
            for values in zip(*(batch[field] for field in wanted), strict=True):
                place += 1
                yield place, values

    return Table(name, "row", strings, read, label_names)


def _download(data: str) -> Any:
    import datasets

    name, _, configuration = data.partition(":")
    try:
        return datasets.load_dataset(name, configuration or None)
    except datasets.exceptions.DatasetNotFoundError:
        reason = "the hub has no such data set, or it is not public"
    except ConnectionError as error:
        reason = f"the hub cannot be reached: {_first_line(error)}"
    except ValueError as error:
        if "onfig" not in str(error):  # of `Config name is missing` and `BuilderConfig ... not found`
            raise _failed(data, _first_line(error)) from None
        raise DataError(
            f"{name} has several configurations; name one as --data {name}:CONFIGURATION. {_whole(error)}"
        ) from None
    except Exception as error:  # what a download can raise is no closed family, and every fault in it is the data's
        reason = _first_line(error)
    raise _failed(data, reason)


def _failed(data: str, reason: str) -> DataError:
    return DataError(
        f"{data} is no file or folder here, and loading it from the Hugging Face hub failed ({reason}). Check the "
        "spelling and the network (HF_HUB_OFFLINE forbids it), or give a local file: --data FILE."
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _whole(error: Exception) -> str:
    return " ".join(str(error).split())
