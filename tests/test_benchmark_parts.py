"""What the benchmarks compute themselves, without a training."""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import nlp_lstm as nl
from nlp_lstm.cells import CELLS

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
VOCAB, EMBEDDING, HIDDEN = 37, 8, 24


@pytest.fixture
def benchmark(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module(request.param)


def parameters(cell: str, vocab_size: int, embedding_size: int, hidden_size: int) -> int:
    """Count those of the model itself."""
    options = nl.LanguageModelOptions(cell=cell, embedding_size=embedding_size, hidden_size=hidden_size)
    return sum(parameter.numel() for parameter in nl.LanguageModel(vocab_size, options).parameters())


@pytest.mark.parametrize("benchmark", ["zoo_on_text"], indirect=True)
@pytest.mark.parametrize("cell", [*CELLS, "transformer"])
def test_parameters_are_those_of_the_model(cell: str, benchmark: ModuleType) -> None:
    for sizes in ((VOCAB, EMBEDDING, HIDDEN), (11, 6, 7)):
        assert benchmark.count_parameters(cell, *sizes) == parameters(cell, *sizes)


@pytest.mark.parametrize("benchmark", ["zoo_on_text"], indirect=True)
@pytest.mark.parametrize("cell", CELLS)
def test_no_other_size_is_nearer(cell: str, benchmark: ModuleType) -> None:
    target = parameters("lstm", VOCAB, EMBEDDING, HIDDEN)
    size = benchmark.equal_size(cell, VOCAB, EMBEDDING, HIDDEN)
    distance = {near: abs(parameters(cell, VOCAB, EMBEDDING, near) - target) for near in (size - 1, size, size + 1)}
    assert distance[size] == min(distance.values())
    assert cell != "lstm" or size == HIDDEN


@pytest.mark.parametrize("benchmark", ["zoo_on_text"], indirect=True)
def test_all_are_of_one_size_where_models_are_large(benchmark: ModuleType) -> None:
    target = benchmark.count_parameters("lstm", 100, 64, 512)
    for cell in (*CELLS, "transformer"):
        size = benchmark.equal_size(cell, 100, 64, 512)
        assert benchmark.count_parameters(cell, 100, 64, size) == pytest.approx(target, rel=0.005), cell


@pytest.mark.parametrize("benchmark", ["zoo_on_text"], indirect=True)
def test_the_best_cell_comes_first_in_the_table(benchmark: ModuleType) -> None:
    runs = [
        {"cell": cell, "hidden_size": 9, "parameters": 99, "bits_per_character": bits, **rest}
        for cell, bits in (("rnn", 3.0), ("gru", 1.5), ("gru", 2.5))
        for rest in ({"tokens_per_second": 10.0, "peak_memory_mb": 100 * bits, "steps": 4},)
    ]
    summary = [benchmark.summarize(cell, runs) for cell in ("rnn", "gru")]
    assert summary[1]["bits_per_character"] == {"mean": 2.0, "deviation": pytest.approx(0.5**0.5)}
    assert summary[1]["peak_memory_mb"] == 150
    _, *rows = benchmark.table(summary).splitlines()
    assert [row.split()[0] for row in rows] == ["gru", "rnn"]


@pytest.mark.parametrize("benchmark", ["gradient_flow"], indirect=True)
def test_a_run_without_a_language_model_is_refused(benchmark: ModuleType, tmp_path: Path) -> None:
    tokenizer = nl.train_tokenizer("word", ["good and bad"])
    options = nl.ClassifierOptions(embedding_size=4, hidden_size=4)
    nl.Classification.build(tokenizer, ["bad", "good"], options).save(tmp_path / "run")
    with pytest.raises(nl.UsageError, match="no language model: it answers to `nlp-lstm classify`"):
        benchmark.trained(str(tmp_path / "run"))


@pytest.mark.parametrize("benchmark", ["gradient_flow"], indirect=True)
def test_gradients_are_measured_on_text_as_the_model_reads_it(benchmark: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("Some Words, and THEN more of them.\n" * 90, encoding="utf-8")
    data = nl.DataOptions(str(tmp_path / "text.txt"))
    tokenizer = nl.train_tokenizer("character", ["some words, and then more of them.\n"], byte_fallback=False)
    options = nl.LanguageModelOptions(embedding_size=4, hidden_size=6)
    nl.LanguageModeling.build(tokenizer, options, lowercase=True, backward=True).save(tmp_path / "run")
    valid = "".join(nl.load_text(data).split("valid"))
    (ids,) = benchmark.texts(data, benchmark.trained(str(tmp_path / "run")).task, 1, len(valid)).tolist()
    assert tokenizer.decode(ids[::-1]) == valid.lower()


@pytest.mark.parametrize("benchmark", ["gradient_flow"], indirect=True)
def test_the_table_has_powers_of_two_and_the_end(benchmark: ModuleType) -> None:
    models = [{"name": "gru", "norm": [0.5**k for k in range(7)], "factor_per_step": 0.5}]
    _, *rows, factor = benchmark.table(models, 6).splitlines()
    assert [row.split()[2] for row in rows] == ["0", "1", "2", "4", "6"]
    assert rows[-1].split()[-1] == f"{0.5**6:.4g}"
    assert factor.split()[-1] == "0.5"
    powers = benchmark.table([{**models[0], "norm": [0.5**k for k in range(9)]}], 8).splitlines()
    assert [row.split()[2] for row in powers[1:-1]] == ["0", "1", "2", "4", "8"]


@pytest.mark.parametrize("benchmark", ["copying"], indirect=True)
@pytest.mark.parametrize("task", ["copy", "reverse"])
def test_sequences_to_copy_and_reverse(task: str, benchmark: ModuleType, tmp_path: Path) -> None:
    sizes = {"train": 200, "valid": 20, "test": 30}
    benchmark.write_task(tmp_path / "data", task, sizes, 9, 5)
    texts = {}
    for split, count in sizes.items():
        sources, targets = (
            [line.split(" ") for line in (tmp_path / "data" / f"{split}.{side}").read_text().splitlines()]
            for side in ("source", "target")
        )
        assert targets == [symbols if task == "copy" else symbols[::-1] for symbols in sources]
        assert len(sources) == count
        lengths = {len(symbols) for symbols in sources}
        assert lengths == {9} if split == "test" else lengths <= set(range(1, 10))
        assert len(lengths) == 9 or split != "train"
        assert {symbol for symbols in sources for symbol in symbols} <= set(benchmark.SYMBOLS)
        texts[split] = {tuple(symbols) for symbols in sources}
    assert not texts["train"] & texts["test"]
    with pytest.raises(SystemExit, match="greater --length"):
        benchmark.write_task(tmp_path / "short", task, {"train": 900, "test": 900}, 1, 5)


@pytest.mark.parametrize("benchmark", ["copying"], indirect=True)
def test_sequences_of_any_length_are_trained_on(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(benchmark, "run_command", lambda *call: calls.append(call) or '{"exact_match": 1.0, "n": 2}')
    (tmp_path / "metrics.jsonl").write_text('{"step": 3, "seconds": 1.5}\n')
    (tmp_path / "config.json").write_text('{"threads": 1}')
    benchmark.train_and_score("copy", tmp_path / "data", tmp_path, 0, [])
    trained = [str(part) for part in calls[0]]
    assert trained[trained.index("--max-words") + 1] == "0"


def call(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmark", "--json", *map(str, arguments)])
    assert benchmark.main() == 0


@pytest.mark.parametrize("benchmark", ["zoo_on_text"], indirect=True)
def test_every_cell_is_trained_alike(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trainings: list[tuple[str, int, list[str]]] = []

    def train(cell: str, hidden_size: int, seed: int, run: Path, options: list[str]) -> dict[str, Any]:
        assert run.name == f"zoo-{cell}-seed{seed}"
        trainings.append((cell, seed, options))
        figures = dict.fromkeys(("parameters", "bits_per_character", "tokens_per_second", "peak_memory_mb"), 1.0)
        return {"cell": cell, "hidden_size": hidden_size, "steps": 1, "threads": 1, **figures}

    (tmp_path / "text.txt").write_text("some text and more of it\n" * 99, encoding="utf-8")
    monkeypatch.setattr(benchmark, "train", train)
    own = ["--data", tmp_path / "text.txt", "--cells", "gru", "lstm", "--hidden-size", 9]
    call(benchmark, monkeypatch, *own, "--max-time", "7s", "--seeds", 3, 4, "--", "--learning-rate", "1e-3")
    assert [(cell, seed) for cell, seed, _ in trainings] == [("gru", 3), ("gru", 4), ("lstm", 3), ("lstm", 4)]
    for *_, options in trainings:
        assert options == [
            *("--data", str(tmp_path / "text.txt"), "--embedding-size", "64"),
            *("--valid-fraction=0.1", "--test-fraction=0.0", "--max-time=7s", "--restarts", "5"),
            *("--learning-rate", "1e-3"),
        ]
    trainings.clear()
    call(benchmark, monkeypatch, *own)
    assert [seed for _, seed, _ in trainings] == [0, 1, 2] * 2
    assert "--max-time=60s" in trainings[0][2]
    trainings.clear()
    call(benchmark, monkeypatch, *own, "--max-steps", 8)
    assert [option for option in trainings[0][2] if "max" in option] == ["--max-steps=8"]
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["budget"] == {"max_time": None, "max_steps": 8}


@pytest.mark.parametrize("benchmark", ["copying"], indirect=True)
def test_both_tasks_get_the_time_that_is_asked_for(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    trainings: list[tuple[str, int, list[str]]] = []

    def train_and_score(task: str, data: Path, run: Path, seed: int, options: list[str]) -> dict[str, Any]:
        trainings.append((task, seed, options))
        length = len((data / "test.source").read_text(encoding="utf-8").splitlines()[0].split())
        figures = {"exact_match": 1.0, "n": length, "steps": 1, "seconds": 1.0, "threads": 1}
        return {"task": task, "seed": seed, **figures}

    monkeypatch.setattr(benchmark, "train_and_score", train_and_score)
    monkeypatch.setattr(benchmark, "_SIZES", benchmark._SMALL)
    call(benchmark, monkeypatch, "--max-time", "7s", "--seeds", 5, 6, "--", "--cell", "gru")
    passed = ["--max-time", "7s", "--cell", "gru"]
    assert trainings == [(task, seed, passed) for task in ("copy", "reverse") for seed in (5, 6)]
    trainings.clear()
    call(benchmark, monkeypatch)
    assert trainings == [(task, 0, ["--max-time", "3m"]) for task in ("copy", "reverse")]


@pytest.mark.parametrize("benchmark", ["gradient_flow"], indirect=True)
def test_untrained_models_start_as_is_asked_for(benchmark: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("some text and more of it\n" * 99, encoding="utf-8")
    data = nl.DataOptions(str(tmp_path / "text.txt"))
    start = {"hidden_size": 9, "recurrent_initialization": "orthogonal", "forget_bias": 2.0, "seed": 3}
    one, same = benchmark.untrained(["lstm", "lstm"], data, argparse.Namespace(**start))
    options = one.task.model.options
    assert [getattr(options, name) for name in start if name != "seed"] == [9, "orthogonal", 2.0]
    (other,) = benchmark.untrained(["lstm"], data, argparse.Namespace(**{**start, "seed": 4}))
    weights, again, others = (subject.task.model.embedding for subject in (one, same, other))
    assert weights.equal(again)
    assert not weights.equal(others)


@pytest.mark.parametrize("benchmark", ["gradient_flow"], indirect=True)
@pytest.mark.parametrize("option", ["--texts", "--positions"])
def test_nothing_to_measure_is_refused(
    option: str, benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        call(benchmark, monkeypatch, option, 0)
    assert f"{option} 0 must be at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("benchmark", ["large_text"], indirect=True)
def test_a_disk_without_room_is_told_before_anything_is_written(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=599 * 10**6))
    for name in ("measure", "measure_shards"):
        monkeypatch.setattr(benchmark, name, None)
    with pytest.raises(SystemExit, match=r"0\.6 GB free, and 0\.6 GB are needed\. Make room"):
        call(benchmark, monkeypatch, "--size", "100MB")
    with pytest.raises(SystemExit, match=r"0\.6 GB free, and 0\.6 GB are needed"):
        call(benchmark, monkeypatch, "--size", "500MB", "--shards", 2)


@pytest.mark.parametrize("benchmark", ["large_text"], indirect=True)
def test_both_texts_are_made_and_trained_on_as_is_asked_for(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[object, ...]] = []

    def measure(*arguments: object) -> tuple[dict[str, float], int]:
        calls.append(arguments)
        return {"training_peak_mb": 1.0}, 1

    for name in ("measure", "measure_shards"):
        monkeypatch.setattr(benchmark, name, measure)
    monkeypatch.setattr(benchmark, "require_space", lambda _: None)
    call(benchmark, monkeypatch, "--max-steps", 7, "--seed", 3)
    call(benchmark, monkeypatch, "--shards", 4)
    assert calls == [
        *((size, 3, ["--max-steps", "7"]) for size in (10**7, 10**9)),
        *((size, 4, 0, ["--max-steps", "50"]) for size in (5 * 10**7, 10**9)),
    ]


@pytest.mark.parametrize("benchmark", ["large_text"], indirect=True)
def test_a_streamed_training_that_fails_ends_the_benchmark(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for code in (3, 0):  # one that ends without a step has failed too
        monkeypatch.setattr(
            benchmark,
            "nlp_lstm_command",
            lambda *_, code=code: [sys.executable, "-S", "-c", f"raise SystemExit({code})"],
        )
        with pytest.raises(SystemExit, match=f"failed with exit code {code}\\."):
            benchmark.stream(tmp_path, tmp_path / "run", [])


@pytest.mark.parametrize("benchmark", ["translation"], indirect=True)
def test_nothing_is_scored_before_all_is_trained(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(benchmark, "run_command", lambda *call: calls.append(call[0]))
    monkeypatch.setattr(benchmark, "trained", lambda run: {"steps": 1})
    monkeypatch.setattr(benchmark, "scored", lambda run: calls.append("score") or {"bleu": 2.0})
    monkeypatch.setattr(benchmark, "data_flags", lambda _: [])
    arguments = argparse.Namespace(smoke=False, config="multi30k", max_time=["1m", "2m"], seeds=[0, 1])
    runs = benchmark.quality(arguments, tmp_path)
    assert calls == ["train"] * 4 + ["score"] * 4
    assert [(run["max_time"], run["seed"], run["bleu"]) for run in runs] == [
        *(("1m", 0, 2.0), ("1m", 1, 2.0), ("2m", 0, 2.0), ("2m", 1, 2.0)),
    ]
