"""`nlp-lstm train`: how a Config is filled, what is refused, and what --help shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nlp_lstm.cli import main

RECIPE = (Path(__file__).parent / "toy_recipe.py").read_text(encoding="utf-8")


def train(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run `nlp-lstm train` and return exit code, stdout and stderr."""
    code = main(["train", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_defaults(recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, error = train(capsys, "toy_lm")
    assert (code, error) == (0, "")
    assert out == (
        "Config(hidden_size=8, cell='lstm', tied=True, rate=0.1, dims=(1, 2), out=PosixPath('here'), "
        "training=TrainingOptions(max_time='3m', seed=0))\n"
    )


def test_a_recipe_is_found_by_name_with_hyphens_and_by_path(recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = {train(capsys, recipe)[1] for recipe in ("toy_lm", "toy-lm", str(recipes / "toy_lm.py"))}
    assert len(outputs) == 1


@pytest.mark.parametrize("arguments", [["--hidden-size", "5"], ["--hidden_size", "5"], ["--hidden_size=5"]])
def test_hyphens_and_underscores(arguments: list[str], recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "hidden_size=5" in train(capsys, "toy_lm", *arguments)[1]


def test_underscores_in_values_stay(recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "max_time='--a_b'" in train(capsys, "toy_lm", "--max_time=--a_b")[1]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--tied"], "tied=True"),
        (["--tied", "false"], "tied=False"),
        (["--tied=true"], "tied=True"),
        (["--dims", "[3,4,5]"], "dims=(3, 4, 5)"),
        (["--rate", "1e-4"], "rate=0.0001"),
        (["--out", "a/b"], "out=PosixPath('a/b')"),
        (["--max-time", "null"], "max_time=None"),
        (["--max-time", "85"], "max_time='85'"),
        (["--cell", "gru"], "cell='gru'"),
    ],
)
def test_types(arguments: list[str], expected: str, recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = train(capsys, "toy_lm", *arguments)
    assert code == 0
    assert expected in out


def test_layers_go_defaults_smoke_yaml_flags(recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def values(*arguments: str) -> tuple[str, str]:
        out = train(capsys, "toy_lm", *arguments)[1]
        hidden_size, seed = re.search(r"hidden_size=(\d+)", out), re.search(r"seed=(\d+)", out)
        assert hidden_size
        assert seed
        return hidden_size[1], seed[1]

    assert values() == ("8", "0")
    assert values("--smoke") == ("1", "7")
    assert values("--config", "large") == ("64", "0")
    assert values("--config", "large", "--smoke") == ("64", "7")
    assert values("--hidden-size", "3", "--config", "large", "--smoke") == ("3", "7")
    assert values("--smoke", "--seed", "0") == ("1", "0")


def test_yaml_numbers_become_what_the_field_is(recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = train(capsys, "toy_lm", "--config", str(recipes / "configs" / "large.yaml"))[1]
    assert "rate=0.001" in out
    assert "max_time='90'" in out


def test_a_copied_recipe_finds_the_configs_of_its_origin(recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.py").write_text(RECIPE, encoding="utf-8")
    assert "hidden_size=64" in train(capsys, "mine.py", "--config", "large")[1]
    Path("configs").mkdir()
    Path("configs/large.yaml").write_text("hidden_size: 65\n", encoding="utf-8")
    assert "hidden_size=65" in train(capsys, "mine.py", "--config", "large")[1]


def test_an_empty_yaml_changes_nothing(recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty.yaml").write_text("\n", encoding="utf-8")
    assert train(capsys, "toy_lm", "--config", "empty.yaml") == train(capsys, "toy_lm")


def test_print_config_is_flat_yaml_that_gives_itself_back(recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, error = train(capsys, "toy_lm", "--max-time", "null", "--rate", "1e-5", "--print-config")
    assert (code, error) == (0, "")
    assert out.splitlines()[:3] == ["hidden_size: 8", "cell: lstm", "tied: true"]
    assert "max_time: null" in out
    assert "smoke" not in out
    Path("again.yaml").write_text(out, encoding="utf-8")
    assert train(capsys, "toy_lm", "--config", "again.yaml", "--print_config")[1] == out


def test_print_config_refuses_what_training_would_refuse(recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(capsys, "toy_lm", "--seed=-1", "--print-config")[:2] == (2, "")


def test_help_shows_every_field_with_docstring_and_default(recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, error = train(capsys, "toy_lm", "--help")
    assert (code, error) == (0, "")
    flat = " ".join(out.split())
    assert "Train a toy that prints what it was given." in flat
    assert "--hidden-size N width of the layer, 100% of it on two lines. (default: 8)" in flat
    assert "--cell {lstm,gru} the kind of cell. (default: lstm)" in flat
    assert "--tied [true|false] share the tables. (default: true)" in flat
    assert "--dims VALUE (default: [1, 2])" in flat
    assert "--max-time TEXT budget of time. (default: 3m)" in flat
    assert "--rate X" in flat
    assert "not shown" not in flat
    for option in ("--smoke", "--config FILE.yaml", "--print-config"):
        assert option in flat


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "The recipe comes first: nlp-lstm train RECIPE [options]."),
        (["--seed", "1", "toy_lm"], "The recipe comes first"),
        (["toy_ml"], "There is no recipe named 'toy_ml'. Did you mean 'toy_lm'? Allowed: toy_lm."),
        (["missing.py"], "There is no recipe file missing.py."),
        (["toy_lm", "--hiden-size", "3"], "There is no option --hiden-size. Did you mean --hidden-size?"),
        (["toy_lm", "--seed", "abc"], "--seed must be a whole number, not 'abc'."),
        (["toy_lm", "--seed", "1.5"], "--seed must be a whole number, not '1.5'."),
        (["toy_lm", "--rate", "fast"], "--rate must be a number, not 'fast'."),
        (["toy_lm", "--tied", "maybe"], "--tied must be true or false, not 'maybe'."),
        (["toy_lm", "--cell", "rnn"], "--cell must be one of lstm, gru, not 'rnn'."),
        (["toy_lm", "--dims", "3"], "--dims must be a list such as"),
        (["toy_lm", "--seed"], "--seed needs a value."),
        (["toy_lm", "--max-time", "-x"], "--max-time needs a value. One that begins with a hyphen is written"),
        (["toy_lm", "--see", "3"], "There is no option --see. Did you mean --seed?"),  # no abbreviations
        (["toy_lm", "--seed", "-3"], "These settings do not go together: --seed -3 is negative."),
        (["toy_lm", "extra"], "There is a word too many: 'extra'."),
        (
            ["toy_lm", "--config", "lareg"],
            "There is no configuration for --config named 'lareg'. Did you mean 'large'?",
        ),
        (["toy_lm", "--config", "no.yaml"], "--config: there is no file no.yaml."),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, recipes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, error = train(capsys, *arguments)
    assert (code, out) == (2, "")
    assert error.startswith(f"nlp-lstm: {message}")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "hiden_size: 3\ncel: gru\n",
            "'hiden_size' is no setting of this recipe. Did you mean hidden_size? 'cel' is no",
        ),
        ("smoke: true\n", "'smoke' is no setting of this recipe."),
        ("seed: many\n", "seed must be a whole number, not 'many'."),
        ("seed: null\n", "seed must be a whole number, not null."),
        ("tied: 1\n", "tied must be true or false, not 1."),
        ("- 3\n", "must hold lines of the form `name: value`"),
        ("dims: [1\nseed: 3\n", "not valid YAML"),
    ],
)
def test_a_wrong_yaml_file_is_named(text: str, message: str, recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("wrong.yaml").write_text(text, encoding="utf-8")
    code, out, error = train(capsys, "toy_lm", "--config", "wrong.yaml")
    assert (code, out) == (2, "")
    assert error.startswith("nlp-lstm: wrong.yaml")
    assert message in error
    assert error.count("\n") == 1


def test_broken_yaml_names_the_line(recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("wrong.yaml").write_text("seed: 3\n\ttied: true\n", encoding="utf-8")
    assert "wrong.yaml, line 2: not valid YAML" in train(capsys, "toy_lm", "--config", "wrong.yaml")[2]


def test_yaml_that_is_not_utf8_names_the_byte(recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("wrong.yaml").write_bytes(b"max_time: \xff")
    code, _, error = train(capsys, "toy_lm", "--config", "wrong.yaml")
    assert code == 2
    assert "wrong.yaml, byte 10: not UTF-8 text." in error


def test_bare_config_name_without_any_configs_folder(recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (recipes / "configs" / "large.yaml").unlink()
    assert "no configs folder beside the recipe" in train(capsys, "toy_lm", "--config", "large")[2]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "    tied: bool",
            "    seed: bool",
            "has a field 'seed' in Config.training and one in Config; both would be --seed.",
        ),
        ("    tied: bool", "    smoke: bool", "has a field 'smoke' in Config and one in the options of every recipe;"),
        ("    hidden_size: int = 8", "    hidden_size: int", "Config.hidden_size in mine.py needs a default value."),
        ("@dataclass(frozen=True)\nclass Config", "class Config", "Config in mine.py must be a dataclass"),
        ("class Config", "class Settings", "mine.py is no recipe: it has no Config."),
        ("def main", "def start", "mine.py is no recipe: it has no main."),
        ('"hidden_size": 1', '"hiden_size": 1', "SMOKE in mine.py: 'hiden_size' is no setting of this recipe."),
        ('"hidden_size": 1', '"hidden_size": "x"', "SMOKE in mine.py: hidden_size must be a whole number, not 'x'."),
        ("SMOKE =", "smoke_settings =", "mine.py has no SMOKE settings for --smoke."),
    ],
)
def test_a_recipe_with_a_fault_says_which(
    old: str, new: str, message: str, recipes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert old in RECIPE
    text = RECIPE.replace(old, new)
    Path("mine.py").write_text(text, encoding="utf-8")
    code, out, error = train(capsys, "mine.py", "--smoke")
    assert (code, out) == (2, "")
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"""A."""\nx = (\n', "mine.py, line 2: SyntaxError: '(' was never closed\n"),
        (
            '"""A."""\n\nimport no_such_module\n',
            "mine.py, line 3: ModuleNotFoundError: No module named 'no_such_module'",
        ),
        ('"""A."""\n1 / 0\n', "mine.py, line 2: ZeroDivisionError"),
    ],
)
def test_a_recipe_that_does_not_run_names_its_line(
    text: str, message: str, recipes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.py").write_text(text, encoding="utf-8")
    code, out, error = train(capsys, "mine.py")
    assert (code, out) == (1, "")
    assert error.startswith(f"nlp-lstm: {message}")
    assert error.count("\n") == 1


def test_a_recipe_named_like_a_library_hides_nothing(recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("json.py").write_text(RECIPE, encoding="utf-8")
    assert train(capsys, "json.py")[0] == 0
    import json

    assert json.loads("1") == 1


def test_a_recipe_finds_the_helpers_beside_it(recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("helper_of_mine.py").write_text("WIDTH = 17\n", encoding="utf-8")
    text = RECIPE.replace("from typing", "from helper_of_mine import WIDTH\nfrom typing").replace(
        "int = 8", "int = WIDTH"
    )
    Path("mine.py").write_text(text, encoding="utf-8")
    assert "hidden_size=17" in train(capsys, "mine.py")[1]


def test_a_file_without_its_ending_is_recognised(recipes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.py").write_text(RECIPE, encoding="utf-8")
    code, _, error = train(capsys, "mine")
    assert code == 2
    assert "`nlp-lstm train mine.py`" in error
