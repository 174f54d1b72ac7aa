"""Every recipe that lies in the folder: it runs, its folder is whole, and however it is called it is the same run."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import nlp_lstm
from nlp_lstm.cli import main
from nlp_lstm.cli._config_file import read_config_file
from nlp_lstm.cli._recipe_files import load_recipe
from nlp_lstm.cli._settings import settings_of

ROOT = Path(__file__).resolve().parents[2]
RECIPES = {path.stem: path for path in sorted((ROOT / "recipes").glob("*.py")) if not path.name.startswith("_")}
COMPILER = {"torch._dynamo", "torch._inductor", "sympy"}  # take longer to import than torch, and nothing needs them
CONFIGS = sorted((ROOT / "recipes").rglob("*.yaml"))


@dataclass(frozen=True)
class Finished:
    """A recipe that ran with --smoke, called from Python."""

    name: str
    folder: Path
    out: str
    error: str


@pytest.fixture(scope="module", autouse=True)
def _threads() -> Iterator[None]:
    """The runs set one thread; leave torch's number as it was."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def with_values(config: Any, values: dict[str, Any], taken: set[str]) -> Any:
    """A Config with other values, whichever of its dataclasses they belong to."""
    changes = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            changes[field.name] = with_values(value, values, taken)
        elif field.name in values:
            changes[field.name] = values[field.name]
            taken.add(field.name)
    return replace(config, **changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Finished]:
    """Run a recipe once, by `main(Config(...))` with its SMOKE settings."""
    runs: dict[str, Finished] = {}

    def run(name: str) -> Finished:
        if name not in runs:
            recipe, taken = load_recipe(RECIPES[name]), set()
            folder = tmp_path_factory.mktemp(name) / "run"
            values = {**recipe.SMOKE, "run": str(folder), "threads": 1, "max_time": None}
            config = with_values(recipe.Config(), values, taken)
            assert taken == set(values)
            out, error = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
                returned = recipe.main(config)
            assert returned == folder
            runs[name] = Finished(name, folder, out.getvalue(), error.getvalue())
        return runs[name]

    return run


def test_the_recipes_are_found() -> None:
    assert {"char_lm", "word_lm", "sentiment", "translation", "summarization"} <= set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_every_setting_is_described_and_frozen(name: str) -> None:
    recipe = load_recipe(RECIPES[name])
    settings = settings_of(recipe.Config, name)
    assert [setting.name for setting in settings if not setting.help] == []
    assert set(recipe.SMOKE) <= {setting.name for setting in settings}
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.Config().training = None


def test_streaming_is_offered_where_it_works(capsys: pytest.CaptureFixture[str]) -> None:
    settings = {
        name: {setting.name for setting in settings_of(load_recipe(RECIPES[name]).Config, name)} for name in RECIPES
    }
    offered = {name for name, names in settings.items() if {"stream", "shuffle_buffer"} & names}
    assert offered == {"char_lm", "word_lm"}
    assert main(["train", "sentiment", "--stream", "true"]) == 2
    assert "There is no option --stream." in capsys.readouterr().err


@pytest.mark.parametrize("name", RECIPES)
def test_a_run_folder_is_whole(finished: Callable[[str], Finished], name: str) -> None:
    run = finished(name)
    files = {path.relative_to(run.folder).as_posix() for path in run.folder.rglob("*") if path.is_file()}
    steps = load_recipe(RECIPES[name]).SMOKE["max_steps"]
    assert {
        *("config.json", "model.safetensors", "metrics.jsonl", "README.md", "tokenizer_config.json"),
        f"checkpoints/step-{steps:09d}.pt",
    } <= files
    assert [file for file in files if Path(file).name.startswith(".")] == []  # temporary names
    config = json.loads((run.folder / "config.json").read_text(encoding="utf-8"))
    assert config["recipe"] == name
    assert config["command"].startswith("main(Config(")
    assert config["config"]["training"]["max_steps"] == steps
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [steps]


@pytest.mark.parametrize("name", RECIPES)
def test_the_folder_loads_and_scores_what_was_printed(finished: Callable[[str], Finished], name: str) -> None:
    run = finished(name)
    scores = nlp_lstm.load(run.folder).evaluate().text()
    assert "signature" in scores
    assert f"\n{scores}\n" in run.out
    assert f"\n{scores}\n" in (run.folder / "README.md").read_text(encoding="utf-8")
    assert str(run.folder) in run.error
    assert str(run.folder) not in run.out


