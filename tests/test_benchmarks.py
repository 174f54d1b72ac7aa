"""Every benchmark runs with tiny settings and says what it promises to say; how fast it is here decides nothing."""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import runpy
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from safetensors.numpy import load_file

import nlp_lstm as nl
from nlp_lstm.cells import CELLS

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
BENCHMARKS = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))
LONGEST = 300  # seconds, for one benchmark: it stops what hangs, and is no verdict on speed
COMMON = {"benchmark", "machine", "versions"}


def run(name: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a benchmark as a script, with a cache of its own, in an empty folder."""
    environment = {**os.environ, "HF_HOME": str(folder / "cache"), "TMPDIR": str(folder)}
    work = folder / "work"
    work.mkdir(exist_ok=True)
    command = [sys.executable, str(FOLDER / f"{name}.py"), *arguments]
    return subprocess.run(
        command, cwd=work, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False
    )


def measure(name: str, *arguments: str, folder: Path) -> dict[str, Any]:
    """Run a benchmark that prints an object with --smoke --json; check what all have in common and return it."""
    result = measured(name, *arguments, folder=folder)
    assert isinstance(result, dict)
    return result


def measured(name: str, *arguments: str, folder: Path) -> Any:
    """Run a benchmark with --smoke --json; check what all have in common, every row of a list, and return the JSON."""
    done = run(name, "--smoke", "--json", *arguments, folder=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = done.stdout.splitlines()
    printed = json.loads(line)
    table = done.stderr[done.stderr.rindex(f"{name}: seed ") :]
    for result in printed if isinstance(printed, list) else [printed]:
        assert result.keys() >= COMMON
        assert result["benchmark"] == name
        assert set(result["machine"]) == {"processor", "cores", "threads", "system"}
        assert result["machine"]["processor"]
        assert result["machine"]["cores"] >= 1
        assert result["machine"]["threads"] >= 1
        assert set(result["versions"]) == {"nlp_lstm", "torch", "numpy", "tokenizers", "python"}
        for value in (*result["machine"].values(), *result["versions"].values()):
            assert str(value) in table
    assert list((folder / "work").iterdir()) == [], "it leaves files where it was started"
    return printed


def own_fields(result: dict[str, Any]) -> set[str]:
    return set(result) - COMMON


def check_training(result: dict[str, Any], figure: str) -> None:
    """Check the runs of char_lm or word_lm, and their mean and deviation."""
    assert own_fields(result) == {"seeds", "options", "runs", "summary"}
    runs = result["runs"]
    assert [one["seed"] for one in runs] == result["seeds"]
    for one in runs:
        assert set(one) == {
            *("config", "seed", "nats_per_character", "confidence_interval", "perplexity", "word_perplexity"),
            *("unknown_rate", "tokens_per_second", "characters_per_second", "steps", "seconds", "tokens"),
            *("signature", "precision", "peak_memory_mb"),
        }
        assert one["steps"] == 5
        assert one["peak_memory_mb"] > 50  # torch alone takes more
        assert one["tokens_per_second"] > 0
        low, high = one["confidence_interval"]
        assert low < one["nats_per_character"] < high
    values = [one[figure] for one in runs]
    (summary,) = result["summary"]
    assert set(summary) == {"config", "runs", figure}
    assert summary["runs"] == len(runs)
    assert summary[figure]["mean"] == pytest.approx(statistics.mean(values))


def check_char_lm(folder: Path) -> None:
    config = folder / "small.yaml"
    config.write_text("embedding_size: 4\n", encoding="utf-8")
    runs = folder / "runs"
    options = ["--seeds", "3", "4", "--config", str(config), "--runs", str(runs), "--", "--hidden-size", "8"]
    result = measure("char_lm", *options, folder=folder)
    check_training(result, "nats_per_character")
    assert result["seeds"] == [3, 4]
    assert result["options"] == ["--hidden-size", "8"]
    first, second = (one["nats_per_character"] for one in result["runs"])
    assert first != second
    assert result["summary"][0]["config"] == "small"
    assert result["summary"][0]["nats_per_character"]["deviation"] == pytest.approx(abs(first - second) / math.sqrt(2))
    for one in result["runs"]:
        assert one["tokens"] == 2000  # a tenth of the generated text
        assert one["nats_per_character"] == pytest.approx(math.log(one["perplexity"]), rel=1e-5)
        assert one["characters_per_second"] == pytest.approx(one["tokens_per_second"], rel=1e-5)
        settings = json.loads((runs / f"char_lm-small-seed{one['seed']}" / "config.json").read_text(encoding="utf-8"))
        assert settings["seed"] == one["seed"]
        assert settings["model"]["hidden_size"] == 8
        assert settings["model"]["embedding_size"] == 4
        assert (settings["data"]["valid_fraction"], settings["data"]["test_fraction"]) == (0.1, 0)


def check_word_lm(folder: Path) -> None:
    result = measure("word_lm", folder=folder)
    check_training(result, "perplexity")
    assert result["seeds"] == [0]
    assert result["summary"][0]["perplexity"]["deviation"] is None
    (one,) = result["runs"]
    assert one["characters_per_second"] > one["tokens_per_second"]  # a word is longer than a character


def check_word_lm_speed(folder: Path) -> None:
    result = measure("word_lm_speed", "--seed", "5", folder=folder)
    assert own_fields(result) == {"seed", "vocab_size", "equality", "speed"}
    assert (result["seed"], result["vocab_size"]) == (5, 1000)
    equality = result["equality"]
    assert equality["equal"] is True
    assert equality["plain_loss"] == pytest.approx(equality["our_loss"], rel=1e-5)
    assert 0 < equality["gradient_difference"] < 1e-4  # 0 would say that nothing was compared
    assert equality["plain_loss"] == pytest.approx(math.log(1000), rel=0.05)  # an untrained model knows nothing
    assert list(result["speed"]) == ["plain fp32", "ours fp32", "ours bf16"]
    for figures in result["speed"].values():
        assert figures["fastest_ms"] <= figures["ms_per_batch"] <= figures["slowest_ms"]
        assert figures["tokens_per_second"] * figures["ms_per_batch"] == pytest.approx(1000 * 20 * 35)
        plain = result["speed"]["plain fp32"]["ms_per_batch"]
        assert figures["ratio"] == pytest.approx(plain / figures["ms_per_batch"])


def check_generation(folder: Path) -> None:
    result = measure("generation", "--samples", "3", "--threads", "1", folder=folder)
    assert own_fields(result) == {"seed", "model", "load_ms", "first_character_ms", "stream", "batch"}
    assert result["machine"]["threads"] == 1
    model = {"run": None, "vocab_size": 100, "hidden_size": 32, "num_layers": 1}
    assert {name: result["model"][name] for name in model} == model
    assert min(result["load_ms"], *result["first_character_ms"].values()) > 0
    assert set(result["first_character_ms"]) == {"first_call", "later_calls"}
    assert set(result["stream"]) == {
        *("characters", "characters_per_second", "microseconds_at_the_beginning", "microseconds_at_the_end"),
        *("end_to_beginning", "memory_growth_mb"),
    }
    assert result["stream"]["characters"] == 400
    assert set(result["batch"]) == {"samples", "tokens_per_second"}
    assert result["batch"]["samples"] == 3


def check_large_text(folder: Path) -> None:
    result = measure("large_text", "--size", "300KB", "--small", "50KB", folder=folder)
    assert own_fields(result) == {"seed", "texts", "training_peak_difference_mb"}
    small, large = result["texts"]
    assert set(small) == {
        *("size_mb", "train_part_mb", "tokens", "load_and_cut_seconds", "train_tokenizer_seconds"),
        *("tokenise_cold_seconds", "tokenise_warm_seconds", "cold_mb_per_second", "warm_mb_per_second"),
        *("tokenising_peak_mb", "training_peak_mb"),
    }
    assert [small["size_mb"], large["size_mb"]] == pytest.approx([0.05, 0.3], abs=1e-5)
    for text in (small, large):
        assert text["train_part_mb"] == pytest.approx(0.9 * text["size_mb"], rel=0.02)
        assert 10 < text["tokenising_peak_mb"] < text["training_peak_mb"]  # training has torch in memory as well
    difference = large["training_peak_mb"] - small["training_peak_mb"]
    assert result["training_peak_difference_mb"] == pytest.approx(difference)
    result = measure("large_text", "--shards", "2", "--size", "60KB", "--small", "40KB", folder=folder)
    assert own_fields(result) == {"seed", "texts", "training_peak_difference_mb"}
    for text, size in zip(result["texts"], (0.04, 0.06), strict=True):
        assert set(text) == {"size_mb", "shards", "on_disk_mb", "first_step_seconds", "training_peak_mb"}
        assert (text["size_mb"], text["shards"]) == (size, 2)
        assert 0.1 * size < text["on_disk_mb"] < size  # packed
        assert text["first_step_seconds"] > 0
        assert text["training_peak_mb"] > 50
    refused = run("large_text", "--shards", "0", folder=folder)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "'0' is no whole number from 1 up" in refused.stderr


def check_translation(folder: Path) -> None:
    result = measure("translation", "--seeds", "3", folder=folder)
    assert own_fields(result) == {"seeds", "quality", "summary", "decoding", "speed"}
    (run,) = result["quality"]
    assert run["seed"] == 3
    assert 4 * run["parameters"] / 1e6 <= run["model_mb"] < 4 * run["parameters"] / 1e6 + 0.1
    assert run["valid_loss"] > 0
    (summary,) = result["summary"]
    assert (summary["runs"], summary["bleu"]) == (1, {"mean": run["bleu"], "deviation": None})
    assert run["steps"] == 5
    assert run["confidence_interval"][0] <= run["bleu"] <= run["confidence_interval"][1]
    assert "tok:13a" in run["signature"]
    assert [(one["beam_size"], one["sentences"]) for one in result["decoding"]] == [(1, 20), (5, 20)]
    assert all(0 < one["fastest"] <= one["seconds"] for one in result["decoding"])
    assert [name.rpartition(" ")[0] for name in result["speed"]] == [
        "plain",
        "ours, input feeding,",
        "ours, whole targets,",
    ]
    plain = result["speed"]["plain fp32"]["ms_per_batch"]
    for figures in result["speed"].values():
        assert figures["ratio"] == pytest.approx(plain / figures["ms_per_batch"])
        assert figures["sentences_per_second"] * figures["ms_per_batch"] == pytest.approx(1000 * 8)


def check_sentiment(folder: Path) -> None:
    runs = folder / "runs"
    result = measure("sentiment", "--seeds", "3", "--runs", str(runs), "--", "--hidden-size", "4", folder=folder)
    assert own_fields(result) == {"seeds", "data", "options", "runs", "summary"}
    (run,) = result["runs"]
    assert (run["seed"], run["steps"], run["n"], run["max_time"]) == (3, 5, 2000, None)
    assert run["classified_per_minute"] > 0
    weights = runs / "sentiment-default-seed3" / "model.safetensors"
    assert run["model_mb"] == pytest.approx(weights.stat().st_size / 1e6)
    assert run["validations"][-1]["seconds"] == run["seconds"]
    assert result["summary"] == [
        {"max_time": None, "runs": 1, "accuracy": {"mean": run["accuracy"], "deviation": None}}
    ]
    settings = json.loads((runs / "sentiment-default-seed3" / "config.json").read_text(encoding="utf-8"))
    assert (settings["seed"], settings["model"]["hidden_size"]) == (3, 4)


def check_kill_resume(folder: Path) -> None:
    result = measure("kill_resume", "--seed", "2", folder=folder)
    assert own_fields(result) == {"seed", "recipes", "faults"}
    assert (result["seed"], result["faults"]) == (2, 0)
    (one,) = result["recipes"]
    assert one["recipe"] == "char_lm"
    assert (one["kills"], one["equal"]) == (1, 1)
    assert one["resumed"] + one["before_the_run"] == 1
    assert (one["not_loading"], one["differences"]) == ([], [])


def check_two_processes(folder: Path) -> None:
    result = measure("two_processes", folder=folder)
    assert own_fields(result) == {"seed", "steps", "closeness", "tokens_per_second"}
    assert result["steps"] == 20
    assert 0 < result["closeness"]["largest_weight_difference"] < 1e-4  # 0 would say that nothing was shared
    assert result["closeness"]["valid_loss_difference"] < 1e-4
    speed = result["tokens_per_second"]
    assert speed["ratio"] == pytest.approx(speed["two_processes"] / speed["one_process"])


def check_cells(folder: Path) -> None:
    printed = measured("cells", "--seed", "2", folder=folder)
    assert isinstance(printed, list)
    rows = {(row["cell"], row["dtype"], tuple(row["shape"]), row["ragged"]): row for row in printed}
    problems = [((4, 3, 5, 6), False), ((1, 1, 8, 8), False), ((4, 3, 5, 6), True)]
    cells = ["nn.LSTM", *CELLS]
    assert list(rows) == [(c, d, *problem) for problem in problems for c in cells for d in ("fp32", "bf16")]
    assert len(printed) == len(rows)
    for (cell, dtype, *problem), row in rows.items():
        base = rows["nn.LSTM", "fp32", *problem]
        for what in ("train", "forward"):
            assert row[f"{what}_ms"] > 0
            ratio = row[f"{what}_ms"] / base[f"{what}_ms"]
            assert row[f"{what}_ratio_to_nn_lstm_fp32"] == pytest.approx(ratio)
        assert row["train_ms_range"][0] <= row["train_ms"] <= row["train_ms_range"][1]
        assert (row["seed"], row["backend"]) == (2, "torch" if cell == "nn.LSTM" else "fused")
        assert ("step_us" in row) == (dtype == "fp32" and problem[0] == (1, 1, 8, 8))
        if "step_us" in row:
            assert row["step_ratio_to_nn_lstm_cell"] == pytest.approx(row["step_us"] / base["step_us"])
    compared = json.loads(run("cells", "--comparisons", "3", "--json", folder=folder).stdout)
    assert (compared["comparisons"]["count"], compared["comparisons"]["failures"]) == (3, [])


def check_zoo_on_text(folder: Path) -> None:
    runs = folder / "runs"
    options = ["--cells", "mingru", "transformer", "--seeds", "3", "--max-steps", "4", "--runs", str(runs)]
    options += ["--hidden-size", "12", "--embedding-size", "6", "--", "--batch-size", "8"]
    result = measure("zoo_on_text", *options, folder=folder)
    assert own_fields(result) == {"seeds", "data", "budget", "options", "runs", "summary"}
    assert (result["seeds"], result["data"]) == ([3], "generated")
    assert result["budget"] == {"max_time": None, "max_steps": 4}
    assert [one["cell"] for one in result["runs"]] == ["mingru", "transformer"]
    for one, summary in zip(result["runs"], result["summary"], strict=True):
        run = runs / f"zoo-{one['cell']}-seed3"
        settings = json.loads((run / "config.json").read_text(encoding="utf-8"))
        assert (settings["seed"], settings["model"]["cell"]) == (3, one["cell"])
        assert (settings["model"]["hidden_size"], settings["model"]["embedding_size"]) == (one["hidden_size"], 6)
        weights = load_file(run / "model.safetensors")
        assert one["parameters"] == sum(weight.size for weight in weights.values())
        assert (one["steps"], one["tokens"]) == (4, 2000)
        assert one["bits_per_character"] == pytest.approx(math.log2(one["perplexity"]), rel=1e-5)
        low, high = one["confidence_interval"]
        assert low < one["bits_per_character"] < high
        assert summary["bits_per_character"] == {"mean": one["bits_per_character"], "deviation": None}
        assert summary["peak_memory_mb"] == one["peak_memory_mb"] > 50
    # An LSTM of 12 units has 19 parameters a character and 960 more, a minGRU of n units 7 a character and 14 n more.
    vocab_size = settings["model"]["vocab_size"]
    sizes = [one["hidden_size"] for one in result["runs"]]
    assert sizes == [round((12 * vocab_size + 960) / (vocab_size + 14)), 12]


def check_gradient_flow(folder: Path) -> None:
    picture, run_folder = folder / "flow.png", folder / "run"
    options = ["--recurrent-initialization", "orthogonal", "--forget-bias", "6", "--hidden-size", "9"]
    options += ["--plot", str(picture)]
    result = measure("gradient_flow", "--cells", "rnn", "lstm", "--seed", "3", *options, folder=folder)
    assert own_fields(result) == {"seed", "steps", "texts", "positions", "data", "models"}
    assert [result[name] for name in ("seed", "steps", "texts", "positions", "data")] == [3, 8, 2, 4, "generated"]
    rnn, lstm = result["models"]
    for one, cell in ((rnn, "rnn"), (lstm, "lstm")):
        assert (one["name"], one["cell"], one["run"], one["hidden_size"]) == (cell, cell, None, 9)
        assert len(one["norm"]) == len(one["deviation"]) == 9
        assert one["factor_per_step"] == pytest.approx((one["norm"][8] / one["norm"][1]) ** (1 / 7))
    assert rnn["factor_per_step"] < 0.8 < lstm["factor_per_step"]  # its forget gates stand at 0.998
    assert picture.read_bytes().startswith(b"\x89PNG")
    tokenizer = nl.train_tokenizer("character", ["some words, and then more of them\n"])
    model = nl.LanguageModel(tokenizer.vocab_size, nl.LanguageModelOptions(cell="gru", embedding_size=4, hidden_size=6))
    nl.LanguageModeling(model, tokenizer).save(run_folder)
    options = ["--run", str(run_folder), "--steps", "3", "--texts", "1", "--positions", "2"]
    (one,) = measure("gradient_flow", *options, folder=folder)["models"]
    assert (len(one["norm"]), one["deviation"]) == (4, None)
    assert (one["name"], one["cell"], one["run"], one["hidden_size"]) == (str(run_folder), "gru", str(run_folder), 6)
    assert one["parameters"] == sum(parameter.numel() for parameter in model.parameters())


def check_copying(folder: Path) -> None:
    result = measure("copying", "--seeds", "2", "--length", "14", "--", "--max-steps", "3", folder=folder)
    assert own_fields(result) == {"seeds", "length", "options", "runs"}
    assert (result["seeds"], result["length"], result["options"]) == ([2], 14, ["--max-steps", "3"])
    assert [(one["task"], one["seed"], one["n"], one["steps"]) for one in result["runs"]] == [
        ("copy", 2, 10, 3),
        ("reverse", 2, 10, 3),
    ]


def check_fuzz(folder: Path) -> None:
    result = measure("fuzz", "--seed", "4", "--seconds", "100", "--inputs", "70", folder=folder)
    assert own_fields(result) == {"seed", "inputs", "limits", "readers", "failures"}
    assert (result["seed"], result["inputs"], result["failures"]) == (4, 70, [])
    assert result["limits"] == {"seconds": 100, "memory": 10**9}
    readers = result["readers"]
    assert sum(one["inputs"] for one in readers) == 70
    assert len(readers) > 25
    for one in readers:
        assert one["accepted"] + one["refused"] == one["inputs"]
        assert one["traceback"] == one["hang"] == one["memory"] == one["crash"] == 0
        assert 0 <= one["peak_mb"] < 1000
    assert sum(one["refused"] for one in readers) > 10
    again = run("fuzz", "--seed", "4", "--repeat", "3", folder=folder)
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith(f"input 3, {readers[3]['reader']}: ")


def check_side_by_side(folder: Path) -> None:
    result = measure("side_by_side", "--processes", "2", "--", "--threads", "1", folder=folder)
    assert own_fields(result) == {
        *("seed", "recipe", "processes", "max_time", "options"),
        *("alone", "together", "share", "peak_memory_mb"),
    }
    assert (result["processes"], result["machine"]["threads"]) == (2, 1)
    (alone,), (together,) = result["alone"], result["together"]
    assert len(together) == 2
    assert result["share"] == pytest.approx(sum(together) / alone)
    refused = run("side_by_side", "--processes", "1", folder=folder)
    assert refused.returncode == 2
    assert "--processes 1 is not side by side. Take two or more." in refused.stderr


def check_checkpoints(folder: Path) -> None:
    result = measure("checkpoints", "--steps", "3", "--", "--threads", "1", folder=folder)
    assert own_fields(result) == {"seed", "steps", "options", "recipes"}
    assert (result["steps"], result["machine"]["threads"]) == (3, 1)
    (one,) = result["recipes"]
    (without,), (every,) = one["without_seconds"], one["with_seconds"]
    assert one["checkpoint_ms"] == pytest.approx((every - without) / 3 * 1000)
    assert one["share_of_a_minute"] == pytest.approx(one["checkpoint_ms"] / 60_000)
    assert 0.01 < one["checkpoint_mb"] < 10


CHECKS: dict[str, Callable[[Path], None]] = {
    "cells": check_cells,
    "checkpoints": check_checkpoints,
    "char_lm": check_char_lm,
    "copying": check_copying,
    "fuzz": check_fuzz,
    "generation": check_generation,
    "gradient_flow": check_gradient_flow,
    "kill_resume": check_kill_resume,
    "large_text": check_large_text,
    "two_processes": check_two_processes,
    "sentiment": check_sentiment,
    "side_by_side": check_side_by_side,
    "translation": check_translation,
    "word_lm": check_word_lm,
    "word_lm_speed": check_word_lm_speed,
    "zoo_on_text": check_zoo_on_text,
}


def test_every_benchmark_is_covered() -> None:
    assert sorted(CHECKS) == BENCHMARKS


@pytest.mark.parametrize("name", CHECKS)
def test_a_benchmark_runs_small(name: str, tmp_path: Path) -> None:
    CHECKS[name](tmp_path)


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call a benchmark that ends before it measures in this process, which has imported what it imports.

    `here(name, *arguments)` gives the exit code, stdout and stderr. That each starts as a process is tested above.
    """
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.chdir(tmp_path)

    def call(name: str, *arguments: str) -> tuple[int, str, str]:
        script = str(FOLDER / f"{name}.py")
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(script, run_name="__main__")
        assert list(tmp_path.iterdir()) == []
        return (int(ended.value.code or 0), *capsys.readouterr())

    return call


@pytest.mark.parametrize("name", BENCHMARKS)
def test_help_says_what_it_is_and_takes(name: str, here: Call) -> None:
    code, out, error = here(name, "--help")
    assert code == 0, error
    for part in ("--json", "--smoke", "--seed"):
        assert part in out
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert source.splitlines()[0].strip('"') in out


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (["char_lm"], "--data is missing"),
        (["fuzz", "--inputs", "0"], "--inputs 0 and --seconds 5.0 must be above 0"),
        (["generation", "--length", "10"], "--length 10 must be at least 4000"),
        (["gradient_flow", "--steps", "1"], "--steps 1 must be at least 2"),
        (["gradient_flow", "--plot", "flow.txt"], "--plot flow.txt must end in .png, .svg or .pdf"),
        (["gradient_flow", "--steps", "90000"], "--data pydoc has "),
        (["gradient_flow", "--smoke", "--run", "no-such-run"], "no-such-run"),
        (["large_text", "--size", "much"], "'much' is no size"),
        (["translation", "--smoke", "--parts", "decoding"], "decoding needs a run"),
        (["word_lm", "--sed", "1"], "unrecognized arguments"),
        (["zoo_on_text", "--max-time", "5s", "--max-steps", "5"], "not allowed with argument --max-time"),
    ],
)
def test_a_wrong_call_is_refused(call: list[str], message: str, here: Call) -> None:
    code, out, error = here(*call)
    assert code == 2
    assert message in error
    assert out == ""


