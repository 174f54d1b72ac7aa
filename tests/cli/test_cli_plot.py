"""`nlp-lstm plot`: curves as text and as a picture."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nlp_lstm.cli import main


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    for name, losses in (("first", [4.0, 2.0, 1.0]), ("second", [3.0, 3.5])):
        (tmp_path / name).mkdir()
        lines = [{"step": 10 * n, "seconds": float(n), "valid_loss": loss} for n, loss in enumerate(losses)]
        (tmp_path / name / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return [str(tmp_path / "first"), str(tmp_path / "second")]


def test_marks_stand_where_the_points_are(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", *runs, "--x", "step"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line[12:].ljust(64) for line in lines[:16]]
    # The largest value is in the first row, the smallest in the last; steps 0, 10, 20 are columns 0, 31.5 and 63.
    assert (rows[0][0], rows[15][63]) == ("o", "o")
    assert rows[10][32] == "o"  # (4 - 2) / 3 of 15 rows down
    assert (rows[5][0], rows[2][32]) == ("x", "x")
    assert sum(row.count("o") for row in rows) == 3
    assert lines[0].split("|")[0].strip() == "4"
    assert lines[15].split("|")[0].strip() == "1"
    assert lines[17].split() == ["0", "20"]
    assert lines[19:] == [
        f"  o {runs[0]}: 3 points, lowest 1 at 20",
        f"  x {runs[1]}: 2 points, lowest 3 at 0",
    ]


def test_a_single_point_has_a_plot_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"seconds": 3, "valid_loss": 2.5}\n')
    assert main(["plot", str(tmp_path)]) == 0
    assert "1 points, lowest 2.5 at 3" in capsys.readouterr().out


@pytest.mark.parametrize("ending", [".png", ".svg"])
def test_a_picture_is_written_whole(runs: list[str], tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"curves{ending}"
    assert main(["plot", *runs, "--output", str(path)]) == 0
    assert path.read_bytes()[:4] == b"\x89PNG" if ending == ".png" else b"<svg" in path.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["first", "second", path.name])


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (["--x", "minutes"], 2, "--x minutes is nothing that a run writes down. Allowed: step, epoch, seconds"),
        (["--output", "curves.doc"], 2, "Give a name that ends in .png"),
        (["--y", "train_loss"], 1, "line 1, has no numbers for seconds and train_loss"),
        (["nowhere"], 1, "There is no run folder nowhere. Name one that `nlp-lstm train` wrote."),
        ([str(n) for n in range(9)], 2, "11 runs are too many"),
    ],
)
def test_a_wrong_call_is_one_line(
    runs: list[str], capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, part: str
) -> None:
    assert main(["plot", *runs, *arguments]) == code
    error = capsys.readouterr().err
    assert part in error
    assert error.count("\n") == 1


def test_a_name_that_no_folder_can_have_is_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", "n" * 5000]) == 1
    error = capsys.readouterr().err
    assert "cannot be read: File name too long" in error
    assert error.count("\n") == 1


def test_a_folder_without_metrics_is_no_whole_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", str(tmp_path)]) == 1
    assert f"{tmp_path} is no whole run: metrics.jsonl is missing" in capsys.readouterr().err


def test_a_run_without_a_validation_yet_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "metrics.jsonl").write_text("")
    assert main(["plot", str(tmp_path)]) == 1
    assert "has no line yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (os.mkfifo, "is no plain file"),
        (lambda path: path.symlink_to("/dev/zero"), "leads out of the run folder"),
        (lambda path: (path.touch(), os.truncate(path, 2**31)), "has 2,147,483,648 bytes; at most"),
        (lambda path: path.write_bytes(b"\xff\n"), "line 1, has no numbers for seconds and valid_loss: '\ufffd'"),
        (lambda path: path.write_text("[" * 100_000), "line 1, has no numbers"),
        (lambda path: path.write_text('{"seconds": 1, "valid_loss": 1%s}\n' % ("0" * 400)), "line 1, has no numbers"),
    ],
)
def test_what_a_stranger_put_there_is_refused(
    make: Callable[[Path], Any], part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "metrics.jsonl")
    assert main(["plot", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert part in error
    assert str(tmp_path / "metrics.jsonl") in error
    assert error.count("\n") == 1


def test_numbers_of_any_size_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(f'{{"seconds": {x}, "valid_loss": {x}}}\n' for x in ("-1.7e308", "0", "1.7e308")))
    assert main(["plot", str(tmp_path)]) == 0
    rows = [line[12:].ljust(64) for line in capsys.readouterr().out.splitlines()[:16]]
    assert (rows[0][63], rows[8][32], rows[15][0]) == ("o", "o", "o")
    path.write_text('{"seconds": 1e17, "valid_loss": 1e17}\n')  # half more or less is the same number
    assert main(["plot", str(tmp_path)]) == 0
    assert sum(line.count("o") for line in capsys.readouterr().out.splitlines()[:16]) == 1
