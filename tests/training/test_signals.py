"""SIGTERM to a real `nlp-lstm train`: the first saves and says how to go on, the second ends it at once."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nlp_lstm.errors import Stopped
from nlp_lstm.training import newest_checkpoint
from nlp_lstm.training._interrupt import Interrupt

ROOT = Path(__file__).parents[2]
RECIPE = Path(__file__).with_name("waiting_recipe.py")
LONGEST = 300  # seconds: stops what hangs, and is no verdict on speed


@contextlib.contextmanager
def training(arguments: list[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run `nlp-lstm` with arguments in a folder, and end it with the block."""
    running = subprocess.Popen(
        [sys.executable, "-m", "nlp_lstm", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def read_waiting(running: subprocess.Popen[str]) -> None:
    """Wait until the training waits itself."""
    assert running.stdout is not None
    line = running.stdout.readline()
    assert line == "waiting\n", (line, running.communicate(timeout=LONGEST))


def go_on(running: subprocess.Popen[str]) -> None:
    """Let the training go on from where it waits."""
    assert running.stdin is not None
    running.stdin.write("\n")
    running.stdin.flush()


def newest_step(folder: Path) -> int:
    step: int = newest_checkpoint(folder)["numbers"]["step"]
    return step


def test_one_sigterm_saves_and_a_second_one_does_not_wait(tmp_path: Path) -> None:
    with training(["train", str(RECIPE), "--threads", "1"], tmp_path) as running:
        read_waiting(running)
        running.send_signal(signal.SIGTERM)
        go_on(running)
        read_waiting(running)  # the step goes on all the same
        _, error = running.communicate("\n", timeout=LONGEST)
        assert running.returncode == 128 + signal.SIGTERM == 143, error
    stopped, said = error.splitlines()[-2:]
    folder = Path("runs") / RECIPE.stem
    command = f"nlp-lstm train {shlex.quote(str(RECIPE))} --threads 1 --run {folder} --resume"
    assert stopped == f"Stopped at step 3; saved. To go on: {command}"
    assert said == "nlp-lstm: stopped."
    assert newest_step(tmp_path / folder) == 3
    with training(shlex.split(command)[1:], tmp_path) as running:
        read_waiting(running)  # in its third step, after two checkpoints more
        running.send_signal(signal.SIGTERM)
        go_on(running)
        read_waiting(running)
        running.send_signal(signal.SIGTERM)
        _, error = running.communicate(timeout=LONGEST)
        assert running.returncode == 143, error
    assert f"Going on from step 3 of {folder}." in error
    assert error.endswith("nlp-lstm: stopped.\n")
    assert "Traceback" not in error
    assert "saved" not in error
    assert newest_step(tmp_path / folder) == 5


@pytest.mark.parametrize(("first", "second"), [(signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)])
def test_the_exit_code_is_that_of_the_signal_that_ended_it(first: signal.Signals, second: signal.Signals) -> None:
    with Interrupt() as interrupt:
        signal.raise_signal(first)
        assert interrupt.signal == first
        with pytest.raises(Stopped) as caught:
            signal.raise_signal(second)
    assert caught.value.exit_code == 128 + second
