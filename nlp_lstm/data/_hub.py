"""Data sets of the Hugging Face hub, by their id."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from nlp_lstm.data._files import SPLIT_OF_NAME
from nlp_lstm.data._records import choose_column
from nlp_lstm.data._source import TextSource
from nlp_lstm.errors import DataError

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")


def looks_like_hub_id(data: str) -> bool:
    """Tell whether a name has the form `owner/name` or `owner/name:configuration`."""
    return _HUB_ID.fullmatch(data) is not None and not data.startswith(".")


def load_hub(data: str, text_field: str | None) -> tuple[dict[str, TextSource], str, list[str]]:
    """Return the splits of a hub data set, a line that describes it, and notes.

    Only this function imports `datasets`, and only here may the network be used; HF_HUB_OFFLINE forbids it, and then
    what the cache of `datasets` holds is found all the same.

    Raises:
        DataError: The data set is not there, cannot be reached or is not made of text.
    """
    splits = _download(data)
    sources: dict[str, TextSource] = {}
    others: list[str] = []
    column = ""
    for name, rows in splits.items():
        split = SPLIT_OF_NAME.get(str(name).lower())
        if split is None or split in sources:
            others.append(str(name))
            continue
        strings = {
            field: getattr(kind, "dtype", "") in {"string", "large_string"} for field, kind in rows.features.items()
        }
        column = choose_column(f"{data} ({name})", strings, text_field)
        sources[split] = TextSource(f"{data} ({name})", True, _column_reader(rows, column, f"{data} ({name})"))
    if not sources:
        raise DataError(f"The hub data set {data} has no train, valid or test split, only: {', '.join(others)}.")
    notes = [f"Splits of {data} that are left out: {', '.join(others)}"] if others else []
    return sources, f"hub data set {data} (column {column})", notes


def _column_reader(rows: Any, column: str, name: str) -> Any:
    def pieces() -> Iterator[str]:
        place = 0
        for batch in rows.select_columns([column]).iter(batch_size=256):
            for text in batch[column]:
                place += 1
                if not isinstance(text, str):
                    raise DataError(
                        f"{name}, row {place:,}: column {column!r} holds no text. Name another with --text-field."
                    )
                yield text

    return pieces


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
