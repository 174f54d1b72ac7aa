"""`nlp-lstm evaluate`: the scores of a run on held-out text, or of translations or summaries of any system."""

from __future__ import annotations

import contextlib
import gzip
import json
import sys
import zlib
from pathlib import Path
from typing import Any

import jsonargparse

from nlp_lstm.cli._held_out import add_data_options, data_flags_given, data_options, note_data
from nlp_lstm.cli._options import new_parser, parse
from nlp_lstm.cli._runs import load_quietly, load_translators
from nlp_lstm.cli._terminal import note, write
from nlp_lstm.cli._threads import add_threads, take_threads
from nlp_lstm.errors import DataError, UsageError

_DESCRIPTION = """Score a run on held-out text, by default the test split of the data it was trained on.
With --hypotheses and --references instead of RUN: score the translations of any system, line by line, or its summaries
with --rouge."""


def run(arguments: list[str]) -> int:
    """Score a run, or two files, and print the scores as text or as one JSON object."""
    options = parse(_parser(), arguments)
    _check(options)
    take_threads(options)
    with contextlib.redirect_stdout(sys.stderr):  # what libraries print while loading is no result
        scores = _scores_of_run(options) if options["run"] is not None else _scores_of_files(options)
    if options["json"]:
        print(json.dumps(scores.to_json(), ensure_ascii=False))
    else:
        details = getattr(scores, "details", None)
        write((scores.text() if details is None else f"{scores.text()}\n\n{details()}") + "\n")
    return 0


def _parser() -> jsonargparse.ArgumentParser:
    parser = new_parser("evaluate", "RUN [options] | --hypotheses FILE --references FILE", _DESCRIPTION)
    parser.add_argument("run", metavar="RUN", type=str, nargs="?", help="run folder that `nlp-lstm train` wrote")
    add_data_options(parser)
    parser.add_argument(
        "--plot", type=str, metavar="FOLDER", help="draw a classifier's confusion matrix and reliability"
    )
    parser.add_argument(
        "--ensemble", action="append", metavar="RUN", help="average a translator with another run; may be repeated"
    )
    parser.add_argument("--hypotheses", type=str, metavar="FILE", help="outputs to score, one a line; - is stdin")
    parser.add_argument("--references", type=str, metavar="FILE", help="what they should be, the same lines")
    parser.add_argument(
        "--training-text",
        type=str,
        metavar="FILE",
        help="target side of the training text, to score words by frequency (default: that of the run's own data)",
    )
    parser.add_argument("--rouge", action="store_true", help="the outputs are summaries: ROUGE with BLEU and chrF")
    parser.add_argument("--json", action="store_true", help="print one JSON object in one line")
    add_threads(parser)
    return parser


def _check(options: dict[str, Any]) -> None:
    """Refuse what cannot work before anything is loaded."""
    files = {name: options[name] for name in ("hypotheses", "references", "training_text")}
    if options["run"] is not None:
        named = [f"--{name}" for name in ("hypotheses", "references") if files[name] is not None]
        if named:
            raise UsageError(f"{', '.join(named)} takes the place of RUN. Give a run or two files, not both.")
        if options["rouge"]:
            raise UsageError("--rouge is for two files; a run of `summarization` is scored by it anyway. Leave it out.")
        data_flags_given(options)
        return
    if files["hypotheses"] is None and files["references"] is None:
        raise UsageError("RUN is missing. `nlp-lstm evaluate --help` shows the call.")
    for name in ("hypotheses", "references"):
        if files[name] is None:
            raise UsageError(f"--{name} is missing: scores need hypotheses and references, two files of as many lines.")
    if [*files.values()].count("-") > 1:
        raise UsageError("Two files cannot both be - (stdin). Name one of them.")
    if any(options[name] is not None for name in ("data", "plot", "ensemble")) or data_flags_given(options):
        raise UsageError(
            "--data, --plot and --ensemble go with a run. Leave them out, or give RUN in place of two files."
        )


def _scores_of_run(options: dict[str, Any]) -> Any:
    if options["plot"] is not None:
        from nlp_lstm.evaluation import require_matplotlib

        require_matplotlib()
    if options["ensemble"]:
        task = load_translators([options["run"], *options["ensemble"]], "--ensemble averages translators")
    else:
        task = load_quietly(options["run"])
    if options["plot"] is not None and task.kind != "classification":
        kind = task.kind.replace("_", " ")
        raise UsageError(f"--plot draws the scores of a classifier; {options['run']} is for {kind}. Leave it out.")
    texts = _training_text(options, task)
    data = data_options(options, task)
    if data is not None:
        note_data(data, task.kind)
    scores = task.evaluate(data, split=options["split"], **texts)
    if options["plot"] is not None:
        from nlp_lstm.evaluation import save_pictures

        for file in save_pictures(scores, options["plot"]):
            note(f"Drawn: {file}")
    return scores


def _training_text(options: dict[str, Any], task: Any) -> dict[str, list[str]]:
    """Read the text by whose words a translator is scored, where one is named, as an argument of its `evaluate`."""
    if options["training_text"] is None:
        return {}
    if task.kind != "translation":
        raise UsageError("--training-text is for translators and summarizers, whose words it counts. Leave it out.")
    return {"training_text": _lines(options["training_text"], "--training-text")}


def _scores_of_files(options: dict[str, Any]) -> Any:
    hypotheses, references = (_lines(options[name], f"--{name}") for name in ("hypotheses", "references"))
    if len(hypotheses) != len(references):
        raise DataError(
            f"{options['hypotheses']} has {len(hypotheses):,} lines and {options['references']} {len(references):,}; "
            "line i of one is scored against line i of the other. Give files of as many lines, empty ones kept."
        )
    if not references:
        raise DataError(f"{options['hypotheses']} and {options['references']} are empty: there is nothing to score.")
    training_text = options["training_text"]
    from nlp_lstm.evaluation import require_rouge, summary_scores, translation_scores

    if options["rouge"]:
        require_rouge()
    return (summary_scores if options["rouge"] else translation_scores)(
        hypotheses,
        references,
        training_text=None if training_text is None else _lines(training_text, "--training-text"),
    )


def _lines(file: str, flag: str) -> list[str]:
    """Read the lines of a UTF-8 file, `.gz` or `-` for stdin as well; only a line feed ends a line."""
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        content = gzip.decompress(content) if file.endswith(".gz") else content
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{flag} {file}, line {line:,}: not UTF-8 text. Save the file as UTF-8.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise DataError(f"{flag} {file} is a damaged gzip file. Fetch or pack it again.") from None
    except OSError as error:
        raise DataError(
            f"{flag} {file} cannot be read: {error.strerror}. Name a file of one sentence a line."
        ) from None
    return text.removesuffix("\n").split("\n") if text else []