@pytest.mark.parametrize("name", RECIPES)
def test_script_command_and_call_are_one_code_path(
    finished: Callable[[str], Finished], name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = [str(RECIPES[name]), "--smoke", "--threads", "1", "--run", str(tmp_path / "script")]
    command = [sys.executable, "-X", "importtime", *script]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
    assert process.returncode == 0, process.stderr[-3000:]
    imported = {line.rpartition("|")[2].strip() for line in process.stderr.splitlines() if "import time:" in line}
    assert "torch" in imported
    assert imported & COMPILER == set()
    assert main(["train", name, "--smoke", "--threads", "1", "--run", str(tmp_path / "command")]) == 0
    called = load_file(finished(name).folder / "model.safetensors")
    for other in ("script", "command"):
        weights = load_file(tmp_path / other / "model.safetensors")
        assert weights.keys() == called.keys()
        assert [key for key in called if not torch.equal(weights[key], called[key])] == []
    assert process.stdout == capsys.readouterr().out == finished(name).out
    config = json.loads((tmp_path / "script" / "config.json").read_text(encoding="utf-8"))
    assert config["command"] == f"python {' '.join(script)}"


@pytest.mark.parametrize("name", RECIPES)
def test_a_run_goes_on_with_a_larger_budget(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = ["train", name, "--smoke", "--threads", "1", "--run", str(tmp_path / "run")]
    assert main([*again, "--max-steps", "2"]) == 0
    assert main([*again, "--max-steps", "3", "--resume"]) == 0
    assert "Going on from step 2" in capsys.readouterr().err
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [2, 3]
    assert main([*again, "--max-steps", "4", "--resume", "--seed", "9"]) == 2
    assert "--seed 0 (not 9)" in capsys.readouterr().err


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(
    "wrong",
    [["--cell", "grru"], ["--data", "nowhere.txt"], ["--batch-size", "0"], ["--hidden-size", "0"]],
    ids=lambda wrong: wrong[0],
)
def test_a_wrong_call_leaves_no_folder(
    name: str, wrong: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if wrong[0].removeprefix("--").replace("-", "_") not in {
        setting.name for setting in settings_of(load_recipe(RECIPES[name]).Config, name)
    }:
        pytest.skip(f"{name} has no {wrong[0]}")
    assert main(["train", name, "--smoke", "--run", "r9", *wrong]) in (1, 2)
    assert wrong[1] in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_every_config_file_holds_differences_from_the_recipe_that_it_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def settings(*arguments: str) -> dict[str, Any]:
        assert main(["train", *arguments, "--print-config"]) == 0, capsys.readouterr().err
        (tmp_path / "printed.yaml").write_text(capsys.readouterr().out, encoding="utf-8")
        return read_config_file(tmp_path / "printed.yaml")

    fitting = []
    for file in CONFIGS:
        named = re.match(r"# (\w+)", file.read_text(encoding="utf-8"))
        assert named is not None, f"the first line of {file} is a comment that starts with the recipe's name"
        defaults, chosen = settings(named[1]), settings(named[1], "--config", str(file))
        given = read_config_file(file)
        assert {name for name in given if chosen[name] == defaults[name]} == set(), file
        assert {name for name in chosen if chosen[name] != defaults[name]} == set(given), file
        fitting.append(file)
    assert len(fitting) == len(CONFIGS) == len(list((ROOT / "recipes" / "configs").glob("*.*")))


def test_resuming_takes_the_settings_of_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = str(tmp_path / "run")
    small = ["--hidden-size", "7", "--embedding-size", "5", "--threads", "1", "--sequence-length", "8"]
    assert main(["train", "char_lm", "--run", folder, "--max-steps", "2", *small]) == 0
    assert main(["train", "char_lm", "--run", folder, "--resume", "--max-steps", "4"]) == 0
    assert "Going on from step 2" in capsys.readouterr().err
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["model"]["hidden_size"] == 7
    assert config["config"]["training"]["max_steps"] == 4
    assert config["config"]["training"]["max_time"] is None


@pytest.mark.parametrize("name", RECIPES)
def test_a_budget_that_is_named_replaces_the_recipes(name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    def budgets(*flags: str) -> list[str]:
        assert main(["train", name, "--print-config", *flags]) == 0
        return re.findall(r"^max_(?:time|steps|epochs): (?!null).*", capsys.readouterr().out, re.MULTILINE)

    assert len(budgets()) == 1
    assert budgets("--max-steps", "9") == ["max_steps: 9"]
    assert budgets("--max_epochs=2") == ["max_epochs: 2.0"]
    assert sorted(budgets("--max-epochs", "2", "--max-time", "5s")) == ["max_epochs: 2.0", "max_time: 5s"]
    file = tmp_path / "budget.yaml"
    file.write_text("max_steps: 7\n", encoding="utf-8")
    assert budgets("--config", str(file)) == ["max_steps: 7"]
    assert budgets("--config", str(file), "--max-time", "5s") == ["max_time: 5s"]
    assert budgets("--smoke") == ["max_steps: 5"]


def test_what_is_trained_on_and_how_it_is_cut_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "train.txt").write_text("a line of text\n" * 200, encoding="utf-8")
    (tmp_path / "part2.txt").write_text("more\n", encoding="utf-8")
    small = ["--run", str(tmp_path / "run"), "--smoke", "--threads", "1"]
    assert main(["train", "char_lm", "--data", str(tmp_path), *small]) == 0
    error = capsys.readouterr().err
    assert "part2.txt" in error
    assert "characters are train" in error


def test_a_split_that_is_too_short_is_found_before_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for split, text in (("train", "a line of text\n" * 200), ("valid", "a line\n"), ("test", "x")):
        (tmp_path / f"{split}.txt").write_text(text, encoding="utf-8")
    assert main(["train", "char_lm", "--data", str(tmp_path), "--run", str(tmp_path / "run"), "--smoke"]) == 1
    assert "The test split has 1 token" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["char_lm", "word_lm"])
def test_a_cache_is_fitted_after_training_and_kept_in_the_run(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "".join(f"The {number} boats came home to the {number} harbours.\n" for number in range(300))
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    folder, data = str(tmp_path / "run"), str(tmp_path / "text.txt")
    call = ["train", name, "--smoke", "--threads", "1", "--data", data, "--run", folder, "--cache-size", "20"]
    assert main(call) == 0
    cache = json.loads((tmp_path / "run" / "config.json").read_text())["cache"]
    assert cache["size"] == 20
    assert f"|cache:20,{cache['weight']:g},{cache['sharpness']:g}|" in capsys.readouterr().out
    assert nlp_lstm.load(folder).cache.weight == cache["weight"] > 0
