"""`nlp-lstm recipes` and `nlp-lstm copy`."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlp_lstm.cli import main
from nlp_lstm.cli._files import write_new
from nlp_lstm.cli._recipe_files import recipes_folder, shipped_recipes

RECIPE = (Path(__file__).parent / "toy_recipe.py").read_text(encoding="utf-8")


def test_recipes_prints_name_and_first_line_without_running_them(
    recipes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (recipes / "a.py").write_text('"""First of\n\nmany."""\nraise SystemExit(9)\n', encoding="utf-8")
    assert main(["recipes"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "a       First of\ntoy_lm  Train a toy that prints what it was given.\n"
    assert captured.err == ""


def test_the_real_recipes_are_found_and_each_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert recipes_folder().is_dir()
    names = list(shipped_recipes())
    assert "char_lm" in names
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == names
    assert all(len(line.split()) > 3 for line in lines)


def test_recipes_takes_no_words(recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "all"]) == 2
    assert "There is a word too many: 'all'." in capsys.readouterr().err


def test_copy_prints_the_path_and_says_how_to_train(recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["copy", "toy-lm"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "toy_lm.py\n"
    assert "nlp-lstm train toy_lm.py" in captured.err
    assert Path("toy_lm.py").read_text(encoding="utf-8") == RECIPE
    assert main(["train", captured.out.strip()]) == 0


def test_copy_to_a_path_and_into_a_folder(recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("sub").mkdir()
    assert main(["copy", "toy_lm", "mine.py"]) == 0
    assert main(["copy", "toy_lm", "sub"]) == 0
    assert capsys.readouterr().out == "mine.py\nsub/toy_lm.py\n"
    assert Path("sub/toy_lm.py").read_text(encoding="utf-8") == Path("mine.py").read_text(encoding="utf-8") == RECIPE


def test_copy_writes_over_nothing_without_force(recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("toy_lm.py").write_text("my work", encoding="utf-8")
    assert main(["copy", "toy_lm"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "nlp-lstm: toy_lm.py is already there; --force writes over it.\n"
    assert Path("toy_lm.py").read_text(encoding="utf-8") == "my work"
    assert main(["copy", "toy_lm", "--force"]) == 0
    assert Path("toy_lm.py").read_text(encoding="utf-8") == RECIPE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["toy_ml"], "There is no recipe named 'toy_ml'. Did you mean 'toy_lm'?"),
        ([], "RECIPE is missing."),
        (["toy_lm", "nowhere/mine.py"], "There is no folder nowhere to write mine.py in."),
    ],
)
def test_copy_refuses(arguments: list[str], message: str, recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["copy", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"nlp-lstm: {message}")


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        write_new(tmp_path / "file", "good \ud800 bad", overwrite=False, hint="")
    assert list(tmp_path.iterdir()) == []
