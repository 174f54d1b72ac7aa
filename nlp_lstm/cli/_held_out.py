"""The options by which `evaluate` and `compare` name the data to score on, and what they mean for each task."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import jsonargparse

from nlp_lstm.cli._terminal import note
from nlp_lstm.errors import UsageError

_ALL = {"valid_fraction", "test_fraction"}
_OF_KIND = {
    "language_modeling": {"text_field"},
    "classification": {"text_field", "label_field", "label_separator"},
    "translation": {"source", "target"},
}
_FLAGS = sorted(_ALL.union(*_OF_KIND.values()))


def add_data_options(parser: jsonargparse.ArgumentParser) -> None:
    """Add `--data` and what describes it."""
    parser.add_argument(
        "--data", type=str, metavar="D", help="other data: a file (all of it), a folder, a built-in name or a hub id"
    )
    parser.add_argument("--split", type=str, default="test", help="train, valid or test (default: test)")
    for flag, help_text in (
        ("--text-field", "column of --data that holds the text"),
        ("--label-field", "column of --data that holds the label of a classifier"),
        ("--label-separator", "what stands between several labels in one field"),
        ("--source", "language or column of --data to translate from (default: that of the run)"),
        ("--target", "language or column of --data to translate to (default: that of the run)"),
    ):
        parser.add_argument(flag, type=str, metavar=flag[2:].partition("-")[0][0].upper(), help=help_text)
    parser.add_argument("--valid-fraction", type=float, metavar="X", help="share of a single --data file that is valid")
    parser.add_argument("--test-fraction", type=float, metavar="X", help="share of a single --data file that is test")


def data_flags_given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that describe `--data` and were given; raises UsageError where `--data` is not."""
    given = {name: options[name] for name in _FLAGS if options[name] is not None}
    if given and options["data"] is None:
        describes = "describe" if len(given) > 1 else "describes"
        raise UsageError(f"{_flags(given)} {describes} --data, which is not given. Add --data FILE, or leave it out.")
    return given


def data_options(options: dict[str, Any], task: Any) -> Any:
    """Return what the flags describe, as the options of the task's kind of data, or None for the run's own data.

    A language or column that is not named is that of the run's own data. Raises UsageError for a flag that says
    nothing about this kind of data.
    """
    given = data_flags_given(options)
    if options["data"] is None:
        return None
    strange = given.keys() - _ALL - _OF_KIND[task.kind]
    if strange:
        kind = task.kind.replace("_", " ")
        allowed = _flags(_OF_KIND[task.kind])
        raise UsageError(f"{_flags(strange)} says nothing about data for {kind}. Leave it out; there is {allowed}.")
    if task.kind == "translation":
        own = task.config.get("data") or {}
        given = {name: own[name] for name in _OF_KIND["translation"] if own.get(name)} | given
    if Path(options["data"]).is_file() and not _ALL & given.keys():
        # a file that one names here is all there to be scored
        given |= {"valid_fraction": 0.0, "test_fraction": 1.0, "held_out_limit": 0}
    kinds = {"classification": "LabelledOptions", "translation": "PairOptions"}
    return getattr(import_module("nlp_lstm.data"), kinds.get(task.kind, "DataOptions"))(data=options["data"], **given)


def note_data(data: Any, kind: str) -> None:
    """Say on stderr what was decided about the data, such as where a single file is cut."""
    readers = {"classification": "load_labelled", "translation": "load_pairs"}
    for line in getattr(import_module("nlp_lstm.data"), readers.get(kind, "load_text"))(data).notes:
        note(line)


def _flags(names: Any) -> str:
    return ", ".join("--" + name.replace("_", "-") for name in sorted(names))
