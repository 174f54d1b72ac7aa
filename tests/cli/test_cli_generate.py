"""`nlp-lstm generate` with a prompt and with lines on stdin; the conversation has a file of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from nlp_lstm.cli import _terminal, main


def generate(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run `nlp-lstm generate run` and return exit code, stdout and stderr."""
    code = main(["generate", "run", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Put `data` on stdin."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


def test_prompt_gives_the_continuation_and_one_line_end(task: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate(capsys, "--prompt", "Ah") == (0, "<Ah|n=400|s=None|t=1.0>é\nsecond line\n", "")
    assert generate(capsys, "--prompt", "no line end")[1] == "<no line end|n=400|s=None|t=1.0>é.\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_control_characters_reach_a_pipe_and_no_terminal(
    terminal: bool, task: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "a\x1b[2Jb\x00\x7f\x9bé\tc\n"
    monkeypatch.setattr(task, "stream", lambda prompt, **options: iter([text]))
    monkeypatch.setattr(_terminal, "is_terminal", lambda stream: terminal)
    shown = "a\u241b[2Jb\u2400\u2421\ufffdé\tc\n"
    assert generate(capsys, "--prompt", "x")[1] == (shown if terminal else text)


def test_an_empty_prompt_starts_from_nothing(task: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate(capsys, "--prompt", "")[1].startswith("<|n=400")


def test_options_reach_the_model(task: Any, capsys: pytest.CaptureFixture[str]) -> None:
    out = generate(capsys, "--prompt", "Ah", "--max_tokens", "5", "--seed", "9", "--temperature", "0.5")[1]
    assert out.startswith("<Ah|n=5|s=9|t=0.5>")


def test_every_sampling_flag_reaches_the_sampling_options(
    task: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(task, "stream", lambda prompt, **options: seen.append(options["options"]) or iter(["x"]))
    flags = ["--temperature=0.5", "--top-k=4", "--top-p=0.9", "--min-p=0.1", "--repetition-penalty=1.5"]
    assert generate(capsys, "--prompt", "Ah", *flags)[:2] == (0, "x\n")
    (options,) = seen
    assert (options.temperature, options.top_k, options.top_p) == (0.5, 4, 0.9)
    assert (options.min_p, options.repetition_penalty) == (0.1, 1.5)


def test_samples_are_separated_and_numbered_on_stderr(task: Any, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, error = generate(capsys, "--prompt", "Ah", "--samples", "2", "--top-k", "3", "--seed", "1")
    assert code == 0
    assert out == "Ah 0 n=400 k=3 s=1\n\nAh 1 n=400 k=3 s=1\n"
    assert error == "sample 1 of 2:\nsample 2 of 2:\n"


def test_one_line_in_gives_one_line_out(
    task: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    feed(monkeypatch, "é one\n\nthree\r\nno line end".encode())
    code, out, error = generate(capsys, "--seed", "4", "--max-tokens", "7")
    assert (code, error) == (0, "")
    assert out == "<é one|n=7|s=4|t=1.0>é\n\n<three|n=7|s=6|t=1.0>é\n<no line end|n=7|s=7|t=1.0>é.\n"


@pytest.mark.parametrize("line_end", ["\n", "\r", "\r\n"])
def test_the_model_is_stopped_at_the_first_line_end(
    line_end: str, task: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = []

    def endless(prompt: str, **options: Any) -> Any:
        try:
            yield from ["a", f"b{line_end}c"]
            raise AssertionError("asked for more than the line")
        finally:
            closed.append(prompt)

    monkeypatch.setattr(task, "stream", endless)
    feed(monkeypatch, b"x\ny\n")
    assert generate(capsys)[:2] == (0, "ab\nab\n")
    assert closed == ["x", "y"]


def test_lines_are_answered_one_at_a_time(process: Callable[..., subprocess.Popen[bytes]]) -> None:
    """A program can hold a dialogue through pipes: each answer comes before the next line is asked for."""
    running = process("generate", "run", stdin=subprocess.PIPE)
    assert running.stdin is not None
    assert running.stdout is not None
    for line in (b"first", b"second"):
        running.stdin.write(line + b"\n")
        running.stdin.flush()
        assert running.stdout.readline().startswith(b"<" + line)
    out, error = running.communicate()
    assert (running.returncode, out, error) == (0, b"", b"")


def test_what_is_not_utf8_is_replaced_and_its_line_named(
    task: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    feed(monkeypatch, b"good\nab\xff\nlast\n")
    code, out, error = generate(capsys)
    assert code == 0
    assert [line.partition("|")[0] for line in out.splitlines()] == ["<good", "<ab\ufffd", "<last"]
    assert error.startswith("Standard input, line 2: not UTF-8 text")


def test_no_stdin_at_all(task: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    code, _, error = generate(capsys)
    assert code == 2
    assert "Give one with --prompt TEXT." in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-tokens", "0"], "--max-tokens must be at least 1, not 0."),
        (["--samples", "0", "--prompt", "x"], "--samples must be at least 1, not 0."),
        (["--samples", "2"], "--samples needs --prompt."),
        (["--seed", "-1"], "--seed must be 0 or more, not -1."),
        (["--temperature", "-1", "--prompt", "x"], "--temperature is -1.0; it must be"),
        (["--top-k", "many"], "--top-k must be a whole number, not 'many'."),
        (["--prompt", os.fsdecode(b"ab\xff")], "--prompt is not UTF-8 text at character 3."),
        (["--top-q", "1"], "There is no option --top-q. Did you mean --top-p?"),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, task: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, error = generate(capsys, *arguments)
    assert (code, out) == (2, "")
    assert error.startswith(f"nlp-lstm: {message}")
    assert error.count("\n") == 1


def test_a_run_of_another_kind_is_refused(
    task: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(task, "kind", "text_classification")
    code, out, error = generate(capsys, "--prompt", "x")
    assert (code, out) == (2, "")
    assert "run holds a model for text classification; generate takes a language model." in error


def test_ctrl_c_ends_the_text_with_a_line_end(
    task: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(prompt: str, **options: Any) -> Any:
        yield "half a wo"
        raise KeyboardInterrupt

    monkeypatch.setattr(task, "stream", interrupted)
    assert generate(capsys, "--prompt", "x")[:2] == (130, "half a wo\n")
