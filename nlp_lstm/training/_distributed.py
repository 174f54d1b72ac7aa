"""Several processes that train one model, as `torchrun` starts them: who this one is, and what they tell each other."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn

from nlp_lstm.errors import TrainingError, UsageError
from nlp_lstm.training._rows import cut, length

_LAUNCHED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_PATIENCE = timedelta(hours=2)  # until another is taken for lost: the first one cuts the text into tokens meanwhile


class Describing(Protocol):
    """A task's object, as far as it hands over what it knows."""

    def describe(self, folder: str | Path) -> None:
        """Write all but the weights into a folder."""


def rank_here() -> int:
    """Number of this process among those that `torchrun` started together, from 0; 0 where it started none."""
    return int(os.environ["RANK"]) if _count_here() > 1 else 0


def _count_here() -> int:
    return int(os.environ["WORLD_SIZE"]) if all(os.environ.get(name) for name in _LAUNCHED) else 1


def launcher_here() -> list[str]:
    """Give what starts as many processes on this machine again; nothing for one alone."""
    count, here = _count_here(), os.environ.get("LOCAL_WORLD_SIZE", "1")
    if count == 1:
        return []
    return ["torchrun", *(["--standalone"] if here == str(count) else []), "--nproc-per-node", here]


def restarts_here() -> int:
    """How often `torchrun --max-restarts` has started the processes again because one of this machine had ended."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT") or 0)


def use_own_gpu(name: str) -> None:
    """Give each process of this machine its own CUDA device, where `--device` is `name`.

    Raises UsageError where there are fewer of them than processes.
    """
    if _count_here() == 1 or name not in ("auto", "cuda") or not torch.cuda.is_available():
        return
    here, devices = int(os.environ.get("LOCAL_WORLD_SIZE", 1)), torch.cuda.device_count()
    if here > devices:
        raise UsageError(
            f"There are {here} processes and {devices} CUDA devices on this machine. "
            f"Give --nproc-per-node {devices} to torchrun, or --device cpu."
        )
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))


class Processes:
    """The processes of one training: `count` of them, of which this is number `rank`.

    Each takes its rows of every batch, and what they find is summed. For one process, all of it costs nothing.
    """

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank, self.count = rank, count

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and prints."""
        return self.rank == 0

    def rows(self, number: int) -> slice:
        """Which of so many rows this process takes: neighbours, whose state it carries on."""
        return slice(self.rank * number // self.count, (self.rank + 1) * number // self.count)

    def part(self, batch: Any) -> tuple[Any, bool]:
        """Take this process's rows (dimension 0) of the tensors in a batch; and say whether there are any for it.

        Where there are fewer rows than processes it gets the first one, for its share of the work of the others.
        """
        if self.count == 1:
            return batch, True
        rows = self.rows(length(batch, 0) or 0)
        own = rows.stop > rows.start
        return cut(batch, rows if own else slice(0, 1), 0), own

    def sum(self, tensor: Tensor) -> Tensor:
        """Add up a tensor over the processes, in place; all get the same bits."""
        if self.count > 1:
            with self._together():
                dist.all_reduce(tensor)
        return tensor

    def sum_numbers(self, *values: float) -> list[float]:
        """Add up numbers over the processes, in double precision."""
        return [float(value) for value in self.sum(torch.tensor(values, dtype=torch.float64))]

    def of_first(self, value: float) -> float:
        """Give the first process's number to all."""
        return self.sum_numbers(value if self.first else 0.0)[0]

    def share(self, value: Any) -> Any:
        """Give the first process's tensors and plain values to all, on the processor."""
        if self.count == 1:
            return value
        packed = _pack(value) if self.first else torch.empty(0, dtype=torch.uint8)
        size = torch.tensor([len(packed)])
        with self._together():
            dist.broadcast(size, 0)
            packed = packed if self.first else torch.empty(int(size), dtype=torch.uint8)
            dist.broadcast(packed, 0)
        return value if self.first else _unpack(packed)

    def gather(self, value: Any) -> list[Any]:
        """Give the first process the tensors and plain values of all, in their order; the others get nothing."""
        if self.count == 1:
            return [value]
        packed = _pack(value)
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.count)]
        with self._together():
            dist.all_gather(sizes, torch.tensor([len(packed)]))
            padded = torch.zeros(int(max(sizes)), dtype=torch.uint8)
            padded[: len(packed)] = packed
            received = [torch.empty_like(padded) for _ in range(self.count)] if self.first else None
            dist.gather(padded, received, dst=0)
        return [_unpack(one[: int(size)]) for one, size in zip(received or [], sizes, strict=False)]

    @torch.no_grad()
    def sum_gradients(self, model: nn.Module, loss: Tensor) -> Tensor:
        """Add up the gradients, and the loss, which is returned; one message for all of them.

        A message before it says who has which: rows without a rare word leave its cluster out. DistributedDataParallel
        would divide by the number of processes, where the losses are scaled by the count over all of them already; send
        after each of the backward passes that are accumulated, unless told not to; and keep to the parameters that were
        trained when it was built, where layers are thawed later.
        """
        if self.count == 1:
            return loss
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        there = loss.new_tensor([parameter.grad is not None for parameter in parameters])
        for parameter, found in zip(parameters, self.sum(there).tolist(), strict=True):
            if found and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        trained = [parameter for parameter in parameters if parameter.grad is not None]
        gradients = [parameter.grad.reshape(-1) for parameter in trained if parameter.grad is not None]
        whole = self.sum(torch.cat([loss.reshape(1), *gradients]))
        pieces = whole[1:].split([gradient.numel() for gradient in gradients])
        for parameter, piece in zip(trained, pieces, strict=True):
            parameter.grad = piece.view_as(parameter)
        return whole[0]

    def equalize(self, model: nn.Module) -> None:
        """Give the first process's weights and buffers to all."""
        if self.count > 1:
            with self._together():
                for tensor in (*model.parameters(), *model.buffers()):
                    dist.broadcast(tensor.detach(), 0)

    def hand_over(self, task: Describing) -> None:
        """Give the others the files, tokenizers among them, for which they wait in `receive`."""
        if self.first and self.count > 1:
            with tempfile.TemporaryDirectory() as folder:
                task.describe(folder)
                files = [path for path in Path(folder).rglob("*") if path.is_file()]
                self.share({path.relative_to(folder).as_posix(): path.read_bytes() for path in files})

    def receive(self, folder: Path) -> None:
        """Write the files that the first process hands over into a folder."""
        for name, content in self.share(None).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def leave(self) -> None:
        """End the group when all have come here; this process is one alone from now on."""
        if self.count > 1:
            with self._together():
                dist.barrier()
            dist.destroy_process_group()
        self.rank, self.count = 0, 1

    @contextmanager
    def _together(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise TrainingError(
                f"Process {self.rank} of {self.count} (counted from 0) has lost the others: one of them has ended, and "
                "says why in a message of its own. --debug shows how it was lost."
            ) from error


def join(device: torch.device) -> Processes:
    """Meet the other processes that `torchrun` started; without it, this one is alone.

    Messages between processors go by gloo, those between CUDA devices by nccl. Raises TrainingError where the others
    are not found, UsageError for a device over which nothing can be sent.
    """
    count = _count_here()
    if count == 1:
        return Processes()
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"Several processes cannot train on {device.type}. Give --device cpu.")
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        if "TORCHELASTIC_RUN_ID" in os.environ:  # of torchrun; others set no more than what _LAUNCHED names
            from nlp_lstm.training._meeting import meet  # here, since some builds of torch have no such stores

            store, rank, _ = meet(_PATIENCE)
            dist.init_process_group(backend, timeout=_PATIENCE, store=store, rank=rank, world_size=count)
        else:
            dist.init_process_group(backend, timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise TrainingError(f"The {count} processes did not meet at {where} ({error}). Start them again.") from None
    return Processes(dist.get_rank(), count)


def _pack(value: Any) -> Tensor:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return torch.frombuffer(buffer.getbuffer(), dtype=torch.uint8)


def _unpack(packed: Tensor) -> Any:
    return torch.load(io.BytesIO(packed.numpy().tobytes()), map_location="cpu", weights_only=True)
