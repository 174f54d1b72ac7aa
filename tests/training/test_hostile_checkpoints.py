"""Checkpoints and run folders that somebody made to do harm, when a run goes on."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nlp_lstm.errors import RunFolderError, TrainingError
from nlp_lstm.training import Run, metrics_lines, newest_checkpoint
from nlp_lstm.training._restored import MisfitError, copy_tensors, part_of
from nlp_lstm.training._run_folder import earlier_config, make_folder
from nlp_lstm.training._state import TrainingState

NewRun = Callable[..., Run]

STATE = {"weights": [torch.arange(100.0)], "step": 7}


def link_outside(path: Path) -> None:
    torch.save(STATE, path.parents[2] / "outside.pt")
    path.symlink_to(path.parents[2] / "outside.pt")


def compress(path: Path) -> None:
    torch.save(STATE, path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def claim_gigabytes(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"x" * 100)
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\1\2")  # of the directory at the end: both sizes stand 20 bytes behind
    content[entry + 20 : entry + 28] = (2**31).to_bytes(4, "little") * 2
    path.write_bytes(content)


HOSTILE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "pipe": (os.mkfifo, "it is no plain file"),
    "folder": (os.mkdir, "it is no plain file"),
    "link outside": (link_outside, "it is a link that leads out of the run folder"),
    "link to itself": (lambda path: path.symlink_to(path.name), ""),
    "device": (lambda path: path.symlink_to("/dev/zero"), "it is a link that leads out of the run folder"),
    "pickle": (lambda path: torch.save(STATE, path, _use_new_zipfile_serialization=False), "not a zip file"),
    "compressed": (compress, "it is compressed, which no checkpoint is"),
    "gigabytes": (claim_gigabytes, "it unpacks to more than it is"),
    "list": (lambda path: torch.save([STATE], path), "it holds no state of a training"),
    "tensor": (lambda path: torch.save(torch.ones(3), path), "it holds no state of a training"),
    "sparse": (lambda path: (path.touch(), os.truncate(path, 2**31)), "not a zip file"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_checkpoint_is_named_and_the_one_before_it_taken(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    make, reason = HOSTILE[kind]
    make(folder / "step-000000009.pt")
    with pytest.raises(TrainingError, match="no checkpoint that loads"):
        newest_checkpoint(tmp_path / "run")
    assert "step-000000009.pt does not load (" in (told := capsys.readouterr().err)
    assert reason in told
    assert len(told) < 1000
    torch.save(STATE, folder / "step-000000008.pt")
    assert newest_checkpoint(tmp_path / "run")["step"] == 7


@pytest.mark.parametrize("length", range(0, 1200, 111))
def test_a_truncated_checkpoint_does_not_load(length: int, tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "step-000000001.pt"
    path.parent.mkdir()
    torch.save(STATE, path)
    os.truncate(path, length)
    with pytest.raises(TrainingError, match="no checkpoint that loads"):
        newest_checkpoint(tmp_path)


def test_a_long_description_is_not_gone_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "checkpoints").mkdir()
    torch.save(STATE, tmp_path / "checkpoints" / "step-000000001.pt")
    monkeypatch.setattr("nlp_lstm.training._checkpoint._LONGEST_PICKLE", 10)
    with pytest.raises(TrainingError, match="no checkpoint that loads"):
        newest_checkpoint(tmp_path)
    assert "its description has more than 10 bytes" in capsys.readouterr().err


def test_checkpoints_that_lie_elsewhere_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "run" / "checkpoints").symlink_to(tmp_path / "theirs")
    with pytest.raises(RunFolderError, match="checkpoints is a link that leads out of the run folder"):
        make_folder(tmp_path / "run")
    make_folder(tmp_path / "run" / "another")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[" * 100_000, "is not valid JSON"),
        (b'{"a": ' + b"[" * 60 + b"]" * 60 + b"}", "nested more than 50 deep"),
        (b'{"config": [], "recipe": "x", "command": "y"}', "does not describe a run"),
        (b"\xff", "is not valid JSON"),
    ],
)
def test_a_hostile_config_of_a_run_to_resume(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(RunFolderError, match=words):
        earlier_config(tmp_path, {"recipe": "x", "config": {}}, None)


def test_a_config_to_resume_that_is_no_file_or_too_large(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(RunFolderError, match="no plain file"):
        earlier_config(tmp_path, {"recipe": "x", "config": {}}, None)
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").touch()
    os.truncate(tmp_path / "config.json", 2**31)
    with pytest.raises(RunFolderError, match="2,147,483,648 bytes; at most"):
        earlier_config(tmp_path, {"recipe": "x", "config": {}}, None)


def first_of(state: dict[str, Any]) -> dict[str, Any]:
    """What the optimiser had gathered for the first parameter."""
    found: dict[str, Any] = state["optimizer"][0]["state"][0]
    return found


# What is wrong with the values of a checkpoint that loads, and how that is said.
WRONG: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "optimizer of numbers": (lambda state: state.update(optimizer=[3]), "param_groups is missing or no list"),
    "optimizer of nothing": (lambda state: state.update(optimizer=[]), "optimizer has 0 parts where 1 are expected"),
    "no optimizer": (lambda state: state.pop("optimizer"), "optimizer is missing or no list"),
    "optimizer without a state": (lambda state: state["optimizer"][0].pop("state"), "state is missing or no dict"),
    "optimizer of another model": (
        lambda state: state["optimizer"][0]["param_groups"][0].update(params=[0, 1]),
        "optimizer puts other parameters together",
    ),
    "groups that are none": (lambda state: state["optimizer"][0].update(param_groups=[7]), "params is missing"),
    "a parameter too many": (
        lambda state: state["optimizer"][0]["state"].update({1: first_of(state)}),
        "optimizer has a parameter 1 of 1",
    ),
    "a parameter with a name": (
        lambda state: state["optimizer"][0]["state"].update(weight=first_of(state)),
        "optimizer has a parameter 'weight' of 1",
    ),
    "an average too many": (
        lambda state: first_of(state).update(other=torch.ones(1, 2)),
        "optimizer, parameter 0, holds other values than exp_avg, exp_avg_sq, step",
    ),
    "an average too few": (lambda state: first_of(state).pop("exp_avg"), "holds other values than exp_avg,"),
    "averages that are none": (
        lambda state: state["optimizer"][0]["state"].update({0: 5}),
        "holds other values than exp_avg,",
    ),
    "a small average": (
        lambda state: first_of(state).update(exp_avg_sq=torch.ones(1)),
        "exp_avg_sq, is torch.float32 of shape [1], not numbers of shape [1, 2]",
    ),
    "an average that is no tensor": (lambda state: first_of(state).update(exp_avg="x"), "exp_avg, is 'x', not numbers"),
    "a step for each": (lambda state: first_of(state).update(step=torch.ones(2)), "not numbers of shape []"),
    "weights to spread": (
        lambda state: state.update(weights=[torch.ones(1)]),
        "weights, tensor 0, is torch.float32 of shape [1], not numbers of shape [1, 2]",
    ),
    "whole numbers for weights": (
        lambda state: state.update(best_weights=[torch.ones(1, 2, dtype=torch.int64)]),
        "best_weights, tensor 0, is torch.int64",
    ),
    "weights too many": (
        lambda state: state.update(average=[torch.ones(1, 2)]),
        "average has 1 tensors where 0 are expected",
    ),
    "no numbers": (lambda state: state.update(numbers=3), "numbers is missing or no dict"),
    "a number too few": (lambda state: state["numbers"].pop("best"), "best is None, and no finite number"),
    "a step before the first": (lambda state: state["numbers"].update(step=-1), "step is -1, and no count"),
    "restarts in words": (lambda state: state["numbers"].update(restarts="x"), "restarts is 'x', and no count"),
    "a count of truth": (lambda state: state["numbers"].update(items=True), "items is True, and no count"),
    "endless time": (lambda state: state["numbers"].update(elapsed=float("inf")), "elapsed is inf, and no finite"),
    "a best that is no number": (lambda state: state["numbers"].update(best=float("nan")), "best is nan, and no"),
    "a carry in words": (lambda state: state.update(carry=((None, "x"),)), "carry holds 'x', which is no tensor"),
    "a carry without rows": (lambda state: state.update(carry=(torch.ones(3),)), "shape [3], which are no rows"),
    "a carry of whole numbers": (
        lambda state: state.update(carry=(torch.ones(3, 2, dtype=torch.int64),)),
        "carry holds torch.int64 of shape [3, 2]",
    ),
    "a carry of two minds": (
        lambda state: state.update(carry=(torch.ones(3, 2), torch.ones(4, 2))),
        "carry has tensors of 3 and of 4 rows",
    ),
    "a carry without end": (lambda state: state.update(carry=((((((),),),),),)), "carry is nested more than 4 deep"),
    "weights without numbers": (
        lambda state: state.update(weights=[torch.ones(1, 2, device="meta")]),
        "weights, tensor 0, is torch.float32 of shape [1, 2]",
    ),
    "no carry": (lambda state: state.pop("carry"), "carry is missing"),
    "no total": (lambda state: state.pop("total"), "total is missing"),
    "totals": (lambda state: state.update(total=torch.ones(3)), "total, is torch.float32 of shape [3]"),
    "no data": (lambda state: state.pop("data"), "data is missing or no str"),
    "generators that are none": (lambda state: state.update(generators=[3]), "hold a process without states"),
    "a process without generators": (lambda state: state.update(generators=[[]]), "hold a process without states"),
    "generators of numbers": (
        lambda state: state.update(generators=[[torch.zeros(3)]]),
        "generators hold a state that",
    ),
    "generators of the wrong size": (
        lambda state: state.update(generators=[[torch.zeros(3, dtype=torch.uint8)]]),
        "generators hold a state that is none (",
    ),
    "generators of another process": (
        lambda state: state["generators"].append([torch.zeros(3, dtype=torch.uint8)]),
        "generators hold a state that is none (",
    ),
}


def spoil(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)


@pytest.mark.parametrize("kind", WRONG)
def test_a_checkpoint_that_does_not_fit_is_named_and_the_one_before_it_taken(
    kind: str, new_run: NewRun, scripted: Any, train: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    change, reason = WRONG[kind]
    run = new_run(max_steps=4, validations=1, checkpoint_steps=1, keep=2)
    train(scripted([1.0]), run)
    before, newest = sorted((run.folder / "checkpoints").iterdir())
    spoil(newest, change)
    whole = before.read_bytes()
    spoil(before, change)
    with pytest.raises(TrainingError, match=f"^{re.escape(str(newest))} does not fit the model .*Train anew"):
        train(scripted([1.0]), new_run(max_steps=6, validations=1, resume=True))
    before.write_bytes(whole)
    capsys.readouterr()
    assert train(scripted([1.0]), new_run(max_steps=6, validations=1, resume=True)).steps == 6
    told = capsys.readouterr().err
    line, kept = [line for line in told.splitlines() if str(newest) in line]
    assert kept == f"{newest}, from which this run does not go on, is kept as skipped-{newest.name}."
    assert line.startswith(f"{newest} does not fit the model (")
    assert reason in line
    assert line.endswith("); trying the one before it.")
    assert "Going on from step 3 of" in told


@pytest.mark.parametrize("where", ["begin", "middle", "end"])
def test_a_byte_that_has_flipped_is_found(
    where: str, new_run: NewRun, scripted: Any, train: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run = new_run(max_steps=4, validations=1, checkpoint_steps=1)
    train(scripted([1.0]), run)
    newest = run.folder / "checkpoints" / "step-000000004.pt"
    content = bytearray(newest.read_bytes())
    with zipfile.ZipFile(newest) as archive:
        record = max((archive.read(name) for name in archive.namelist() if "/data/" in name), key=len)
    content[content.index(record) + {"begin": 0, "middle": len(record) // 2, "end": len(record) - 1}[where]] ^= 0x10
    newest.write_bytes(content)
    assert torch.load(newest, weights_only=True)  # torch itself sees nothing of it
    assert train(scripted([1.0]), new_run(max_steps=6, validations=1, resume=True)).steps == 6
    told = capsys.readouterr().err
    assert f"{newest} does not load (the checksum of " in told
    assert "Going on from step 3 of" in told


def test_what_sgd_has_gathered_is_held_against_its_parameters_too(new_run: NewRun, scripted: Any, train: Any) -> None:
    run = new_run(max_steps=2, validations=1, optimizer="sgd", keep=1)
    train(scripted([1.0]), run)
    (path,) = (run.folder / "checkpoints").iterdir()
    spoil(path, lambda state: first_of(state).update(momentum_buffer=torch.ones(99)))
    with pytest.raises(TrainingError, match=r"momentum_buffer, is torch.float32 of shape \[99\]"):
        train(scripted([1.0]), new_run(max_steps=4, validations=1, optimizer="sgd", resume=True))


def test_neither_settings_nor_strides_of_an_optimizer_are_taken_from_a_checkpoint(
    new_run: NewRun, scripted: Any, train: Any
) -> None:
    run = new_run(max_steps=2, validations=1, checkpoint_steps=1)
    train(scripted([1.0]), run)
    values = newest_checkpoint(run.folder)
    values["optimizer"][0]["param_groups"][0].update(betas=("x", "y"), fused="no", lr=1e9)
    first_of(values).update(exp_avg=torch.tensor(0.25).expand(1, 2))  # one number in memory, two in shape
    state = TrainingState(scripted([1.0]), run)
    before = state.optimizer.state_dict()[0]["param_groups"]
    state.restore(values)
    (part,) = state.optimizer.parts
    assert part.state_dict()["param_groups"] == before
    average = part.state_dict()["state"][0]["exp_avg"]
    assert average.tolist() == [[0.25, 0.25]]
    assert average.stride() == (2, 1)


def test_parts_are_looked_at_one_by_one() -> None:
    assert part_of({"a": [1]}, "a", list) == [1]
    with pytest.raises(MisfitError, match="a is missing or no dict"):
        part_of([1], "a", dict)
    place = torch.zeros(2)
    copy_tensors("weights", [place], [torch.ones(2, dtype=torch.float64)])
    assert place.tolist() == [1, 1]
    with pytest.raises(MisfitError, match=r"weights, tensor 0, is torch.float32 of shape \[2\], not numbers"):
        copy_tensors("weights", [place], [torch.ones(2).to_sparse()])


@pytest.fixture
def trained(new_run: NewRun, scripted: Any, train: Any) -> Run:
    """A run of four steps, with a line a step, that goes on to six."""
    train(scripted([1.0] * 4), new_run(max_steps=4, validations=4))
    return new_run(max_steps=6, validations=6, resume=True)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (os.mkfifo, "no plain file"),
        (os.mkdir, "no plain file"),
        (lambda path: path.symlink_to("/dev/zero"), "leads out of the run folder"),
        (lambda path: (path.touch(), os.truncate(path, 2**31)), "2,147,483,648 bytes; at most"),
    ],
)
def test_metrics_that_are_no_file_of_the_run_are_refused(
    make: Callable[[Path], Any], words: str, trained: Run, scripted: Any, train: Any
) -> None:
    path = trained.folder / "metrics.jsonl"
    path.unlink()
    make(path)
    with pytest.raises(RunFolderError, match=f"metrics.jsonl .*{words}"):
        train(scripted([1.0] * 9), trained)


def test_metrics_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "metrics.jsonl").touch()

    def fail(self: Path, **_: Any) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", fail)
    with pytest.raises(RunFolderError, match=r"metrics.jsonl cannot be read: Permission denied"):
        metrics_lines(tmp_path)


def test_lines_that_are_none_of_a_run_are_dropped(trained: Run, scripted: Any, train: Any, metrics: Any) -> None:
    with (trained.folder / "metrics.jsonl").open("ab") as file:
        file.write(b"[" * 100_000 + b'\n\xff\n[1]\n{"step": "x"}\n{"step": 5}\n')
    train(scripted([1.0] * 9), trained)
    assert [line["step"] for line in metrics(trained)] == [1, 2, 3, 4, 5, 6]
    assert all("valid_loss" in line for line in metrics(trained))


def test_a_link_to_nothing_in_the_place_of_the_metrics_is_not_written_through(
    trained: Run, scripted: Any, train: Any, metrics: Any, tmp_path: Path
) -> None:
    path = trained.folder / "metrics.jsonl"
    path.unlink()
    path.symlink_to(tmp_path / "theirs")
    train(scripted([1.0] * 9), trained)
    assert not (tmp_path / "theirs").exists()
    assert [line["step"] for line in metrics(trained)] == [5, 6]
