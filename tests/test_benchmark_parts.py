"""What the benchmarks compute themselves, without a training."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

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
