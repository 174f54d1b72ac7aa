"""What a person sees: numbers in words, and a bar on a terminal."""

from __future__ import annotations

import io
import math
import sys

import pytest

from nlp_lstm.training._progress import Progress, clock, describe_loss


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0:00"), (65, "1:05"), (599.6, "10:00"), (3600, "1:00:00"), (7389, "2:03:09")]
)
def test_clock(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_a_loss_in_three_units() -> None:
    assert describe_loss(math.log(1024)) == "loss 6.9315, perplexity 1,024.00, 10.000 bits"
    assert "perplexity inf" in describe_loss(1e6)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_has_a_bar_with_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = Progress("token", describe_loss)
    assert progress.due()
    progress.show(0.25, math.log(8), 1234.4, 30.0)
    assert not progress.due()
    progress.line("a note")
    progress.close()
    shown = terminal.getvalue()
    assert " 25%|" in shown
    assert "loss 2.0794 | 1,234 tokens/s | 1:30 left" in shown
    assert "a note\n" in shown


def test_a_file_has_lines_alone(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("token", describe_loss)
    progress.show(0.5, 1.0, 10.0, 3.0)
    progress.validated(7, 0.5, 1.5, math.log(2), 2000.0, True)
    progress.close()
    assert capsys.readouterr().err == (
        " 50% | step 7 | train 1.5000 | valid loss 0.6931, perplexity 2.00, 1.000 bits, best so far | 2,000 tokens/s\n"
    )
