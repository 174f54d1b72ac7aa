"""`nlp-lstm evaluate`: the scores of a run on held-out text."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from nlp_lstm.cli._options import new_parser, parse
from nlp_lstm.cli._terminal import note
from nlp_lstm.errors import UsageError

_DATA_OPTIONS = ("text_field", "valid_fraction", "test_fraction")


def run(arguments: list[str]) -> int:
    """Load the run, score it, and print the scores as text or as one JSON object."""
    parser = new_parser(
        "evaluate",
        "RUN [options]",
        "Score a run on held-out text, by default the test split of the data it was trained on.",
    )
    parser.add_argument("run", metavar="RUN", type=str, help="run folder that `nlp-lstm train` wrote")
    parser.add_argument(
        "--data", type=str, metavar="D", help="other data: a file (all of it), a folder, a built-in name or a hub id"
    )
    parser.add_argument("--split", type=str, default="test", help="train, valid or test (default: test)")
    parser.add_argument("--text-field", type=str, metavar="F", help="column of --data that holds the text")
    parser.add_argument("--valid-fraction", type=float, metavar="X", help="share of a single --data file that is valid")
    parser.add_argument("--test-fraction", type=float, metavar="X", help="share of a single --data file that is test")
    parser.add_argument("--json", action="store_true", help="print one JSON object in one line")
    options = parse(parser, arguments)
    data = _data_options(options)

    from nlp_lstm.tasks import load

    with contextlib.redirect_stdout(sys.stderr):  # what libraries print while loading is no result
        task = load(options["run"])
        if data is not None:
            _print_notes(data)
        scores = task.evaluate(data, split=options["split"])
    print(json.dumps(scores.to_json(), ensure_ascii=False) if options["json"] else scores.text())
    return 0


def _data_options(options: dict[str, Any]) -> Any:
    """The DataOptions that the flags describe, or None for the run's own data."""
    given = {name: options[name] for name in _DATA_OPTIONS if options[name] is not None}
    if options["data"] is None:
        if given:
            flags = ", ".join("--" + name.replace("_", "-") for name in given)
            raise UsageError(f"{flags} describes --data, which is not given. Add --data FILE, or leave it out.")
        return None
    from nlp_lstm.data import DataOptions

    if Path(options["data"]).is_file() and not {"valid_fraction", "test_fraction"} & given.keys():
        given |= {
            "valid_fraction": 0.0,
            "test_fraction": 1.0,
            "held_out_limit": 0,
        }  # a file that one names here is all there to be scored
    return DataOptions(data=options["data"], **given)


def _print_notes(data: Any) -> None:
    """Say on stderr what was decided about the data, such as where a single file is cut."""
    from nlp_lstm.data import load_text

    for line in load_text(data).notes:
        note(line)
