"""`nlp-lstm cells`: the table of the zoo."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from nlp_lstm.cells import CELLS
from nlp_lstm.cli import main


def test_the_table_names_every_cell_with_its_paper(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cells"]) == 0
    captured = capsys.readouterr()
    head, *lines = captured.out.splitlines()
    assert head.split() == ["cell", "parameters", "state", "paper"]
    assert [line.split()[0] for line in lines] == [*CELLS, "convlstm1d", "convlstm2d"]
    assert all(layer.cell.paper in captured.out for layer in CELLS.values())
    assert captured.err == ""


def test_the_numbers_are_those_of_the_equations(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cells", "--input-size", "10", "--hidden-size", "20", "--json"]) == 0
    rows = {row["cell"]: row for row in json.loads(capsys.readouterr().out)}
    i, h = 10, 20
    expected = {
        "rnn": (h * (i + h) + 2 * h, h),
        "lstm": (4 * h * (i + h) + 8 * h, 2 * h),
        "gru": (3 * h * (i + h) + 6 * h, h),
        "gru_reset_before": (3 * h * (i + h) + 3 * h, h),
        "peephole": (4 * h * (i + h) + 7 * h, 2 * h),
        "cifg": (3 * h * (i + h) + 3 * h, 2 * h),
        "layer_norm_lstm": (4 * h * (i + h) + 14 * h, 2 * h),
        "lstmp": (4 * h * (i + h // 2) + 8 * h + h * h // 2, h + h // 2),
        "mogrifier": (4 * h * (i + h) + 4 * h + 5 * i * h, 2 * h),
        "multiplicative": (4 * h * (i + h) + 4 * h + h * (i + h), 2 * h),
        "slstm": (4 * h * (i + h) + 4 * h, 4 * h),
        "minlstm": (3 * h * (i + 1), h),
        "mingru": (2 * h * (i + 1), h),
        "qrnn": (3 * h * (2 * i + 1), 5 * h),
        "convlstm1d": (4 * h * (3 * (i + h) + 1), 2 * h),
        "convlstm2d": (4 * h * (9 * (i + h) + 1), 2 * h),
    }
    assert {name: (row["parameters"], row["state_size"]) for name, row in rows.items() if name in expected} == expected
    assert rows["slstm"]["state"] == {"h": h, "c": h, "n": h, "m": h}
    assert rows["lstm"]["input_size"] == i
    assert "train_ms" not in rows["lstm"]


def test_measure_adds_the_time_of_a_training_step(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--input-size", "3", "--hidden-size", "4", "--measure"]
    assert main(["cells", *sizes, "--json"]) == 0
    captured = capsys.readouterr()
    rows = {row["cell"]: row for row in json.loads(captured.out)}
    assert all(rows[name]["train_ms"] > 0 for name in CELLS)
    ratio = rows["gru"]["train_ratio_to_nn_lstm_fp32"] / rows["rnn"]["train_ratio_to_nn_lstm_fp32"]
    assert ratio == pytest.approx(rows["gru"]["train_ms"] / rows["rnn"]["train_ms"])
    assert "32 steps of 32 sequences" in captured.err
    assert main(["cells", *sizes]) == 0
    head, first, *_ = capsys.readouterr().out.splitlines()
    assert "x nn.LSTM" in head
    assert float(first.split()[3]) > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hidden-size", "0"], "--hidden-size 0 must be at least 1."),
        (["--input-size", "-3"], "--input-size -3 must be at least 1."),
        (["--hiden-size", "3"], "There is no option --hiden-size. Did you mean --hidden-size?"),
    ],
)
def test_wrong_calls(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cells", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err


def test_help_does_not_import_torch() -> None:
    program = "import sys; from nlp_lstm.cli import main; print(main(['cells', '--help']), 'torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "0 False"
    assert "--measure" in result.stdout
