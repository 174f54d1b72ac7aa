"""Speed of training a word model: this package beside the same model written plainly on torch.nn.

The model is that of pytorch/examples, word_language_model: two LSTM layers of 200, output tied to the embedding,
dropout 0.2, 20 rows of text, 35 steps back in time, plain SGD with gradients clipped at 0.25. The plain version makes
all logits and calls F.cross_entropy; ours runs LanguageModel.loss; both take the same clipped step of SGD. They take
turns, each in a process of its own, on the same token ids: the plain one with torch as it comes, ours with memory
handled as `nlp-lstm train` does. Before that, with equal weights and without dropout, losses and gradients
in fp32 are compared; where they differ by more than rounding, the exit code is 1. (With dropout they cannot be equal:
ours keeps one mask for all steps of a batch.)
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from _common import format_table, new_parser, print_result
from torch import Tensor, nn
from torch.nn import functional as F

import nlp_lstm as nl
from nlp_lstm.models import autocast, detach
from nlp_lstm.training import keep_freed_memory

VOCAB_SIZE, SIZE, LAYERS, DROPOUT = 33_278, 200, 2, 0.2
ROWS, STEPS, CLIP, LEARNING_RATE = 20, 35, 0.25, 20.0
LARGEST_LOSS_DIFFERENCE, LARGEST_GRADIENT_DIFFERENCE = 1e-5, 1e-4  # relative; fp32 has 7 digits, sums lose some
LARGE_PAGES = "THP_MEM_ALLOC_ENABLE"
Batch = tuple[Tensor, Tensor]
"""Inputs and targets, (rows, steps) int64."""


class PlainModel(nn.Module):
    """The model on torch.nn alone; batches are (steps, rows), as torch's layers like them."""

    def __init__(self, vocab_size: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, SIZE)
        self.lstm = nn.LSTM(SIZE, SIZE, LAYERS, dropout=dropout)
        self.decoder = nn.Linear(SIZE, vocab_size)
        self.decoder.weight = self.embedding.weight
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Map ids (steps, rows) to logits (steps, rows, vocab_size) and the state."""
        output, state = self.lstm(self.dropout(self.embedding(ids)), state)
        return self.decoder(self.dropout(output)), state

    def loss(self, batch: Batch, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Mean nats of a token, and the state."""
        inputs, targets = (ids.t().contiguous() for ids in batch)
        logits, state = self(inputs, state)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten()), state


def our_model(vocab_size: int, dropout: float) -> nl.LanguageModel:
    """The same model of this package."""
    options = nl.LanguageModelOptions(
        embedding_size=SIZE,
        hidden_size=SIZE,
        num_layers=LAYERS,
        tied=True,
        input_dropout=dropout,
        hidden_dropout=dropout,
        output_dropout=dropout,
    )
    return nl.LanguageModel(vocab_size, options)


def pairs(ours: nl.LanguageModel, plain: PlainModel) -> dict[str, tuple[nn.Parameter, nn.Parameter]]:
    """Each weight of ours with its counterpart."""
    found = {"embedding": (ours.embedding, plain.embedding.weight), "bias": (ours.output.bias, plain.decoder.bias)}
    for number, layer in enumerate(ours.layers):
        for name, parameter in layer.named_parameters():
            name = name.replace("_l0", f"_l{number}")
            found[name] = (parameter, getattr(plain.lstm, name))
    assert len(found) == len(list(plain.parameters())) == len(list(ours.parameters()))
    return found


