"""The run: its folder, what is refused before anything is written, and what config.json says."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import datasets
import numpy
import pytest
import safetensors
import sentencepiece
import tokenizers
import torch

import nlp_lstm as nl
from nlp_lstm.data import DataOptions
from nlp_lstm.errors import RunFolderError, UsageError
from nlp_lstm.models import choose_precision
from nlp_lstm.training import Run, fit, start_run
from nlp_lstm.training._machine import accelerator, processor, versions
from nlp_lstm.training._run_folder import lock_run

NewRun = Callable[..., Run]


@pytest.fixture
def finished(saved_weights: Any, scripted: Any) -> Callable[[Run], Run]:
    """Train a run for its steps, so that its folder is whole."""

    def finish(run: Run) -> Run:
        objective = scripted([1.0] * 50)
        fit(objective, saved_weights(objective.model, run), run)
        return run

    return finish


# --- which folder ---


def test_runs_are_numbered_by_recipe(
    config_class: Any, finished: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = [
        finished(start_run(f"/somewhere/{name}.py", config_class())).folder.as_posix()
        for name in ("char_lm", "char_lm", "word_lm", "char_lm")
    ]
    assert folders == ["runs/char_lm", "runs/char_lm-2", "runs/word_lm", "runs/char_lm-3"]
    assert all((tmp_path / folder / "model.safetensors").is_file() for folder in folders)


def test_nothing_is_written_before_training_starts(new_run: NewRun, tmp_path: Path, config_class: Any) -> None:
    new_run()
    new_run(run=str(tmp_path / "deep" / "down"))
    start_run("char_lm.py", config_class())
    assert list(tmp_path.iterdir()) == []
    assert not Path("runs").exists()


def test_two_runs_that_start_together_get_two_folders(
    config_class: Any, finished: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = (start_run("char_lm.py", config_class()) for _ in range(2))
    assert finished(first).folder == Path("runs/char_lm")
    assert finished(second).folder == Path("runs/char_lm-2")
    assert second.folder.name in second.resume_command


def test_a_folder_that_holds_a_run_is_refused(new_run: NewRun, finished: Any, tmp_path: Path) -> None:
    waiting = new_run()
    finished(new_run())
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    with pytest.raises(RunFolderError, match=r"run holds a run already\..*--resume.*--run"):
        new_run()
    with pytest.raises(RunFolderError, match="holds a run already"):
        finished(waiting)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before


def test_a_run_that_came_and_went_while_the_folder_was_being_taken_is_kept(
    new_run: NewRun, finished: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = new_run(), new_run()
    weights = b""

    def lock(folder: Path) -> int | None:
        nonlocal weights
        monkeypatch.undo()
        finished(first)
        weights = (folder / "model.safetensors").read_bytes()
        return lock_run(folder)

    monkeypatch.setattr("nlp_lstm.training._run.lock_run", lock)
    with pytest.raises(RunFolderError, match=r"run holds a run already\..*--resume.*--run"):
        second.create()
    assert weights == (second.folder / "model.safetensors").read_bytes() != b""
    descriptor = lock_run(second.folder)  # no other training holds it
    assert descriptor is not None
    os.close(descriptor)


def test_an_empty_folder_and_a_new_one_below_others_are_taken(new_run: NewRun, finished: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "a/b/c"):
        run = finished(new_run(run=str(tmp_path / name)))
        assert {path.name for path in run.folder.iterdir()} == {
            *("checkpoints", "config.json", "metrics.jsonl", "model.safetensors")
        }


@pytest.mark.parametrize("name", ["file", "file/run", "file/deep/run"])
def test_a_folder_in_the_place_of_a_file_is_refused_at_once(new_run: NewRun, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(RunFolderError, match=r"cannot be written \(.*file is a file\)\. .*--run"):
        new_run(run=str(tmp_path / name))


def test_a_name_that_no_file_system_takes_is_refused(new_run: NewRun, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"cannot be written .*--run"):
        new_run(run=str(tmp_path / ("x" * 5000)))


def test_a_read_only_place_is_refused_at_once(new_run: NewRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Who runs as root may write anywhere, so that the system's answer is given for it.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(RunFolderError, match=rf"\({tmp_path} is read-only\)"):
        new_run(run=str(tmp_path / "new"))


def test_a_folder_that_turns_out_unwritable_is_refused(new_run: NewRun, finished: Any, tmp_path: Path) -> None:
    run = new_run()
    run.folder.mkdir()
    (run.folder / "checkpoints").write_text("in the way")
    with pytest.raises(RunFolderError, match=r"cannot be written .*--run"):
        finished(run)


# --- resuming ---


def test_resuming_nothing_is_refused(new_run: NewRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"no run to resume in runs\. Leave out --resume, or name one with --run"):
        new_run(run=None, resume=True)
    with pytest.raises(UsageError, match="no run to resume in elsewhere"):
        new_run(run="elsewhere", resume=True)
    assert list(tmp_path.iterdir()) == []


def test_the_newest_run_of_the_recipe_is_resumed(
    new_run: NewRun, finished: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    times = {"conftest": 100, "conftest-2": 300, "conftest-3": 200, "conftest_mine": 900, "conftest-large": 900}
    for name, time in times.items():
        folder = finished(new_run(run=f"runs/{name}")).folder
        os.utime(folder / "config.json", (time, time))
    assert new_run(run=None, resume=True).folder == Path("runs/conftest-2")
    assert new_run(run="runs/conftest-3", resume=True).folder == Path("runs/conftest-3")


def test_other_settings_are_refused_by_their_flags(new_run: NewRun, finished: Any, config_class: Any) -> None:
    run = finished(new_run(seed=3, max_epochs=2.0))
    options = replace(run.options, resume=True)
    for change in ({"max_steps": 9}, {"max_epochs": 7.0}, {"threads": 0, "patience": 3, "checkpoint_every": "2s"}):
        start_run(__file__.replace("test_training_run", "conftest"), config_class(training=replace(options, **change)))
    with pytest.raises(UsageError) as caught:
        start_run(
            "conftest.py",
            config_class(
                data=DataOptions("pydoc", valid_fraction=0.1),
                hidden_size=8,
                training=replace(options, seed=4, learning_rate=0.5, optimizer="sgd"),
            ),
        )
    assert str(caught.value) == (
        f"{run.folder} was trained with other settings. To go on with it, give --hidden-size 6 (not 8), "
        "--learning-rate 0.002 (not 0.5), --optimizer adamw (not sgd), --seed 3 (not 4), --valid-fraction 0.05 "
        "(not 0.1)."
    )


def test_what_an_older_run_does_not_name_had_its_default(new_run: NewRun, finished: Any, config_class: Any) -> None:
    run = finished(new_run(max_epochs=2.0))
    path = run.folder / "config.json"
    config = json.loads(path.read_text())
    del config["config"]["hidden_size"]
    del config["config"]["training"]["beta2"]
    del config["data"]["valid_fraction"], config["config"]["data"]["valid_fraction"]
    path.write_text(json.dumps(config))
    options = replace(run.options, resume=True)
    start_run("conftest.py", config_class(training=options))
    with pytest.raises(
        UsageError, match=r"give --beta2 0\.99 \(not 0\.5\), --hidden-size 6 \(not 8\), --valid-fraction"
    ):
        start_run(
            "conftest.py",
            config_class(
                data=DataOptions("pydoc", valid_fraction=0.1),
                hidden_size=8,
                training=replace(options, beta2=0.5),
            ),
        )


def test_the_data_is_the_same_wherever_the_run_is_resumed_from(
    finished: Any, config_class: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.txt").write_text("a text")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    options = nl.TrainingOptions(run=str(tmp_path / "run"), max_steps=1)
    finished(start_run("conftest.py", config_class(data=DataOptions("mine.txt"), training=options)))
    monkeypatch.chdir(tmp_path / "elsewhere")
    options = replace(options, resume=True)
    start_run("conftest.py", config_class(data=DataOptions("../mine.txt"), training=options))
    with pytest.raises(UsageError, match=rf"--data {tmp_path}/mine\.txt \(not mine\.txt\)"):
        start_run("conftest.py", config_class(data=DataOptions("mine.txt"), training=options))


def test_a_run_of_another_recipe_is_refused(new_run: NewRun, finished: Any, config_class: Any) -> None:
    run = finished(new_run())
    with pytest.raises(UsageError, match="is a run of the recipe conftest, not of word_lm"):
        start_run("word_lm.py", config_class(training=replace(run.options, resume=True)))


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"config": 3, "recipe": "conftest", "command": "x"}'])
def test_a_damaged_config_is_named(new_run: NewRun, finished: Any, content: str) -> None:
    path = finished(new_run()).folder / "config.json"
    path.write_text(content)
    with pytest.raises(RunFolderError, match=r"config\.json (does not describe a run|is not valid JSON) .*Restore"):
        new_run(resume=True)


# --- config.json ---


def test_what_config_json_says(new_run: NewRun, finished: Any) -> None:
    run = finished(new_run(seed=11, max_steps=2))
    config = json.loads((run.folder / "config.json").read_text())
    assert config["recipe"] == "conftest"
    assert config["seed"] == config["config"]["training"]["seed"] == 11
    assert config["config"]["hidden_size"] == 6
    assert config["config"]["training"]["max_steps"] == 2
    assert (config["device"], config["precision"], config["threads"]) == ("cpu", "fp32", 1)
    assert config["accelerator"] is None
    assert config["processor"] == processor() != ""
    versions = {"nlp_lstm": nl.__version__, "torch": str(torch.__version__), "python": platform.python_version()}
    modules = (numpy, tokenizers, sentencepiece, safetensors, datasets)
    assert config["versions"] == versions | {module.__name__: module.__version__ for module in modules}


def test_a_library_that_is_not_there_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "datasets":
            raise metadata.PackageNotFoundError(name)
        return "1.2"

    monkeypatch.setattr(metadata, "version", version)
    assert versions().keys() == {"nlp_lstm", "torch", "python", "numpy", "tokenizers", "sentencepiece", "safetensors"}


def test_the_processor_and_the_accelerator_have_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Path, "read_text", lambda *_, **__: "processor\t: 0\nmodel name\t: Chip 7: large\nmodel name\t: 8"
    )
    assert processor() == "Chip 7: large"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "processor\t: 0\nFeatures\t: fp asimd\n")
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert processor() == "aarch64"

    def unreadable(*_: Any, **__: Any) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", unreadable)
    assert processor() == "aarch64"
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"{device.type} of someone")
    assert accelerator(torch.device("cuda")) == "cuda of someone"
    assert accelerator(torch.device("cpu")) is None


def test_threads_device_and_precision_are_chosen_and_said(new_run: NewRun, capsys: pytest.CaptureFixture[str]) -> None:
    torch.set_num_threads(2)
    assert new_run(threads=0).config["threads"] == 2
    run = new_run(threads=1, precision="auto")
    assert torch.get_num_threads() == run.config["threads"] == 1
    assert run.precision == choose_precision("auto", torch.device("cpu"))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[-1] == f"conftest: {run.folder} | cpu, {run.precision}, 1 threads"


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="needs a machine without MPS")
def test_a_device_that_is_not_there_is_refused_and_nothing_is_written(new_run: NewRun, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--device mps"):
        new_run(device="mps")
    assert list(tmp_path.iterdir()) == []


def test_the_seed_seeds_the_weights(new_run: NewRun) -> None:
    drawn = []
    for seed in (1, 1, 2):
        new_run(seed=seed)
        drawn.append(torch.rand(3).tolist())
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_path_to_data_is_made_absolute_and_names_stay(
    config_class: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "mine.txt").write_text("a text")
    (tmp_path / "pydoc").mkdir()  # the built-in text of this name goes before it
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for given, kept in (
        ("texts/mine.txt", str(tmp_path / "texts" / "mine.txt")),
        ("texts", str(tmp_path / "texts")),
        ("~/texts", str(tmp_path / "texts")),
        ("pydoc", "pydoc"),
        ("owner/name", "owner/name"),
        ("./pydoc", str(tmp_path / "pydoc")),
    ):
        run = start_run("char_lm.py", config_class(data=DataOptions(given, test_fraction=0.2)))
        assert run.config["data"] == asdict(DataOptions(kept, test_fraction=0.2))
        assert run.config["config"]["data"]["data"] == given


def test_a_config_without_data_is_the_recipes_own_affair(finished: Any, tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Config:
        training: nl.TrainingOptions = nl.TrainingOptions(run=str(tmp_path / "run"), max_steps=1)

    run = finished(start_run("mine.py", Config()))
    assert "data" not in run.config
    start_run("mine.py", Config(replace(Config().training, resume=True)))
