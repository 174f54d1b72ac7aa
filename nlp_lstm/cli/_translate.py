"""`nlp-lstm translate`: each line of stdin, or what is typed in a conversation."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonargparse

from nlp_lstm.cli._lines import line_blocks
from nlp_lstm.cli._options import new_parser, parse
from nlp_lstm.cli._runs import load_translators
from nlp_lstm.cli._terminal import is_terminal, note, write
from nlp_lstm.cli._threads import add_threads, take_threads
from nlp_lstm.errors import NlpLstmError, UsageError

_DESCRIPTION = """Translate with a trained translator, or do what else a model learnt from pairs of texts.
One line in, one line out, as soon as it is done; a blank line gives a blank line, and a line that is too long is
translated in parts: --prefix and --required are then asked of the first, --min-length of all together.
With --n-best above 1 a line gives several, each with the number of its line, its score and tabs between.
On a terminal: a conversation; :help lists its commands."""

_BEAM = {
    "beam_size": (int, "N", "translations kept while searching; 1 is greedy (default: 5)"),
    "n_best": (int, "N", "translations to print for each line (default: 1)"),
    "length_penalty": (float, "X", "0 favours short translations, more favours long ones (default: 1)"),
    "coverage_penalty": (float, "X", "punish words of the source that got little attention; 0 is off"),
    "min_length": (int, "N", "fewest tokens of a translation"),
    "max_length": (int, "N", "most tokens of a translation, in place of what the training pairs need"),
    "max_length_ratio": (float, "X", "most tokens of a translation for each token of its source, plus 10"),
    "no_repeat_ngram_size": (int, "N", "no sequence of N tokens comes twice in a translation; 0 is off"),
}
_LINES_AT_ONCE = 500
"""Lines that are sorted by length and translated together, before their translations are printed."""
_SAMPLING = {
    "temperature": (float, "X", "with --sample: below 1 is safer, above 1 bolder"),
    "top_k": (int, "N", "with --sample: draw from the N likeliest tokens; 0 is off"),
    "top_p": (float, "X", "with --sample: draw from the likeliest tokens that hold this share; 1 is off"),
    "seed": (int, "N", "with --sample: the same translations again"),
}


def run(arguments: list[str]) -> int:
    """Load the run and translate the lines of stdin or the entries of a conversation."""
    options = parse(_parser(), arguments)
    _check(options)
    take_threads(options)
    search = _search(options)
    picture = _picture(options)
    task = load_translators([options["run"], *(options["ensemble"] or [])], "translate takes a translator")
    if is_terminal(sys.stdin):
        from nlp_lstm.cli._translate_conversation import TranslationConversation

        TranslationConversation(task, search).run()
    else:
        _translate_lines(task, search, options, picture)
    return 0


def _parser() -> jsonargparse.ArgumentParser:
    parser = new_parser("translate", "RUN [options] < SOURCE > TARGET", _DESCRIPTION)
    parser.add_argument("run", metavar="RUN", type=str, help="run folder that `nlp-lstm train` wrote")
    # No defaults here: BeamOptions has them, and --help must not wait for what it imports.
    for name, (kind, placeholder, words) in _BEAM.items():
        parser.add_argument("--" + name.replace("_", "-"), type=kind, metavar=placeholder, help=words)
    parser.add_argument(
        "--required", action="append", metavar="T", help="words that every translation must hold; may be repeated"
    )
    parser.add_argument("--prefix", type=str, default="", metavar="T", help="what every translation begins with")
    parser.add_argument("--sample", action="store_true", help="draw translations at random instead of searching")
    for name, (kind, placeholder, words) in _SAMPLING.items():
        parser.add_argument("--" + name.replace("_", "-"), type=kind, metavar=placeholder, help=words)
    parser.add_argument(
        "--ensemble", action="append", metavar="RUN", help="average with another run of equal tokenizers; repeatable"
    )
    parser.add_argument(
        "--alignments", action="store_true", help="add a tab and pairs of words, as 0-0 1-2, by the attention"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object for each line, alignments among the rest"
    )
    parser.add_argument(
        "--map", action="store_true", help="draw as text, on stderr, what the words of each translation attended to"
    )
    parser.add_argument(
        "--picture", type=str, metavar="FILE", help="draw what the words of the first line attended to (extra `plot`)"
    )
    add_threads(parser)
    return parser


def _check(options: dict[str, Any]) -> None:
    """Refuse what cannot work before the model is loaded."""
    given = ["--" + name.replace("_", "-") for name in _SAMPLING if options[name] is not None]
    if given and not options["sample"]:
        raise UsageError(f"{', '.join(given)} says how to draw. Add --sample, or leave it out.")
    if options["seed"] is not None and options["seed"] < 0:
        raise UsageError(f"--seed must be 0 or more, not {options['seed']}.")
    if options["map"] and is_terminal(sys.stdin):
        raise UsageError("--map is for lines of a file or pipe; in the conversation, :map shows it. Leave it out.")
    if any(not words.strip() for words in options["required"] or []):
        raise UsageError("--required is empty. Give the words that the translation must hold, or leave it out.")


def _picture(options: dict[str, Any]) -> Path | None:
    if options["picture"] is None:
        return None
    if is_terminal(sys.stdin):
        raise UsageError("--picture is for lines of a file or pipe; in the conversation, :picture FILE draws.")
    from nlp_lstm.cli._translate_picture import checked_picture
    from nlp_lstm.evaluation import require_matplotlib

    require_matplotlib()
    return checked_picture(options["picture"], "--picture")


def _search(options: dict[str, Any]) -> Any:
    from nlp_lstm.decoding import BeamOptions, SamplingOptions
    from nlp_lstm.tasks import Search

    beam = {name: options[name] for name in _BEAM if options[name] is not None}
    if options["sample"] and "n_best" in beam:
        beam.setdefault("beam_size", beam["n_best"])  # nothing is searched, and the one must not be above the other
    sampling = {name: options[name] for name in _SAMPLING if name != "seed" and options[name] is not None}
    return Search(
        BeamOptions(**beam),
        SamplingOptions(**sampling) if options["sample"] else None,
        options["seed"],
        options["prefix"],
        tuple(options["required"] or ()),
    )


def _translate_lines(task: Any, search: Any, options: dict[str, Any], picture: Path | None) -> None:
    """Write the translations of the lines that are there, flushed, before waiting for more."""
    from nlp_lstm.cli._translate_notes import Notes
    from nlp_lstm.cli._translate_picture import attention_map

    notes = Notes(search)
    try:
        for number, (line, found) in enumerate(_translations(task, search), start=1):
            notes.add(number, line, found[0])
            write("".join(f"{shown}\n" for shown in _shown(number, line, found, search, options)))
            if options["map"] and found[0].text:
                note(f"Line {number:,}:\n{attention_map(found[0])}")
            if picture is not None and found[0].text:
                _draw(found[0], picture)
                picture = None
        if picture is not None:
            note("No picture was drawn: no line has a translation.")
    finally:
        notes.close()


def _translations(task: Any, search: Any) -> Iterator[tuple[str, list[Any]]]:
    """Yield lines of stdin and their translations, in order, a block translated at once."""
    before = 0
    for lines in line_blocks(sys.stdin):
        for start in range(0, len(lines), _LINES_AT_ONCE):
            block = lines[start : start + _LINES_AT_ONCE]
            # Each line has its own seed, whatever lines come with it.
            seed = None if search.seed is None else search.seed + before
            yield from zip(
                block, task.translate_n_best(block, search=dataclasses.replace(search, seed=seed)), strict=True
            )
            before += len(block)


def _draw(best: Any, picture: Path) -> None:
    """Draw a translation; where that fails it is said, and the lines after it are translated all the same."""
    from nlp_lstm.cli._translate_picture import save_picture

    try:
        save_picture(best, picture)
    except NlpLstmError as error:
        note(f"No picture was drawn. {error}")
    except OSError as error:
        note(f"No picture was drawn: {picture} cannot be written: {error.strerror}.")
    else:
        note(f"The picture is in {picture}.")


def _shown(number: int, line: str, found: list[Any], search: Any, options: dict[str, Any]) -> Iterator[str]:
    if options["json"]:
        translations = [_as_json(one) for one in found]
        yield json.dumps({"line": number, "source": line, "translations": translations}, ensure_ascii=False)
        return
    from nlp_lstm.decoding import pharaoh

    for one in found:
        text = f"{one.text}\t{pharaoh(one.alignment)}" if options["alignments"] else one.text
        yield f"{number}\t{one.score:.4f}\t{text}" if search.options.n_best > 1 else text


def _as_json(one: Any) -> dict[str, Any]:
    finite = math.isfinite(one.score)
    return {
        "text": one.text,
        "score": one.score if finite else None,
        "log_probability": one.log_probability if finite else None,
        "cut": one.cut,
        "alignment": [list(pair) for pair in one.alignment],
        "source_words": one.source_words,
        "target_words": one.target_words,
    }