def compare(vocab_size: int, batches: list[Batch]) -> dict[str, Any]:
    """Run two batches, the second on the state of the first, through equal weights; say how far the two are apart."""
    plain, ours = PlainModel(vocab_size, dropout=0.0), our_model(vocab_size, dropout=0.0)
    with torch.no_grad():
        for mine, its in pairs(ours, plain).values():
            its.copy_(mine)
    plain_state, our_state, losses = None, None, []
    for inputs, targets in batches[:2]:
        plain_loss, plain_state = plain.loss((inputs, targets), plain_state)
        our_loss, our_state = ours.loss(inputs, targets, our_state, 1 / targets.numel())
        plain_state, our_state = tuple(one.detach() for one in plain_state), detach(our_state)
        plain_loss.backward()
        our_loss.backward()
        losses.append((plain_loss.item(), our_loss.item()))
    gradients = {
        name: ((mine.grad - its.grad).abs().max() / its.grad.abs().max()).item()
        for name, (mine, its) in pairs(ours, plain).items()
    }
    furthest = max(gradients, key=gradients.__getitem__)
    difference = max(abs(a - b) / a for a, b in losses)
    return {
        "plain_loss": losses[-1][0],
        "our_loss": losses[-1][1],
        "loss_difference": difference,
        "gradient_difference": gradients[furthest],
        "furthest_gradient": furthest,
        "equal": difference <= LARGEST_LOSS_DIFFERENCE and gradients[furthest] <= LARGEST_GRADIENT_DIFFERENCE,
    }


def plain_step(vocab_size: int) -> Callable[[Batch], float]:
    """Return the training step as the example has it: all logits, and the update written out."""
    model, state = PlainModel(vocab_size, DROPOUT), None

    def step(batch: Batch) -> float:
        nonlocal state
        model.zero_grad()
        loss, state = model.loss(batch, state)
        state = tuple(one.detach() for one in state)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(parameter.grad, alpha=-LEARNING_RATE)
        return loss.item()

    return step


def our_step(vocab_size: int, precision: str) -> Callable[[Batch], float]:
    """Return the training step of this package, as nlp_lstm.fit makes it."""
    model, state = our_model(vocab_size, DROPOUT), None
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, fused=True)

    def step(batch: Batch) -> float:
        nonlocal state
        inputs, targets = batch
        with autocast(precision, inputs.device):
            loss, state = model.loss(inputs, targets, state, 1 / targets.numel())
        state = detach(state)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return step


VERSIONS: dict[str, Callable[[int], Callable[[Batch], float]]] = {
    "plain fp32": plain_step,
    "ours fp32": functools.partial(our_step, precision="fp32"),
    "ours bf16": functools.partial(our_step, precision="bf16"),
}


