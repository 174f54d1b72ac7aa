"""The conversation: its commands with a stand-in for input(), and its keys on a real pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nlp_lstm.cli import _entries
from nlp_lstm.cli._conversation import Conversation
from nlp_lstm.errors import DataError

TIMEOUT = 30  # seconds; only a hanging program ever waits so long


@pytest.fixture
def talk(stand_in: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Hold a conversation with these entries and Ctrl-D at the end; returns stdout and stderr."""
    sampling = stand_in.fake_modules(None)["nlp_lstm.decoding"].SamplingOptions()

    def hold(*entries: str | BaseException, seed: int | None = None, model: Any = None) -> tuple[str, str]:
        remaining: Iterator[str | BaseException] = iter(entries)

        def read(prompt: str = "") -> str:
            entry = next(remaining, EOFError())
            if isinstance(entry, BaseException):
                raise entry
            return entry

        monkeypatch.setattr("builtins.input", read)
        monkeypatch.setattr(_entries, "is_terminal", lambda stream: True)
        Conversation(model or stand_in.FakeConversation(), sampling, 400, seed).run()
        assert next(remaining, None) is None
        captured = capsys.readouterr()
        return captured.out, captured.err

    return hold


def test_entries_continue_one_running_text_on_new_lines(talk: Any) -> None:
    out, _ = talk("one", "", "two")
    assert out.splitlines() == [
        "['one' t=1.0 k=0 n=400 s=None]",
        "['one'+'' t=1.0 k=0 n=400 s=None]",
        "['one'+''+'\\ntwo' t=1.0 k=0 n=400 s=None]",
    ]


def test_no_line_end_is_added_where_the_text_stopped_at_one(talk: Any, stand_in: ModuleType) -> None:
    class EndsItsLine(stand_in.FakeConversation):  # type: ignore[misc, name-defined]
        def stream(self, text: str = "", **options: Any) -> Iterator[str]:
            yield repr(text) + "\n"

    assert talk("one", "two", model=EndsItsLine())[0] == "'one'\n'two'\n"


def test_the_first_entry_may_be_empty(talk: Any) -> None:
    assert talk("", "one")[0].splitlines()[1].startswith("[''+'\\none'")


def test_commands_change_how_the_next_text_is_drawn(talk: Any) -> None:
    out, error = talk(":temperature 0.5", ":top-k 7", ":max_tokens 9", ":seed 3", "x", ":temperature", ":seed")
    assert out == "['x' t=0.5 k=7 n=9 s=3]\n"
    assert "temperature is 0.5\n" in error
    assert "seed is 4\n" in error


def test_a_seed_gives_each_text_the_next_number_and_repeats(talk: Any) -> None:
    lines = talk("a", "b", ":reset", ":seed 5", "a", seed=5)[0].splitlines()
    assert [line.rpartition("s=")[2] for line in lines] == ["5]", "6]", "5]"]
    assert lines[0] == lines[2]


@pytest.mark.parametrize(
    "command", ["temperature", "top-k", "top-p", "min-p", "repetition-penalty", "max-tokens", "seed"]
)
def test_help_names_every_setting_and_each_shows_its_value(command: str, talk: Any) -> None:
    _, error = talk(":help", f":{command}")
    assert f":{command} " in error
    assert f"\n{command} is " in error


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (":temperature -1", ":temperature is -1.0; it must be"),
        (":temperature hot", ":temperature takes a number, not 'hot'."),
        (":top-k 1.5", ":top-k takes a whole number, not '1.5'."),
        (":top-p 2", ":top-p is 2.0; it must be"),
        (":max-tokens 0", ":max-tokens must be at least 1, not 0."),
        (":seed -1", ":seed must be at least 0, not -1."),
        (":tmeperature 1", "There is no command named ':tmeperature'. Did you mean ':temperature'?"),
        (":save", "Name the file: :save FILE."),
        (":save no-such-folder/x.txt", "There is no folder no-such-folder"),
    ],
)
def test_what_is_wrong_gets_one_line_and_the_conversation_goes_on(entry: str, message: str, talk: Any) -> None:
    out, error = talk(entry, "x")
    assert out == "['x' t=1.0 k=0 n=400 s=None]\n"
    line = error.splitlines()[1]  # after the welcome
    assert line.startswith(message)
    assert len(error.splitlines()) == 3  # the welcome, the line, and the line end after Ctrl-D


def test_an_error_of_the_model_gets_one_line_and_the_conversation_goes_on(talk: Any, stand_in: ModuleType) -> None:
    class Refuses(stand_in.FakeConversation):  # type: ignore[misc, name-defined]
        def stream(self, text: str = "", **options: Any) -> Iterator[str]:
            if text == "bad":
                raise DataError("Not this\ntext.")
            yield "fine"

    out, error = talk("bad", "good", model=Refuses())
    assert out == "fine\n"
    assert "\nNot this text.\n" in error


