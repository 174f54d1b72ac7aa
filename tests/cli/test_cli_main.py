"""The frame of the command: help, exit codes, one-line errors, and what happens to stdout."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import nlp_lstm
from nlp_lstm.cli import main
from nlp_lstm.cli._commands import COMMANDS, Command
from nlp_lstm.errors import DataError, RunFolderError, Stopped, UsageError

RECIPE = (Path(__file__).parent / "toy_recipe.py").read_text(encoding="utf-8")
ROOT = Path(__file__).parents[2]

Process = Callable[..., "subprocess.Popen[bytes]"]


class Failing:
    """A module of a subcommand whose run raises."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def run(self, arguments: list[str]) -> int:
        print("half a result")
        raise self.error


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Add a subcommand `fail` that raises the given error."""

    def add(error: BaseException) -> None:
        monkeypatch.setitem(sys.modules, "nlp_lstm.cli._fail", Failing(error))  # type: ignore[arg-type]
        monkeypatch.setitem(COMMANDS, "fail", Command("_fail", "fail", "fails"))

    return add


def test_help_lists_every_command_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    for command in COMMANDS.values():
        assert f"  {command.usage} " in captured.out
        assert command.summary in captured.out
    assert main(["-h"]) == 0


def test_no_command_is_a_wrong_call_and_leaves_stdout_empty(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "usage: nlp-lstm" in captured.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"nlp-lstm {nlp_lstm.__version__}\n"


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help_on_stdout(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"usage: nlp-lstm {command}")
    assert captured.err == ""


def test_unknown_command_asks_did_you_mean(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian", "x"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("nlp-lstm: There is no command named 'trian'. Did you mean 'train'?")


def test_unknown_option_before_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--versoin"]) == 2
    assert "Did you mean '--version'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UsageError("Wrong\n  call."), 2, "Wrong call."),
        (DataError("Bad data."), 1, "Bad data."),
        (RunFolderError("Bad run."), 1, "Bad run."),
        (KeyboardInterrupt(), 130, "stopped."),
        (Stopped(15), 143, "stopped."),
        (SystemExit(3), 3, ""),
        (SystemExit(None), 0, ""),
        (SystemExit("No\nluck."), 1, "No luck."),
        (MemoryError(), 1, "The memory is not enough."),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 1, "The memory is not enough."),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), 1, "The memory is not enough."),
        (
            OSError(errno.ENOSPC, "No space left on device", "model.safetensors"),
            1,
            "There is no space left on the disk",
        ),
        (PermissionError(errno.EACCES, "Permission denied", b"x.txt"), 1, "Cannot use x.txt: Permission denied."),
        (ValueError("a\nb"), 1, "unexpected ValueError: a b; --debug shows the traceback"),
        (ZeroDivisionError(), 1, "unexpected ZeroDivisionError; --debug shows the traceback"),
        (BrokenPipeError(), 141, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_every_error_is_one_line_and_an_exit_code(
    error: BaseException,
    code: int,
    line: str,
    failing: Callable[[BaseException], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing(error)
    assert main(["fail"]) == code
    captured = capsys.readouterr()
    assert captured.out == "half a result\n"
    lines = captured.err.strip().splitlines()
    assert len(lines) == (1 if line else 0)
    assert captured.err.strip().startswith(f"nlp-lstm: {line}" if line else "")


@pytest.mark.parametrize("arguments", [["--debug", "fail"], ["fail", "--debug"], ["fail", "--debug", "x"]])
def test_debug_anywhere_shows_the_traceback(
    arguments: list[str], failing: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    failing(UsageError("Wrong call."))
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "Traceback (most recent call last)" in error
    assert error.endswith("nlp-lstm: Wrong call.\n")


def test_debug_after_a_lone_double_hyphen_is_a_word_like_any_other(
    failing: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    failing(UsageError("Wrong call."))
    assert main(["fail", "--", "--debug"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_help_imports_no_torch() -> None:
    """The start-up time promised for --help cannot be kept with torch, datasets or tokenizers in it."""
    script = """
import sys
from nlp_lstm.cli import main
for call in (["--help"], ["train", "char_lm", "--help"], ["generate", "--help"], ["evaluate", "--help"], ["recipes"]):
    assert main(call) == 0, call
    heavy = {"torch", "datasets", "tokenizers", "sentencepiece"} & set(sys.modules)
    assert not heavy, (call, heavy)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--max-time" in done.stdout


def recipe_file(folder: Path, body: str) -> str:
    """Write a recipe whose main runs `body`."""
    file = folder / "mine.py"
    file.write_text(RECIPE.replace("    print(config)\n", body), encoding="utf-8")
    return str(file)


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path, process: Process) -> None:
    file = recipe_file(tmp_path, "    while True:\n        print('a line')\n")
    running = process("train", file)
    assert running.stdout is not None
    assert running.stdout.readline() == b"a line\n"
    running.stdout.close()  # what `| head -1` does
    assert running.stderr is not None
    assert running.stderr.read() == b""
    assert running.wait(timeout=120) == 141
    running.stderr.close()


def test_ctrl_c_exits_130_without_a_traceback(tmp_path: Path, process: Process) -> None:
    file = recipe_file(tmp_path, "    import signal\n    print('ready', flush=True)\n    while True: signal.pause()\n")
    running = process("train", file)
    assert running.stdout is not None
    assert running.stdout.readline() == b"ready\n"
    running.send_signal(signal.SIGINT)
    out, error = running.communicate(timeout=120)
    assert (running.returncode, out, error) == (130, b"", b"\nnlp-lstm: stopped.\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_stdout_gets_a_sentence(process: Process) -> None:
    with Path("/dev/full").open("w") as full:
        running = process("--help", stdout=full)
        _, error = running.communicate(timeout=120)
    assert running.returncode == 1
    assert error.startswith(b"nlp-lstm: There is no space left on the disk")
    assert error.count(b"\n") == 1


def test_utf8_whatever_the_locale_says(process: Process) -> None:
    latin = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "latin-1"}
    running = process("generate", "run", environment=latin, stdin=subprocess.PIPE)
    out, error = running.communicate("日本\n".encode(), timeout=120)
    assert (running.returncode, error) == (0, b"")
    assert out.decode("utf-8") == "<日本|n=400|s=None|t=1.0>é\n"


def test_closed_streams_do_not_matter(process: Process) -> None:
    def close_both() -> None:
        os.close(0)
        os.close(1)

    running = process("--help", stdin=None, stdout=None, preexec_fn=close_both)
    _, error = running.communicate(timeout=120)
    assert (running.returncode, error) == (0, b"")


def test_a_script_hands_over_to_the_command(tmp_path: Path) -> None:
    """`python recipe.py` takes the same options, and the file is not run a second time."""
    file = tmp_path / "mine.py"
    ending = (
        "\n\nif __name__ == '__main__':\n    import nlp_lstm\n    raise SystemExit(nlp_lstm.run_recipe(__file__))\n"
    )
    file.write_text(RECIPE.replace("SMOKE =", "print('once')\nSMOKE =") + ending, encoding="utf-8")
    command = [sys.executable, str(file), "--hidden_size", "5", "--seed=-1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    wrong = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "once\n")
    assert wrong.stderr == "nlp-lstm: These settings do not go together: --seed -1 is negative.\n"
    right = subprocess.run(command[:-1], env=environment, capture_output=True, text=True, check=False)
    assert right.returncode == 0
    assert right.stdout.startswith("once\nConfig(hidden_size=5,")
