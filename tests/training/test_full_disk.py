"""A disk that is full, or a file that may grow no further: what was saved before stays, and the message says so."""

from __future__ import annotations

import errno
import io
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nlp_lstm.errors import TrainingError
from nlp_lstm.tasks import write_text, write_weights
from nlp_lstm.training import Run, newest_checkpoint
from nlp_lstm.training._checkpoint import write_tensors

NewRun = Callable[..., Run]


class FullDisk(io.BytesIO):
    """A file on a disk that has room for a thousand bytes."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > 1000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let the system itself refuse what would make a file of this process longer, with EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


WRITERS: dict[str, Callable[[Path], None]] = {
    "checkpoint": lambda path: write_tensors(path, {"weights": [torch.ones(50, 60)]}),
    "weights": lambda path: write_weights(path, nn.Linear(50, 60)),
    "text": lambda path: write_text(path, "words " * 2000),
}


@pytest.mark.parametrize("name", WRITERS)
def test_what_the_system_refuses_is_its_error_with_the_name_of_the_file(name: str, tmp_path: Path) -> None:
    path, write = tmp_path / name, WRITERS[name]
    path.write_bytes(b"the one before")
    with files_of_at_most(5000), pytest.raises(OSError, match=os.strerror(errno.EFBIG)) as caught:
        write(path)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert [one.name for one in tmp_path.iterdir()] == [name]
    assert path.read_bytes() == b"the one before"
    write(path)
    assert path.stat().st_size > 5000


def test_a_failure_that_is_not_the_disks_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises((AttributeError, TypeError, RuntimeError)):
        write_tensors(tmp_path / "checkpoint", {"function": lambda: None})
    assert list(tmp_path.iterdir()) == []


def fill_the_disk_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Give the checkpoint of a step no room."""
    whole = Path.open

    def opened(path: Path, *arguments: Any, **options: Any) -> Any:
        full = path.name.startswith(f".step-{step:09d}.pt")
        return FullDisk() if full else whole(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", opened)


def test_a_full_disk_leaves_the_checkpoint_before_and_says_how_to_go_on(
    new_run: NewRun, scripted: Any, train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"max_steps": 6, "validations": 1, "checkpoint_steps": 1}
    run = new_run(**options)
    with monkeypatch.context() as patch:
        fill_the_disk_at(patch, 4)
        with pytest.raises(TrainingError) as caught:
            train(scripted([1.0]), run)
    assert str(caught.value) == (
        f"There is no space left on the disk while writing {run.folder}/checkpoints/step-000000004.pt. What was saved "
        f"before is whole: free some space. To go on: {run.resume_command}"
    )
    names = sorted(path.name for path in (run.folder / "checkpoints").iterdir())
    assert names == ["step-000000002.pt", "step-000000003.pt"]
    assert newest_checkpoint(run.folder)["numbers"]["step"] == 3
    assert train(scripted([1.0]), new_run(**options, resume=True)).steps == 6


def test_a_disk_that_is_full_from_the_start_leaves_nothing_to_resume(
    new_run: NewRun, scripted: Any, train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_the_disk_at(monkeypatch, 0)
    run = new_run()
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as caught:  # the command line says what to do
        train(scripted([1.0]), run)
    assert caught.value.filename == str(run.folder / "checkpoints" / "step-000000000.pt")