def test_translators_of_one_budget_are_scored_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    functions = runpy.run_path(str(FOLDER / "translation.py"))
    asked: list[tuple[str, ...]] = []
    monkeypatch.setitem(functions["summary"].__globals__, "scored", lambda *runs: asked.append(runs) or {"bleu": 9.0})
    figures = {"chrf": 1.0, "exact_match": 0.0}
    runs = [
        {"max_time": t, "run": f"{t}-{bleu}", "bleu": bleu, **figures}
        for t, bleu in (("5m", 3.0), ("9m", 4.0), ("9m", 6.0))
    ]
    short, long = functions["summary"](runs)
    assert (short["runs"], short["bleu"]["mean"], short["ensemble"]) == (1, 3.0, None)
    assert (long["runs"], long["bleu"]["mean"], long["ensemble"]) == (2, 5.0, {"bleu": 9.0})
    assert asked == [("9m-4.0", "9m-6.0")]
    monkeypatch.setitem(functions["scored"].__globals__, "run_command", lambda *words: asked.append(words) or "{}")
    with pytest.raises(KeyError):
        functions["scored"]("a", "b", "c")
    assert asked[1] == ("evaluate", "a", "--ensemble", "b", "--ensemble", "c", "--json")


def test_a_training_that_fails_ends_the_benchmark(tmp_path: Path) -> None:
    done = run("char_lm", "--smoke", "--", "--hidden-size", "0", folder=tmp_path)
    assert done.returncode == 1
    assert "--hidden-size 0 must be at least 1" in done.stderr
    assert "failed with exit code 2" in done.stderr
    assert done.stdout == ""


