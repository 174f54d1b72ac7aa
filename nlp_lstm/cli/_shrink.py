"""`nlp-lstm shrink`: a run whose weights have half of their bytes."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from nlp_lstm.cli._files import require_folder_above
from nlp_lstm.cli._options import new_parser, parse
from nlp_lstm.cli._runs import load_quietly
from nlp_lstm.cli._terminal import note
from nlp_lstm.errors import UsageError

_DESCRIPTION = """Write a run again, for use and not for going on with training, with weights of half the size: float16,
of 11 bits. Whatever reads the run makes fp32 of them again. Its curves and its model card come along."""
_CARD, _CURVES = "README.md", "metrics.jsonl"
_CARD_NOTE = "\nThe weights were rounded to float16 (`nlp-lstm shrink`); the scores above are those from before.\n"


def run(arguments: list[str]) -> int:
    """Write the smaller run, print its path, and say on stderr how large the weights are and were."""
    parser = new_parser("shrink", "RUN FOLDER", _DESCRIPTION)
    parser.add_argument("run", metavar="RUN", type=str, help="run folder that `nlp-lstm train` wrote")
    parser.add_argument("folder", metavar="FOLDER", type=str, help="new folder to write to")
    options = parse(parser, arguments)

    source, target = Path(options["run"]), Path(options["folder"])
    if os.path.lexists(target):
        raise UsageError(f"{target} is already there; name a new folder.")
    require_folder_above(target)
    task = load_quietly(options["run"], device="cpu")
    target.mkdir()
    try:
        task.save(target, half=True)
        _copy_records(source, target)
    except BaseException:
        shutil.rmtree(target)  # whole or not at all
        raise
    before, after = (_megabytes(folder) for folder in (source, target))
    print(target)
    command = shlex.join(["nlp-lstm", "evaluate", str(target)])
    note(f"The weights have {after:.1f} MB, and had {before:.1f}. Score the run:  {command}")
    return 0


def _copy_records(source: Path, target: Path) -> None:
    """Copy what a run keeps beside its model, where it is there; the card says what became of the weights."""
    from nlp_lstm.tasks import checked_file

    for name in (_CURVES, _CARD):
        if (source / name).exists():
            shutil.copyfile(checked_file(source, name), target / name)
    if (target / _CARD).exists():
        with (target / _CARD).open("a", encoding="utf-8") as card:
            card.write(_CARD_NOTE)


def _megabytes(folder: Path) -> float:
    return (folder / "model.safetensors").stat().st_size / 1e6
