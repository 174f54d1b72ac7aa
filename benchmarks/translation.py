"""The translator: BLEU against training time, time of decoding, and speed of training beside plain torch.nn.

quality: each budget and seed is trained by `nlp-lstm train translation` in a process of its own. When all are trained,
the weights that each saved, which were chosen on the validation split, are scored once by `nlp-lstm evaluate` on the
test split, with a beam of 5; of the seeds of a budget, mean and standard deviation are given, and the scores of all of
them together, which average their probabilities (`--ensemble`).
decoding: the last of these runs, or that of --run, translates 1,000 test sentences greedily and with a beam of 5; the
model is loaded before, and of several rounds the median is given.
speed: sentences a second of training, of a bidirectional LSTM of 256, attention, a decoder of 512 and 8,000 pieces in
batches of 64: plain torch.nn with a loop over decoder steps and input feeding in fp32, ours with input feeding, and
ours as the recipe has it, in which whole targets are decoded at once. They take turns on the same batches.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from _common import format_table, new_parser, print_result, run_command
from _plain_translator import PlainTranslator
from _training import mean_and_deviation, mean_line
from torch import Tensor

import nlp_lstm as nl
from nlp_lstm.models import PairBatch, autocast, choose_precision
from nlp_lstm.tasks import TokenizedPairs

PARTS = ("quality", "decoding", "speed")
SENTENCES, BEAMS = 1000, (1, 5)
EMBEDDING, ENCODER, DECODER, PIECES, BATCH = 256, 256, 512, 8000, 64
DROPOUT, SMOOTHING, LEARNING_RATE, CLIP = 0.3, 0.1, 1e-3, 1.0
Step = Callable[[PairBatch], None]


def quality(arguments: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Train each budget with each seed; score them when nothing is left that the test split could decide."""
    runs = []
    options = data_flags(arguments) + (["--smoke"] if arguments.smoke else ["--config", arguments.config])
    for budget in [None] if arguments.smoke else arguments.max_time:
        for seed in arguments.seeds:
            run = folder / f"translation-{budget or 'smoke'}-seed{seed}"
            limit = ["--max-time", budget] if budget else []
            run_command("train", "translation", "--run", run, "--seed", seed, *limit, *options)
            runs.append({"max_time": budget, "seed": seed, "run": str(run), **trained(run)})
    return [{**run, **scored(run["run"])} for run in runs]


def trained(run: Path) -> dict[str, Any]:
    """What training took, what it came to on the validation split, and the size of what it saved."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return {
        "steps": records[-1]["step"],
        "seconds": records[-1]["seconds"],
        "valid_loss": min(record["valid_loss"] for record in records),
        "parameters": nl.load(run).parameter_count,
        "model_mb": (run / "model.safetensors").stat().st_size / 1e6,
    }


def scored(run: str, *others: str) -> dict[str, Any]:
    """The scores of a run's test split, or of what it and others translate together."""
    averaged = [word for other in others for word in ("--ensemble", other)]
    scores = json.loads(run_command("evaluate", run, *averaged, "--json"))
    figures = {name: scores[name] for name in ("bleu", "chrf", "ter", "exact_match", "n", "signature")}
    return figures | {"confidence_interval": scores["confidence_interval"]["bleu"]}