@pytest.fixture(scope="module")
def common() -> ModuleType:
    specification = importlib.util.spec_from_file_location("benchmarks_common", FOLDER / "_common.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_sizes_are_read(common: ModuleType) -> None:
    sizes = {"1GB": 10**9, "10MB": 10**7, "1.5 kb": 1500, "7": 7}
    assert {text: common.parse_size(text) for text in sizes} == sizes


@pytest.mark.parametrize("text", ["", "GB", "-1MB", "1TB", "0MB"])
def test_what_is_no_size_is_refused(text: str, common: ModuleType) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no size"):
        common.parse_size(text)


def test_a_table_is_laid_out_in_columns(common: ModuleType) -> None:
    table = common.format_table(["name", "n", "value"], [["a", 12345, 0.123456], ["long name", None, 123456.7]])
    assert table.splitlines() == [
        "name            n    value",
        "a          12,345   0.1235",
        "long name       -  123,457",
    ]


def test_generated_text_is_as_long_as_asked_and_repeats(common: ModuleType, seed: int) -> None:
    text = common.generated_text(5000, seed)
    assert len(text) == 5000
    assert text == common.generated_text(5000, seed)
    assert text != common.generated_text(5000, seed + 1)
    words = text.replace(".\n", " ").split()
    counts = sorted((words.count(word) for word in set(words)), reverse=True)
    assert counts[0] > 5 * counts[len(counts) // 2]  # frequent words and rare ones