class Worker:
    """One version of the training in a process of its own."""

    def __init__(self, name: str, seed: int, threads: int, vocab_size: int, batches: list[Batch]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        os.environ.pop(LARGE_PAGES, None)
        if name != "plain fp32":
            os.environ[LARGE_PAGES] = "1"  # read by torch when it is imported, hence the process of its own
        self._process = context.Process(target=serve, args=(name, seed, threads, vocab_size, other))
        self._process.start()
        self._pipe.send([(inputs.numpy(), targets.numpy()) for inputs, targets in batches])

    def run(self, first: int, count: int) -> list[float]:
        """Train on `count` batches from number `first` on; return the milliseconds of each."""
        self._pipe.send((first, count))
        milliseconds: list[float] = self._pipe.recv()
        return milliseconds

    def close(self) -> None:
        """End the process."""
        self._pipe.send(None)
        self._process.join()


def serve(name: str, seed: int, threads: int, vocab_size: int, pipe: Connection) -> None:
    """Train in a worker's process, as many batches at a time as it is asked for."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    if name != "plain fp32":
        keep_freed_memory()
    step = VERSIONS[name](vocab_size)
    batches = [(torch.from_numpy(inputs), torch.from_numpy(targets)) for inputs, targets in pipe.recv()]
    while (asked := pipe.recv()) is not None:
        first, count = asked
        milliseconds = []
        for batch in batches[first : first + count]:
            start = time.perf_counter()
            step(batch)
            milliseconds.append(1000 * (time.perf_counter() - start))
        pipe.send(milliseconds)


def time_in_turn(workers: dict[str, Worker], rounds: int, turn: int) -> dict[str, Any]:
    """Give each worker `turn` batches, round after round; return milliseconds a batch and tokens a second.

    A first round warms up and is not counted. Every version sees all batches in the same order.
    """
    times: dict[str, list[float]] = {name: [] for name in workers}
    for number in range(rounds + 1):
        for name, worker in workers.items():
            taken = worker.run(number * turn, turn)
            times[name] += taken if number else []
    median = {name: statistics.median(values) for name, values in times.items()}
    return {
        name: {
            "ms_per_batch": median[name],
            "fastest_ms": min(values),
            "slowest_ms": max(values),
            "tokens_per_second": 1000 * ROWS * STEPS / median[name],
            "ratio": median["plain fp32"] / median[name],
        }
        for name, values in times.items()
    }


def read_batches(arguments: argparse.Namespace, count: int) -> tuple[int, list[Batch]]:
    """Return the vocabulary's size and `count` batches: from --data, or drawn so that frequency falls as 1 / rank."""
    if arguments.data is None:
        vocab_size = 1000 if arguments.smoke else VOCAB_SIZE
        chances = 1 / np.arange(1, vocab_size + 1)
        random = np.random.default_rng(arguments.seed)
        ids = random.choice(vocab_size, size=ROWS * STEPS * count + 1, p=chances / chances.sum())
    else:
        source = nl.load_text(nl.DataOptions(arguments.data)).split("train")
        tokenizer = nl.train_tokenizer("word", source, pretokenized=True)
        vocab_size, ids = tokenizer.vocab_size, nl.tokenize(source, tokenizer).ids
    stream = nl.TokenStream(ids, ROWS, STEPS)
    if len(stream) <= count and arguments.data is not None:
        raise SystemExit(f"{arguments.data} has {len(stream)} batches of {ROWS} x {STEPS}; {count + 1} are needed.")
    return vocab_size, [(batch.inputs, batch.targets) for batch, _ in zip(stream, range(count), strict=False)]


def main() -> int:
    """Compare, time, print."""
    parser = new_parser(__doc__)
    parser.add_argument("--data", metavar="FOLDER", help="a corpus split by spaces (default: generated token ids)")
    parser.add_argument("--rounds", type=int, default=8, help="turns of each version (default: 8)")
    parser.add_argument("--batches", type=int, default=5, help="batches in a turn (default: 5)")
    parser.add_argument("--threads", type=int, help="processor threads (default: what torch takes)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and generated ids (default: 0)")
    arguments = parser.parse_args()
    rounds, turn = (2, 1) if arguments.smoke else (arguments.rounds, arguments.batches)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    vocab_size, batches = read_batches(arguments, max(2, (rounds + 1) * turn))
    equality = compare(vocab_size, batches)
    threads = torch.get_num_threads()
    workers = {name: Worker(name, arguments.seed, threads, vocab_size, batches) for name in VERSIONS}
    timed = time_in_turn(workers, rounds, turn)
    for worker in workers.values():
        worker.close()
    header = ["", "ms/batch", "fastest", "slowest", "tokens/s", "times plain"]
    rows = [[name, *figures.values()] for name, figures in timed.items()]
    said = (
        f"{vocab_size:,} words; fp32 without dropout: loss {equality['plain_loss']:.6f} plain, "
        f"{equality['our_loss']:.6f} ours (relative difference {equality['loss_difference']:.1e}); "
        f"gradients differ by at most {equality['gradient_difference']:.1e} ({equality['furthest_gradient']})"
    )
    result = {"seed": arguments.seed, "vocab_size": vocab_size, "equality": equality, "speed": timed}
    print_result("word_lm_speed", threads, result, f"{format_table(header, rows)}\n\n{said}", arguments.json)
    if not equality["equal"]:
        print("The two models do not agree: the times compare different things.", file=sys.stderr)
    return 0 if equality["equal"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