def summary(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sum up the seeds of each budget; of several, `ensemble` has the scores of all together."""
    budgets: dict[str | None, list[dict[str, Any]]] = {}
    for run in runs:
        budgets.setdefault(run["max_time"], []).append(run)
    return [
        {
            "max_time": budget,
            "runs": len(seeds),
            **{name: mean_and_deviation([run[name] for run in seeds]) for name in ("bleu", "chrf", "exact_match")},
            "ensemble": scored(*(run["run"] for run in seeds)) if len(seeds) > 1 else None,
        }
        for budget, seeds in budgets.items()
    ]


def data_flags(arguments: argparse.Namespace) -> list[str]:
    """The flags of `train` that say what the data is."""
    given = {"--data": arguments.data, "--source": arguments.source, "--target": arguments.target}
    return [word for flag, value in given.items() if value for word in (flag, value)]


def pair_options(arguments: argparse.Namespace) -> nl.PairOptions:
    """The same as options."""
    return nl.PairOptions(arguments.data or "phrases", source=arguments.source, target=arguments.target)


def decoding(run: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Time the translation of test sentences by a run."""
    task = nl.load(run)
    sources = nl.load_pairs(pair_options(arguments)).split("test").sources[: 20 if arguments.smoke else SENTENCES]
    task.translate(sources[:8])
    times: dict[int, list[float]] = {beam: [] for beam in BEAMS}
    for _ in range(1 if arguments.smoke else arguments.rounds):
        for beam in BEAMS:
            start = time.perf_counter()
            task.translate(sources, nl.BeamOptions(beam_size=beam))
            times[beam].append(time.perf_counter() - start)
    return [
        {"beam_size": beam, "sentences": len(sources), "seconds": statistics.median(seconds), "fastest": min(seconds)}
        for beam, seconds in times.items()
    ]


def speed(arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Time a training step of each version on the same batches, in turn."""
    rounds, turn, pieces = (2, 1, 300) if arguments.smoke else (arguments.rounds, 5, PIECES)
    batches = read_batches(arguments, (rounds + 1) * turn, pieces)
    sizes = (16, 16, 32) if arguments.smoke else (EMBEDDING, ENCODER, DECODER)
    precision = choose_precision("auto", torch.device("cpu"))
    versions = {
        "plain fp32": plain_step(pieces, sizes),
        f"ours, input feeding, {precision}": our_step(pieces, sizes, True, precision),
        f"ours, whole targets, {precision}": our_step(pieces, sizes, False, precision),
    }
    times: dict[str, list[float]] = {name: [] for name in versions}
    for number in range(rounds + 1):
        for name, step in versions.items():
            start = time.perf_counter()
            for batch in batches[number * turn : (number + 1) * turn]:
                step(batch)
            if number:  # the first turn is for warming up
                times[name].append((time.perf_counter() - start) / turn)
    plain = statistics.median(times["plain fp32"])
    rows = len(batches[0].source)
    return {
        name: {
            "sentences_per_second": rows / statistics.median(values),
            "ms_per_batch": 1000 * statistics.median(values),
            "ratio": plain / statistics.median(values),
        }
        for name, values in times.items()
    }


def read_batches(arguments: argparse.Namespace, count: int, pieces: int) -> list[PairBatch]:
    """Make batches of pairs of similar length, as training does."""
    pairs = nl.load_pairs(pair_options(arguments)).split("train")
    tokenizer, _ = nl.train_tokenizers("bpe", pairs, pieces)
    tokenized = TokenizedPairs(pairs, tokenizer, tokenizer)
    size = 8 if arguments.smoke else BATCH
    buckets = nl.LengthBuckets(tokenized.lengths, size, None, arguments.seeds[0])
    whole = (places for places in map(buckets.batch, range(10**6)) if len(places) == size)
    return [tokenized.batch(places) for places in islice(whole, count)]


def our_step(pieces: int, sizes: tuple[int, int, int], feeding: bool, precision: str) -> Step:
    """A training step of this package's model."""
    options = nl.EncoderDecoderOptions(
        embedding_size=sizes[0],
        encoder_size=sizes[1],
        encoder_layers=1,
        decoder_size=sizes[2],
        decoder_layers=1,
        attention="general",
        input_feeding=feeding,
        dropout=DROPOUT,
        label_smoothing=SMOOTHING,
    )
    model = nl.EncoderDecoder(pieces, pieces, options)

    def loss(batch: PairBatch) -> Tensor:
        with autocast(precision, torch.device("cpu")):
            return model.loss(batch, 1 / int((batch.target_lengths - 1).sum()))

    return training_step(model, loss)


def plain_step(pieces: int, sizes: tuple[int, int, int]) -> Step:
    """A training step of the model on torch.nn alone."""
    model = PlainTranslator(pieces, *sizes, DROPOUT)
    return training_step(model, lambda batch: model.loss(batch, SMOOTHING))


def training_step(model: torch.nn.Module, loss: Callable[[PairBatch], Tensor]) -> Step:
    """Loss, gradient, clipping and AdamW, the same for all."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, fused=True)

    def step(batch: PairBatch) -> None:
        optimizer.zero_grad()
        loss(batch).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()

    return step


def tables(result: dict[str, Any]) -> str:
    """Lay the parts that were measured out in tables."""
    shown = []
    if "quality" in result:
        columns = ["bleu", "chrf", "exact_match", "valid_loss", "steps", "seconds", "parameters", "model_mb"]
        rows = [
            [run["max_time"] or "smoke", run["seed"], *(run[name] for name in columns)] for run in result["quality"]
        ]
        shown.append(format_table(["budget", "seed", *(name.replace("_", " ") for name in columns)], rows))
        shown.append("\n".join(mean_line(one["max_time"] or "smoke", "bleu", one) for one in result["summary"]))
        together = [one for one in result["summary"] if one["ensemble"] is not None]
        shown += [
            f"{one['max_time'] or 'smoke'}: all seeds together have BLEU {one['ensemble']['bleu']:.1f}"
            for one in together
        ]
    if "decoding" in result:
        rows = [[f"beam {one['beam_size']}", one["sentences"], one["seconds"]] for one in result["decoding"]]
        shown.append(format_table(["decoding", "sentences", "seconds"], rows))
    if "speed" in result:
        rows = [[name, *figures.values()] for name, figures in result["speed"].items()]
        shown.append(format_table(["training", "sentences/s", "ms/batch", "times plain"], rows))
    return "\n\n".join(shown)


def main() -> int:
    """Measure the parts that are asked for, and print."""
    parser = new_parser(__doc__)
    parser.add_argument("--data", metavar="D", help="pairs, as for `train` (with --smoke: the built-in phrases)")
    parser.add_argument("--source", help="the language to translate from")
    parser.add_argument("--target", help="the language to translate to")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure (default: all)")
    parser.add_argument("--config", default="multi30k", help="settings of the recipe (default: multi30k)")
    parser.add_argument("--max-time", nargs="+", default=["5m", "15m"], metavar="T", help="budgets (default: 5m 15m)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="N", help="a run for each (default: 0)")
    parser.add_argument("--runs", metavar="DIR", help="keep the run folders here (default: nowhere)")
    parser.add_argument("--run", metavar="RUN", help="a run to time the decoding of, in place of one trained here")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each version (default: 5)")
    parser.add_argument("--threads", type=int, help="processor threads (default: what torch takes)")
    arguments = parser.parse_args()
    if arguments.data is None and not arguments.smoke:
        parser.error("--data is missing; --smoke needs none")
    if "decoding" in arguments.parts and arguments.run is None and "quality" not in arguments.parts:
        parser.error("decoding needs a run: give --run RUN, or measure quality too")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seeds[0])
    result: dict[str, Any] = {"seeds": arguments.seeds}
    with tempfile.TemporaryDirectory() as work:
        if "quality" in arguments.parts:
            result["quality"] = quality(arguments, Path(arguments.runs or work))
            result["summary"] = summary(result["quality"])
        if "decoding" in arguments.parts:
            result["decoding"] = decoding(arguments.run or result["quality"][-1]["run"], arguments)
        if "speed" in arguments.parts:
            result["speed"] = speed(arguments)
    print_result("translation", torch.get_num_threads(), result, tables(result), arguments.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
