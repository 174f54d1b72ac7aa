"""How a run was called, which config.json and the model card say."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import nlp_lstm as nl
from nlp_lstm.data import DataOptions
from nlp_lstm.training import Run, TrainingOptions, fit, start_run

RECIPE = "/home/someone/my recipes/char_lm.py"


@dataclass(frozen=True)
class Inner:
    """Settings within settings."""

    size: int = 3
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Config:
    """A Config with every kind of field."""

    data: nl.DataOptions = nl.DataOptions("pydoc")
    tied: bool = False
    inner: Inner = field(default_factory=Inner)
    training: nl.TrainingOptions = nl.TrainingOptions(max_time="2m", batch_size=32)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The command of a run that a process with these arguments starts."""

    def command(argv: list[str], config: Config | None = None, recipe: str = RECIPE) -> str:
        monkeypatch.setattr(sys, "argv", argv)
        return str(start_run(recipe, config or Config()).config["command"])

    return command


@pytest.mark.parametrize(
    "program",
    ["nlp-lstm", "/opt/venv/bin/nlp-lstm", "nlp-lstm.exe", str(Path(nl.__file__).with_name("__main__.py"))],
)
def test_the_installed_command_is_given_as_it_was_typed(command: Callable[..., str], program: str) -> None:
    arguments = ["train", "char_lm", "--data", "my text.txt", "--max-steps", "3"]
    assert command([program, *arguments]) == "nlp-lstm train char_lm --data 'my text.txt' --max-steps 3"


def test_a_recipe_that_is_run_as_a_script_is_given_as_one(
    command: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command([RECIPE, "--smoke"]) == f"python '{RECIPE}' --smoke"
    monkeypatch.chdir(tmp_path)
    assert command(["mine.py", "--seed", "3"], recipe=str(tmp_path / "mine.py")) == "python mine.py --seed 3"


@pytest.mark.parametrize(
    ("config", "call"),
    [
        (Config(), "main(Config())"),
        (
            Config(
                data=DataOptions("a 'text'.txt", valid_fraction=0.1),
                tied=True,
                inner=Inner(names=("a", "b")),
                training=TrainingOptions(max_steps=5, seed=1),
            ),
            "main(Config(data=DataOptions(data=\"a 'text'.txt\", valid_fraction=0.1), tied=True, "
            "inner=Inner(names=('a', 'b')), training=TrainingOptions(seed=1, max_steps=5)))",
        ),
    ],
)
@pytest.mark.parametrize("argv", [["/usr/bin/pytest", "-q"], ["ipykernel_launcher.py"], ["-c"], [""], []])
def test_a_call_from_python_is_given_as_one_and_not_as_the_arguments_of_its_process(
    command: Callable[..., str], argv: list[str], config: Config, call: str
) -> None:
    assert command(argv, config) == call
    # It can be pasted: the names are those that a recipe has.
    assert eval(call, {"main": lambda config: config, **globals()}) == config


@pytest.mark.parametrize("named", [None, "my run"])
def test_the_command_that_goes_on_names_the_folder(monkeypatch: pytest.MonkeyPatch, named: str | None) -> None:
    typed = ["nlp-lstm", "train", "char_lm", "--smoke", *(["--run", "my run"] if named else [])]
    monkeypatch.setattr(sys, "argv", typed)
    run = start_run(RECIPE, Config(training=TrainingOptions(run=named, max_steps=1)))
    folder = named or "runs/char_lm"
    assert shlex.split(run.resume_command) == [*typed[:4], "--run", folder, "--resume"]
    monkeypatch.setattr(sys, "argv", ["pytest"])
    assert run.resume_command == (f"main(Config(training=TrainingOptions(run={folder!r}, resume=True, max_steps=1)))")


def test_a_resumed_run_says_both_commands(
    new_run: Callable[..., Run], scripted: Any, saved_weights: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = (["train", "x", "--max-steps", "4"], ["train", "x", "--max-steps", "6", "--resume"])
    for number, arguments in enumerate(commands):
        monkeypatch.setattr(sys, "argv", ["nlp-lstm", *arguments])
        run = new_run(resume=number == 1, max_steps=(4, 6)[number])
        assert run.resume_command.count("--resume") == 1
        objective = scripted([1.0] * 9)
        fit(objective, saved_weights(objective.model, run), run)
    config = json.loads((run.folder / "config.json").read_text())
    assert config["command"] == "nlp-lstm train x --max-steps 4; nlp-lstm train x --max-steps 6 --resume"
    assert config["config"]["training"]["max_steps"] == 6