def test_reset_forgets_the_text_and_starts_on_no_new_line(talk: Any) -> None:
    out, error = talk("one", ":reset", "two")
    assert out.splitlines()[1].startswith("['two' ")
    assert "forgotten" in error


def test_save_writes_what_was_said_and_refuses_to_overwrite(talk: Any, tmp_path: Path) -> None:
    file = tmp_path / "talk.txt"
    _, error = talk("é", f":save {file}", "again", f":save {file}")
    assert file.read_text(encoding="utf-8") == "> é\n['é' t=1.0 k=0 n=400 s=None]\n"
    assert f"Saved to {file}." in error
    assert f"{file} is already there; name another file." in error


def test_quit_leaves_and_ctrl_c_at_the_prompt_says_how(talk: Any) -> None:
    out, error = talk(KeyboardInterrupt(), ":quit")
    assert out == ""
    assert "Ctrl-D or :quit leaves" in error


class Terminal:
    """A process on a pseudo-terminal that it controls, so that Ctrl-C typed there is a signal here."""

    def __init__(self, process: Callable[..., subprocess.Popen[bytes]], *arguments: str, **streams: Any) -> None:
        self.master, slave = pty.openpty()
        settings = termios.tcgetattr(slave)
        settings[3] |= termios.NOFLSH  # otherwise Ctrl-C throws away what the program has just written
        termios.tcsetattr(slave, termios.TCSANOW, settings)
        self.process = process(
            *arguments,
            environment={"TERM": "dumb", "INPUTRC": os.devnull},
            **{"stdin": slave, "stdout": slave, "stderr": slave, **streams},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.seen = ""

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def type_until(self, key: str, text: str) -> None:
        """Type a key until `text` appears; input() misses a signal that comes just before it starts to wait."""
        for _ in range(TIMEOUT):
            self.type(key)
            if self.appears(text, 1):
                return
        raise AssertionError(f"{key!r} did not bring {text!r}, only {self.seen[-500:]!r}")

    def read_until(self, text: str) -> str:
        """Return what appears from here up to and with `text`."""
        assert self.appears(text, TIMEOUT), f"{text!r} did not appear, only {self.seen[-500:]!r}"
        before, found, self.seen = self.seen.partition(text)
        return before + found

    def appears(self, text: str, seconds: float) -> bool:
        """Read until `text` is there (True) or nothing comes for so long (False)."""
        while text not in self.seen:
            ready, _, _ = select.select([self.master], [], [], seconds)
            if not ready:
                return False
            try:
                self.seen += os.read(self.master, 4096).decode("utf-8", "replace")
            except OSError:  # EIO: the other side has closed
                raise AssertionError(f"ended before {text!r}: {self.seen[-500:]!r}") from None
        return True

    def end(self) -> int:
        """Wait for the process while reading what is left; returns its exit code."""
        while select.select([self.master], [], [], TIMEOUT)[0]:
            try:
                if not os.read(self.master, 4096):
                    break
            except OSError:
                break
        os.close(self.master)
        return self.process.wait(TIMEOUT)


@pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")
def test_ctrl_c_stops_the_text_and_ctrl_d_the_program(process: Callable[..., subprocess.Popen[bytes]]) -> None:
    terminal = Terminal(process, "generate", "run")
    terminal.read_until("> ")
    terminal.type("forever\n")
    terminal.read_until("ab ab ab ")
    terminal.type("\x03")
    terminal.read_until("\n> ")  # the prompt is back: the text has stopped, the program has not
    terminal.type_until("\x03", "Ctrl-D or :quit leaves")
    terminal.read_until("Ctrl-D or :quit leaves")
    terminal.read_until("> ")
    terminal.type("go on é\n")
    assert "['forever'+'\\ngo on é' t=1.0" in terminal.read_until("s=None]")
    terminal.read_until("> ")
    terminal.type("\x04")
    assert terminal.end() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")
def test_the_arrow_key_brings_the_last_entry_back(process: Callable[..., subprocess.Popen[bytes]]) -> None:
    pytest.importorskip("readline")
    terminal = Terminal(process, "generate", "run")
    terminal.read_until("> ")
    terminal.type("wrong\n")
    terminal.read_until("s=None]")
    terminal.read_until("> ")
    terminal.type("\x1b[A\x7f\x7f\x7f\x7f\x7fright\n")  # up, five backspaces
    assert "['wrong'+'\\nright' " in terminal.read_until("s=None]")
    terminal.read_until("> ")
    terminal.type(":quit\n")
    assert terminal.end() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")
def test_the_prompt_does_not_land_in_a_file(process: Callable[..., subprocess.Popen[bytes]], tmp_path: Path) -> None:
    with (tmp_path / "out.txt").open("wb") as out:
        terminal = Terminal(process, "generate", "run", stdout=out)
        terminal.read_until("> ")
        terminal.type("x\n")
        terminal.read_until("> ")
        terminal.type("\x04")
        assert terminal.end() == 0
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == "['x' t=1.0 k=0 n=400 s=None]\n"
