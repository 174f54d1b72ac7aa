"""`nlp-lstm compare`: whether one run is better than another by more than chance."""

from __future__ import annotations

import contextlib
import json
import sys

from nlp_lstm.cli._held_out import add_data_options, data_flags_given, data_options, note_data
from nlp_lstm.cli._options import new_parser, parse
from nlp_lstm.cli._threads import add_threads, take_threads

_DESCRIPTION = """Test whether two runs of one task differ by more than chance, on the same held-out data: by
default the test split of the data they were trained on. B - A is above 0 where run B has the higher score.
Translation: paired bootstrap and approximate randomisation of BLEU, chrF and TER (lower is better), for summaries of
ROUGE, BLEU and chrF. Classification: McNemar's exact test. Language modelling: paired block bootstrap of the bits per
character, also for different tokenizers."""


def run(arguments: list[str]) -> int:
    """Load both runs, compare their outputs, and print the differences as text or as one JSON object."""
    parser = new_parser("compare", "RUN_A RUN_B [options]", _DESCRIPTION)
    parser.add_argument("run_a", metavar="RUN_A", type=str, help="run folder that `nlp-lstm train` wrote")
    parser.add_argument("run_b", metavar="RUN_B", type=str, help="run folder of the same task")
    add_data_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object in one line")
    add_threads(parser)
    options = parse(parser, arguments)
    data_flags_given(options)
    take_threads(options)

    from nlp_lstm.tasks import compare, load

    with contextlib.redirect_stdout(sys.stderr):  # what libraries print while loading is no result
        task_a, task_b = load(options["run_a"]), load(options["run_b"])
        data = data_options(options, task_a)
        if data is not None and task_a.kind == task_b.kind:
            note_data(data, task_a.kind)
        comparison = compare(task_a, task_b, data, options["split"])
    if options["json"]:
        named = {"a": options["run_a"], "b": options["run_b"]}
        print(json.dumps(comparison.to_json() | named, ensure_ascii=False))
    else:
        print(f"A {options['run_a']}\nB {options['run_b']}\n{comparison.text()}")
    return 0
