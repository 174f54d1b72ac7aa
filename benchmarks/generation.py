"""Speed of generating: time to the first character, one stream, a batch, and whether a token costs the same for ever.

Without RUN an untrained character model is made, saved and loaded: 1 x 512 LSTM, 100 tokens; the speed does not depend
on what the weights are. One stream goes through `task.stream`, as `nlp-lstm generate` and the conversation do, the
batch through `task.generate`.
"""

from __future__ import annotations

import statistics
import string
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _common import format_table, new_parser, print_result, resident_memory

import nlp_lstm as nl

PROMPT = "The "
FIRST_CALLS = 20
EVERY = 1000  # tokens between two looks at the memory


def make_run(folder: Path, hidden_size: int) -> None:
    """Save an untrained model of 96 characters, 100 tokens with the special ones."""
    tokenizer = nl.CharacterTokenizer([*string.ascii_letters, *string.digits, *string.punctuation, " ", "\n"], False)
    options = nl.LanguageModelOptions(embedding_size=64, hidden_size=hidden_size)
    nl.LanguageModeling(nl.LanguageModel(tokenizer.vocab_size, options), tokenizer).save(folder)


def first_character(task: nl.LanguageModeling, seed: int) -> float:
    """Milliseconds from the call to the first piece of text."""
    start = time.perf_counter()
    next(task.stream(PROMPT, seed=seed))
    return 1000 * (time.perf_counter() - start)


def one_stream(task: nl.LanguageModeling, length: int, window: int, seed: int) -> dict[str, Any]:
    """Stream `length` pieces, and compare the time and the memory of the first `window` with those of the last."""
    stream = task.stream(PROMPT, seed=seed)
    for _ in range(window):  # what is made once is made now
        next(stream)
    seconds = np.ones(length)  # written to, so that its own memory is there before the count begins
    characters, most = 0, 0
    before = resident_memory()
    for number in range(length):
        start = time.perf_counter()
        piece = next(stream)
        seconds[number] = time.perf_counter() - start
        characters += len(piece)
        if number % EVERY == 0 or number == length - 1:
            most = max(most, resident_memory())
    first, last = float(np.median(seconds[:window])), float(np.median(seconds[-window:]))
    return {
        "characters": characters,
        "characters_per_second": characters / float(seconds.sum()),
        "microseconds_at_the_beginning": 1e6 * first,
        "microseconds_at_the_end": 1e6 * last,
        "end_to_beginning": last / first,
        "memory_growth_mb": (most - before) / 1e6,
    }


def batch(task: nl.LanguageModeling, samples: int, max_tokens: int, repeats: int, seed: int) -> dict[str, Any]:
    """Tokens a second of `samples` texts side by side; the median of `repeats` after one that warms up."""
    speeds = []
    for number in range(repeats + 1):
        start = time.perf_counter()
        task.generate(PROMPT, max_tokens=max_tokens, samples=samples, seed=seed + number)
        speeds.append(samples * max_tokens / (time.perf_counter() - start))
    return {"samples": samples, "tokens_per_second": statistics.median(speeds[1:])}


def main() -> int:
    """Load, generate, print."""
    parser = new_parser(__doc__)
    parser.add_argument("run", metavar="RUN", nargs="?", help="run folder (default: an untrained model, 1 x 512)")
    parser.add_argument("--length", type=int, default=100_000, help="pieces of the one stream (default: 100,000)")
    parser.add_argument("--samples", type=int, default=64, help="texts side by side in the batch (default: 64)")
    parser.add_argument("--threads", type=int, help="processor threads (default: what torch takes)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and sampling (default: 0)")
    arguments = parser.parse_args()
    length, window, max_tokens = (400, 100, 20) if arguments.smoke else (arguments.length, 2000, 500)
    if length < 2 * window and not arguments.smoke:
        parser.error(f"--length {length} must be at least {2 * window}")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    with tempfile.TemporaryDirectory() as work:
        if arguments.run is None:
            make_run(Path(work), hidden_size=32 if arguments.smoke else 512)
        start = time.perf_counter()
        task = nl.load(arguments.run or work)
        load_ms = 1000 * (time.perf_counter() - start)
    firsts = [first_character(task, arguments.seed + number) for number in range(FIRST_CALLS + 1)]
    stream = one_stream(task, length, window, arguments.seed)
    side_by_side = batch(task, arguments.samples, max_tokens, repeats=3, seed=arguments.seed)
    result = {
        "seed": arguments.seed,
        "model": {
            "run": arguments.run,
            "parameters": task.parameter_count,
            "vocab_size": task.tokenizer.vocab_size,
            "hidden_size": task.model.options.hidden_size,
            "num_layers": task.model.options.num_layers,
        },
        "load_ms": load_ms,
        "first_character_ms": {"first_call": firsts[0], "later_calls": statistics.median(firsts[1:])},
        "stream": stream,
        "batch": side_by_side,
    }
    rows = [
        ["load the run, ms", load_ms],
        ["first character, first call, ms", firsts[0]],
        ["first character, later calls, ms", statistics.median(firsts[1:])],
        ["one stream, characters/s", stream["characters_per_second"]],
        [f"one token of the first {window:,}, microseconds", stream["microseconds_at_the_beginning"]],
        [f"one token after {length - window:,}, microseconds", stream["microseconds_at_the_end"]],
        [f"memory growth over {length:,} tokens, MB", stream["memory_growth_mb"]],
        [f"batch of {arguments.samples}, tokens/s", side_by_side["tokens_per_second"]],
    ]
    print_result("generation", torch.get_num_threads(), result, format_table(["", "value"], rows), arguments.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
