"""Threads: `--threads` of every command that runs a model, and how those that wait for each other wait."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import nlp_lstm.tasks
from nlp_lstm.cli import main
from nlp_lstm.errors import RunFolderError

ROOT = Path(__file__).parents[2]
CALLS = {
    "generate": ["generate", "run", "--prompt", "x"],
    "translate": ["translate", "run"],
    "classify": ["classify", "run"],
    "evaluate": ["evaluate", "run"],
    "compare": ["compare", "run", "run"],
}


@pytest.fixture
def threads_at_load(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many threads torch had when a run was to be loaded, which then fails; 3 is what it has before."""
    before, seen = torch.get_num_threads(), []

    def load(folder: Any) -> None:
        seen.append(torch.get_num_threads())
        raise RunFolderError("There is no run.")

    monkeypatch.setattr(nlp_lstm.tasks, "load", load)
    torch.set_num_threads(3)
    yield seen
    torch.set_num_threads(before)


@pytest.mark.parametrize("command", CALLS)
def test_a_command_computes_with_the_threads_it_was_given(command: str, threads_at_load: list[int]) -> None:
    for options in ([], ["--threads", "0"], ["--threads", "1"]):
        assert main([*CALLS[command], *options]) == 1
    assert threads_at_load == [3, 3, 1]


@pytest.mark.parametrize("command", [*CALLS, "train"])
def test_the_option_is_the_same_everywhere(
    command: str, threads_at_load: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    call = CALLS.get(command, ["train", "char_lm"])
    assert main([*call, "--help"]) == 0
    help_text = " ".join(capsys.readouterr().out.split())
    assert "--threads N processor threads to use; 0 takes what the machine offers. (default: 0)" in help_text
    assert main([*call, "--threads", "-1"]) == 2
    assert capsys.readouterr().err == "nlp-lstm: --threads -1 must be a finite number, not below 0.\n"
    assert threads_at_load == []


IMPORTS = """
import json, os, sys
from nlp_lstm.cli import main

NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "THP_MEM_ALLOC_ENABLE")

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(json.dumps({name: os.environ[name] for name in NAMES if name in os.environ}), flush=True)
            os._exit(0)  # torch's own start is not waited for

sys.meta_path.insert(0, Watch())
main(["generate", "run", "--prompt", "x"])
"""


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ({}, {"GOMP_SPINCOUNT": "1000", "THP_MEM_ALLOC_ENABLE": "1"}),
        (
            {"GOMP_SPINCOUNT": "77", "THP_MEM_ALLOC_ENABLE": "0"},
            {"GOMP_SPINCOUNT": "77", "THP_MEM_ALLOC_ENABLE": "0"},
        ),
        ({"OMP_WAIT_POLICY": "passive"}, {"OMP_WAIT_POLICY": "passive", "THP_MEM_ALLOC_ENABLE": "1"}),
    ],
    ids=["as it is", "the user's numbers", "the user's policy"],
)
def test_how_threads_wait_is_settled_before_torch_is_loaded(given: dict[str, str], seen: dict[str, str]) -> None:
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "THP_MEM_ALLOC_ENABLE")
    environment = {name: value for name, value in os.environ.items() if name not in names} | given
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == seen
