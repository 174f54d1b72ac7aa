"""Checkpoints and run folders that somebody made to do harm, when a run goes on."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nlp_lstm.errors import RunFolderError, TrainingError
from nlp_lstm.training import newest_checkpoint
from nlp_lstm.training._run_folder import earlier_config, make_folder

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
        earlier_config(tmp_path, {"recipe": "x", "config": {}})


def test_a_config_to_resume_that_is_no_file_or_too_large(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(RunFolderError, match="no plain file"):
        earlier_config(tmp_path, {"recipe": "x", "config": {}})
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").touch()
    os.truncate(tmp_path / "config.json", 2**31)
    with pytest.raises(RunFolderError, match="2,147,483,648 bytes; at most"):
        earlier_config(tmp_path, {"recipe": "x", "config": {}})
