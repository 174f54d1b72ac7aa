"""A large text beside a small one: speed of tokenising at character level, and peak memory of training.

The texts are made by repeating the documentation that Python carries, with one word in twenty replaced by another, so
that no two copies are equal. Each measurement runs in a process of its own, with a token cache of its own. Tokenising
is timed on the training part: cold, when the text is read twice and the ids are written, and warm, when the text is
read once and the ids are found. Training is `nlp-lstm train char_lm` for a few steps, from an empty cache, with 100,000
characters each held out for validation and test, whatever the size of the text. MB are millions of bytes.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

from _common import format_table, new_parser, parse_size, peak_memory, peak_of_command, print_result

import nlp_lstm as nl

HELD_OUT = 100_000
REPLACED = 1 / 20


def make_text(path: Path, size: int, seed: int) -> None:
    """Write `size` bytes of text (a few less where the last character would be cut)."""
    chance = random.Random(seed)
    source = nl.load_text(nl.DataOptions("pydoc", valid_fraction=0, test_fraction=0)).split("train")
    parts = re.findall(r"\S+|\s+", "".join(source))
    words = [place for place, part in enumerate(parts) if not part.isspace()]
    count = int(len(words) * REPLACED)
    with path.open("wb") as file:
        while file.tell() < size:
            copy = parts.copy()
            for place, other in zip(chance.choices(words, k=count), chance.choices(words, k=count), strict=True):
                copy[place] = parts[other]
            data = "".join(copy).encode()[: size - file.tell()]
            file.write(data)
    _drop_half_character(path)


def _drop_half_character(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-min(4, path.stat().st_size), os.SEEK_END)
        end = file.read()
        file.truncate(path.stat().st_size - len(end) + len(end.decode(errors="ignore").encode()))


def held_out_options(size: int) -> dict[str, float]:
    """The shares that hold out HELD_OUT characters each, and no more than a twentieth."""
    share = round(min(0.05, HELD_OUT / size), 8)
    return {"valid_fraction": share, "test_fraction": share}


def tokenise(path: Path) -> dict[str, float]:
    """Load, cut, train a character tokenizer and tokenise twice; return the seconds of each and the peak memory."""
    clock = [time.perf_counter()]
    source = nl.load_text(nl.DataOptions(str(path), **held_out_options(path.stat().st_size))).split("train")
    clock.append(time.perf_counter())
    tokenizer = nl.train_tokenizer("character", source)
    clock.append(time.perf_counter())
    text = nl.tokenize(source, tokenizer)
    clock.append(time.perf_counter())
    again = nl.tokenize(source, tokenizer)
    clock.append(time.perf_counter())
    assert len(again) == len(text)
    load, train, cold, warm = (after - before for before, after in pairwise(clock))
    return {
        "train_part_mb": text.bytes / 1e6,
        "tokens": len(text),
        "load_and_cut_seconds": load,
        "train_tokenizer_seconds": train,
        "tokenise_cold_seconds": cold,
        "tokenise_warm_seconds": warm,
        "cold_mb_per_second": text.bytes / 1e6 / cold,
        "warm_mb_per_second": text.bytes / 1e6 / warm,
        "tokenising_peak_mb": peak_memory(resource.getrusage(resource.RUSAGE_SELF)) / 1e6,
    }


def train(path: Path, run: Path, options: list[str]) -> tuple[float, int]:
    """Train for a few steps in a process of its own; return its peak of resident memory in MB, and its threads."""
    shares = held_out_options(path.stat().st_size)
    held_out = [f"--{name.replace('_', '-')}={share:.8f}" for name, share in shares.items()]
    peak = peak_of_command("train", "char_lm", "--data", path, "--run", run, *held_out, *options)
    threads: int = json.loads((run / "config.json").read_text(encoding="utf-8"))["threads"]
    return peak / 1e6, threads


def measure(size: int, seed: int, options: list[str]) -> tuple[dict[str, Any], int]:
    """Make a text of `size` bytes and take all figures on it; return them, and the threads of the training."""
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / "text.txt"
        make_text(path, size, seed)
        os.environ["HF_HOME"] = str(Path(work) / "tokenising")
        # Not in this process: a child's peak is never below what its parent held when it started the child.
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            figures = pool.submit(tokenise, path).result()
        os.environ["HF_HOME"] = str(Path(work) / "training")
        peak, threads = train(path, Path(work) / "run", ["--seed", str(seed), *options])
        return {"size_mb": path.stat().st_size / 1e6, **figures, "training_peak_mb": peak}, threads


def main() -> int:
    """Measure both texts and print them side by side."""
    parser = new_parser(
        __doc__, "The texts and caches take six times --size in the temporary folder (TMPDIR moves it)."
    )
    parser.add_argument("--size", type=parse_size, metavar="S", help="of the large text (default: 1GB)")
    parser.add_argument("--small", type=parse_size, metavar="S", help="of the small text (default: 10MB)")
    parser.add_argument("--max-steps", type=int, default=50, help="training steps (default: 50)")
    parser.add_argument("--seed", type=int, default=0, help="of the text and the training (default: 0)")
    arguments = parser.parse_args()
    defaults = ("1MB", "100KB") if arguments.smoke else ("1GB", "10MB")
    large, small = arguments.size or parse_size(defaults[0]), arguments.small or parse_size(defaults[1])
    options = ["--smoke"] if arguments.smoke else ["--max-steps", str(arguments.max_steps)]
    texts, threads = zip(*(measure(size, arguments.seed, options) for size in (small, large)), strict=True)
    more = texts[1]["training_peak_mb"] - texts[0]["training_peak_mb"]
    rows = [[name.replace("_", " "), *(text[name] for text in texts)] for name in texts[0]]
    table = format_table(["", "small", "large"], rows)
    result = {"seed": arguments.seed, "texts": texts, "training_peak_difference_mb": more}
    said = f"training peaks {more:+.1f} MB on the large text"
    print_result("large_text", threads[0], result, f"{table}\n\n{said}", arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
