"""A large text beside a small one: speed of tokenising at character level, and peak memory of training.

The texts are made by repeating the documentation that Python carries, with one word in twenty replaced by another, so
that no two copies are equal. Each measurement runs in a process of its own, with a token cache of its own. Tokenising
is timed on the training part: cold, when the text is read twice and the ids are written, and warm, when the text is
read once and the ids are found. Training is `nlp-lstm train char_lm` for a few steps, from an empty cache, with 100,000
characters each held out for validation and test, whatever the size of the text. MB are millions of bytes.

With --shards N the texts stand in N files of gzipped JSON lines, in documents of 3,000 characters, and training streams
them (`--stream true`); the small one has 50 MB by default. The figures are the seconds from the start of the process to
the end of the first step (to a checkpoint after it, which is looked for twenty times a second) and the peak memory.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

from _common import (
    format_table,
    new_parser,
    nlp_lstm_command,
    parse_size,
    peak_memory,
    peak_of_command,
    print_result,
)

import nlp_lstm as nl

HELD_OUT = 100_000
REPLACED = 1 / 20
DOCUMENT = 3000
LOOKS_PER_SECOND = 20


def make_text(path: Path, size: int, seed: int) -> None:
    """Write `size` bytes of text (a few less where the last character would be cut)."""
    with path.open("wb") as file:
        for copy in copies(seed):
            file.write(copy.encode()[: size - file.tell()])
            if file.tell() >= size:
                break
    _drop_half_character(path)


def make_shards(folder: Path, size: int, shards: int, seed: int) -> None:
    """Write documents of `size` characters in all (and up to a document a file more) as gzipped JSON lines."""
    folder.mkdir()
    documents = (copy[start : start + DOCUMENT] for copy in copies(seed) for start in range(0, len(copy), DOCUMENT))
    for number in range(shards):
        left = size // shards
        with gzip.open(folder / f"shard-{number:05}.jsonl.gz", "wt", compresslevel=1, encoding="utf-8") as file:
            while left > 0:
                document = next(documents)
                file.write(json.dumps({"text": document}) + "\n")
                left -= len(document)


def copies(seed: int) -> Iterator[str]:
    """Yield the text again and again, with other words replaced each time."""
    chance = random.Random(seed)
    source = nl.load_text(nl.DataOptions("pydoc", valid_fraction=0, test_fraction=0)).split("train")
    parts = re.findall(r"\S+|\s+", "".join(source))
    words = [place for place, part in enumerate(parts) if not part.isspace()]
    count = int(len(words) * REPLACED)
    while True:
        copy = parts.copy()
        for place, other in zip(chance.choices(words, k=count), chance.choices(words, k=count), strict=True):
            copy[place] = parts[other]
        yield "".join(copy)


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


def stream(folder: Path, run: Path, options: list[str]) -> tuple[float, float]:
    """Train on shards in a process of its own; return the seconds to the end of the first step, and its peak in MB."""
    held_out = ["--held-out-limit", str(HELD_OUT), "--checkpoint-steps", "1"]
    data = ["--data", str(folder / "*.jsonl.gz"), "--stream", "true"]
    command = nlp_lstm_command("train", "char_lm", *data, "--run", run, *held_out, *options)
    start, first = time.perf_counter(), None
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if first is None and any(int(path.stem[5:]) > 0 for path in run.glob("checkpoints/step-*.pt")):
            first = time.perf_counter() - start
        if ended:
            break
        time.sleep(1 / LOOKS_PER_SECOND)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or first is None:
        raise SystemExit(f"{' '.join(command)} failed with exit code {process.returncode}.")
    return first, peak_memory(usage) / 1e6


def measure_shards(size: int, shards: int, seed: int, options: list[str]) -> tuple[dict[str, Any], int]:
    """Make shards of `size` characters in all and stream them; return the figures, and the threads of the training."""
    with tempfile.TemporaryDirectory() as work:
        os.environ["HF_HOME"] = str(Path(work) / "cache")
        make_shards(Path(work) / "shards", size, shards, seed)
        on_disk = sum(path.stat().st_size for path in (Path(work) / "shards").iterdir())
        run = Path(work) / "run"
        first, peak = stream(Path(work) / "shards", run, ["--seed", str(seed), *options])
        threads: int = json.loads((run / "config.json").read_text(encoding="utf-8"))["threads"]
    figures = {"size_mb": size / 1e6, "shards": shards, "on_disk_mb": on_disk / 1e6}
    return {**figures, "first_step_seconds": first, "training_peak_mb": peak}, threads


def require_space(needed: int) -> None:
    """End the benchmark where the temporary folder has no room for its files."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise SystemExit(
            f"{folder} has {free / 1e9:.1f} GB free, and {needed / 1e9:.1f} GB are needed. Make room, give a smaller "
            "--size, or set TMPDIR to a folder with more."
        )


def main() -> int:
    """Measure both texts and print them side by side."""
    parser = new_parser(
        __doc__,
        "The texts and caches take six times --size in the temporary folder (TMPDIR moves it); with --shards, --size "
        "and 100 MB at most.",
    )
    parser.add_argument("--size", type=parse_size, metavar="S", help="of the large text (default: 1GB)")
    parser.add_argument(
        "--small", type=parse_size, metavar="S", help="of the small text (default: 10MB, 50MB streamed)"
    )
    parser.add_argument("--shards", type=positive, metavar="N", help="stream the texts from so many files")
    parser.add_argument("--max-steps", type=int, default=50, help="training steps (default: 50)")
    parser.add_argument("--seed", type=int, default=0, help="of the text and the training (default: 0)")
    arguments = parser.parse_args()
    defaults = ("1MB", "100KB") if arguments.smoke else ("1GB", "50MB" if arguments.shards else "10MB")
    large, small = arguments.size or parse_size(defaults[0]), arguments.small or parse_size(defaults[1])
    options = ["--smoke"] if arguments.smoke else ["--max-steps", str(arguments.max_steps)]
    require_space(large + 10**8 if arguments.shards else 6 * large)
    measured = [
        measure_shards(size, arguments.shards, arguments.seed, options)
        if arguments.shards
        else measure(size, arguments.seed, options)
        for size in (small, large)
    ]
    texts, threads = zip(*measured, strict=True)
    more = texts[1]["training_peak_mb"] - texts[0]["training_peak_mb"]
    rows = [[name.replace("_", " "), *(text[name] for text in texts)] for name in texts[0]]
    table = format_table(["", "small", "large"], rows)
    result = {"seed": arguments.seed, "texts": texts, "training_peak_difference_mb": more}
    said = f"training peaks {more:+.1f} MB on the large text"
    print_result("large_text", threads[0], result, f"{table}\n\n{said}", arguments.json)
    return 0


def positive(text: str) -> int:
    """Read a whole number from 1 up; for `type=` of an option."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 up")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
