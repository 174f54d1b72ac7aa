"""`nlp-lstm shrink`: a run in half of its bytes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from nlp_lstm.cli._options import new_parser, parse
from nlp_lstm.cli._runs import load_quietly
from nlp_lstm.cli._terminal import note
from nlp_lstm.errors import UsageError

_DESCRIPTION = """Write a run again, for use and not for going on with training, with weights of half the size: float16.
They are rounded to 11 bits, and whatever reads the run makes fp32 of them again."""


def run(arguments: list[str]) -> int:
    """Write the smaller run, print its path, and say on stderr how large the weights are and were."""
    parser = new_parser("shrink", "RUN FOLDER", _DESCRIPTION)
    parser.add_argument("run", metavar="RUN", type=str, help="run folder that `nlp-lstm train` wrote")
    parser.add_argument("folder", metavar="FOLDER", type=str, help="new folder to write to")
    options = parse(parser, arguments)

    source, target = Path(options["run"]), Path(options["folder"])
    if target.exists():
        raise UsageError(f"{target} is already there; name a new folder.")
    task = load_quietly(options["run"])
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as scratch:  # whole or not at all
        task.save(Path(scratch) / "run", half=True)
        (Path(scratch) / "run").rename(target)
    before, after = (_megabytes(folder) for folder in (source, target))
    print(target)
    note(f"The weights have {after:.1f} MB, and had {before:.1f}. Score them:  nlp-lstm evaluate {target}")
    return 0


def _megabytes(folder: Path) -> float:
    """Size of the weights of a run folder."""
    return (folder / "model.safetensors").stat().st_size / 1e6
