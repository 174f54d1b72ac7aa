"""`nlp-lstm classify`: the label of each line of stdin, or of what is typed on a terminal, and why."""

from __future__ import annotations

import html
import json
import sys
from pathlib import Path
from typing import Any, Literal

import jsonargparse

from nlp_lstm.cli._colours import coloured, in_brackets, wants_colour
from nlp_lstm.cli._files import write_new
from nlp_lstm.cli._lines import line_blocks
from nlp_lstm.cli._options import new_parser, parse
from nlp_lstm.cli._runs import load_of_kind
from nlp_lstm.cli._terminal import is_terminal, note, write
from nlp_lstm.cli._threads import add_threads, take_threads
from nlp_lstm.errors import UsageError

_DESCRIPTION = """Classify text with a trained classifier: one line in, one line out, `label TAB probability`.
A blank line gives a blank line. Where a text may have several labels at once, those of 0.5 and more are joined by
commas, and so are their probabilities.
On a terminal: a conversation that colours the words, blue for the label and orange against it."""

_DEFAULT_METHOD = "integrated-gradients"
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 16px/1.6 sans-serif; margin: 2em auto; max-width: 50em; padding: 0 1em }}
span {{ border-radius: 3px }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>Each text has its label and the label's probability. Words on blue speak for the label, words on orange against it,
the darker the more; what a word adds to the log-odds shows under the pointer.</p>
{paragraphs}
</body>
</html>
"""


def run(arguments: list[str]) -> int:
    """Load the run and classify the lines of stdin or the entries of a conversation."""
    options = parse(_parser(), arguments)
    page = _free_file(options["html"])
    take_threads(options)
    task = load_of_kind(options["run"], "classification", "classify takes a classifier")
    method = options["explain"] or (_DEFAULT_METHOD if page is not None else None)
    if is_terminal(sys.stdin) and page is None and not options["json"]:
        from nlp_lstm.cli._classify_conversation import ClassificationConversation

        ClassificationConversation(task, method or _DEFAULT_METHOD).run()
        return 0
    explained: list[Any] = []
    cut = 0
    try:
        for lines in line_blocks(sys.stdin):
            kept, longer = _answer(task, lines, method, options["json"], keep=page is not None)
            explained += kept
            cut += longer
    finally:
        if cut:
            note(f"Longer than what is read: {cut:,} of the texts. {task.reading.note()}")
    if page is not None:
        paragraphs = "\n".join(explanation.html() for explanation in explained)
        title = html.escape(f"{Path(options['run']).resolve().name}: why")
        write_new(
            page, _PAGE.format(title=title, paragraphs=paragraphs), overwrite=False, hint="name another with --html"
        )
        note(f"The explanations are in {page}.")
    return 0


def _parser() -> jsonargparse.ArgumentParser:
    parser = new_parser("classify", "RUN [options] < lines", _DESCRIPTION)
    parser.add_argument("run", metavar="RUN", type=str, help="run folder that `nlp-lstm train sentiment` wrote")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line, with all probabilities")
    parser.add_argument(
        "--explain",
        type=Literal["integrated-gradients", "leave-one-out"] | None,
        nargs="?",
        const=_DEFAULT_METHOD,
        metavar="METHOD",
        help="say what each word contributes to the log-odds of the label, by integrated-gradients (the default) or "
        "leave-one-out; on a terminal as colours",
    )
    parser.add_argument("--html", type=str, metavar="FILE", help="write the explanations to a new HTML page as well")
    add_threads(parser)
    return parser


def _free_file(name: str | None) -> Path | None:
    """Refuse a page that cannot be written before the work is done."""
    if name is None:
        return None
    path = Path(name).expanduser()
    if path.exists():
        raise UsageError(f"--html: {path} is already there. Name another file.")
    if not path.parent.is_dir():
        raise UsageError(f"--html: there is no folder {path.parent}. Make it first, or name another.")
    return path


def _answer(task: Any, lines: list[str], method: str | None, as_json: bool, keep: bool) -> tuple[list[Any], int]:
    """Write a line for each of the lines; return their explanations, where they are kept, and how many are cut."""
    texts = [line for line in lines if line.strip()]
    found, cut = task.classify_and_count(texts) if texts else ([], 0)
    tables = iter(zip(texts, found, strict=True))
    kept = []
    answers = []
    for line in lines:
        if not line.strip():
            answers.append("\n")
            continue
        text, table = next(tables)
        explanation = None if method is None else task.explain(text, method)
        kept += [explanation] if keep else []
        answers.append(_json_line(task, table, explanation) if as_json else _text_line(task, table, explanation))
    if method is not None and not as_json and wants_colour(sys.stdout):
        sys.stdout.write("".join(answers))  # `write` would show the colours' control characters
        sys.stdout.flush()
    else:
        write("".join(answers))
    return kept, cut


def label_and_probability(task: Any, table: dict[str, float]) -> str:
    """Give the answer to one text, as `classify` prints it."""
    if not task.several:
        label, probability = next(iter(table.items()))
        return f"{label}\t{probability:.4f}"
    given = {label: probability for label, probability in table.items() if probability >= 0.5}
    return f"{','.join(given)}\t{','.join(f'{probability:.4f}' for probability in given.values())}"


def _text_line(task: Any, table: dict[str, float], explanation: Any) -> str:
    answer = label_and_probability(task, table)
    if explanation is None:
        return f"{answer}\n"
    shown = coloured(explanation) if wants_colour(sys.stdout) else in_brackets(explanation)
    return f"{answer}\t{shown}\n"


def _json_line(task: Any, table: dict[str, float], explanation: Any) -> str:
    if task.several:
        answer: dict[str, Any] = {"labels": [label for label, probability in table.items() if probability >= 0.5]}
    else:
        label, probability = next(iter(table.items()))
        answer = {"label": label, "probability": probability}
    answer["probabilities"] = table
    if explanation is not None:
        answer |= {"explained": explanation.label, "method": explanation.method}
        answer["words"] = list(zip(explanation.words, explanation.contributions, strict=True))
    return json.dumps(answer, ensure_ascii=False) + "\n"
