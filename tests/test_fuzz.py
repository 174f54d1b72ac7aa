"""Whatever a file holds, what reads it works or raises an error of the package: damage drawn at random, by reader.

`benchmarks/fuzz.py` does the same ten thousand times, in a process whose memory is measured.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlp_lstm.errors import DataError, NlpLstmError

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
KINDS = ("text", "labelled", "pairs", "vectors", "tokenizer", "run", "checkpoint")


def load_module(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"benchmarks{name}", BENCHMARKS / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = sys.modules[specification.name] = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


FUZZED, MUTATIONS = load_module("_fuzzed"), load_module("_mutations")


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for reader in FUZZED.all_readers(tmp_path_factory.mktemp("valid")):
        found.setdefault(reader.name.split()[0], []).append(reader)
    return found


def is_accepted(reader: Any, folder: Path) -> bool:
    """Read; anything but an error of the package goes through."""
    try:
        reader.read(folder)
    except NlpLstmError:
        return False
    return True


def test_every_task_and_form_of_a_run_is_read(readers: dict[str, list[Any]]) -> None:
    configs = [json.loads(reader.files["config.json"]) for reader in readers["run"]]
    assert {config["task"] for config in configs} == {"language_modeling", "classification", "translation"}
    assert ["source_words" in config["model"] for config in configs].count(True) == 1  # a summarizer
    languages = [config["model"]["tied"] for config in configs if config["task"] == "language_modeling"]
    assert languages == [False, True]
    assert {reader.name for reader in readers["vectors"]} == {
        *("vectors glove.txt", "vectors glove.txt.gz", "vectors fasttext.vec"),
    }


def test_every_valid_input_is_accepted(readers: dict[str, list[Any]], tmp_path: Path) -> None:
    assert tuple(readers) == KINDS
    for number, reader in enumerate(reader for some in readers.values() for reader in some):
        FUZZED.write_files(reader.files, tmp_path / str(number))
        reader.read(tmp_path / str(number))


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_input_is_read_or_refused(kind: str, readers: dict[str, list[Any]]) -> None:
    seen: Counter[bool] = Counter()

    @settings(max_examples=60, deadline=None, database=None)
    @given(st.integers(0, 2**64 - 1))
    def check(number: int) -> None:
        chance = random.Random(number)
        reader = chance.choice(readers[kind])
        with tempfile.TemporaryDirectory() as folder:
            path = FUZZED.write_damaged(reader, Path(folder), chance, MUTATIONS.mutate_file)
            if chance.random() < 0.1:
                MUTATIONS.replace_file(path, chance)
            seen[is_accepted(reader, Path(folder))] += 1

    check()
    assert seen[False] > 5, "the damage does no harm"


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80), st.binary(max_size=20), st.integers(0, 2**64 - 1))
def test_damage_is_a_function_of_the_seed(content: bytes, other: bytes, seed: int) -> None:
    for name in ("a.txt", "a.json", "a.jsonl", "a.safetensors", "a.gz"):
        once, again = (MUTATIONS.mutate_file(name, content, random.Random(seed), other) for _ in range(2))
        assert once == again


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_damaged_json_is_mostly_still_json(seed: int) -> None:
    value = {"a": [1, 2.5, None], "b": {"c": "text"}}
    before = json.dumps(value)
    changed = MUTATIONS.mutate_json(value, random.Random(seed))
    assert json.dumps(value) == before, "the input was changed"
    json.loads(json.dumps(changed))


def test_all_kinds_of_damage_are_drawn(tmp_path: Path) -> None:
    content = bytes(range(200))
    chance = random.Random(5)
    lengths = {len(MUTATIONS.mutate_bytes(content, chance, b"other")) - len(content) for _ in range(300)}
    assert min(lengths) == -len(content)
    assert 0 in lengths
    assert max(lengths) > 1000
    drawn = set()
    for number in range(60):
        path = tmp_path / str(number)
        path.touch()
        drawn.add(MUTATIONS.replace_file(path, chance))
    assert len(drawn) == 8


# What follows is about the flags of `benchmarks/fuzz.py`, with two readers that need no time, in this process.


def refuse(folder: Path) -> object:
    raise DataError("a.txt is damaged")


def stumble(folder: Path) -> object:
    raise AttributeError("what nobody expected")


STAND_INS = [FUZZED.Reader("text refused", {"a.txt": bytes(range(256))}, refuse)]
STAND_INS += [FUZZED.Reader("text stumbled over", {"a.txt": bytes(range(256))}, stumble)]


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module, handler = importlib.import_module("fuzz"), signal.getsignal(signal.SIGALRM)
    signal.signal(signal.SIGALRM, module.ring)
    for name in ("HF_HOME", "HF_HUB_OFFLINE"):  # which it sets
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr(module, "all_readers", lambda work: STAND_INS)

    def run(inputs: int, seed: int, folder: Path, limits: Any) -> list[Any]:
        outcomes = []
        for number in range(inputs):
            with module.scratch(folder) as made:
                reader = module.make_input(STAND_INS, seed, number, made)
                outcomes.append(module.try_input(reader, number, made, limits))
        return outcomes

    monkeypatch.setattr(module, "run", run)
    yield module
    signal.signal(signal.SIGALRM, handler)


def call(fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["fuzz.py", *map(str, arguments)])
    code: int = fuzz.main()
    return code


def test_inputs_that_fail_are_saved_under_their_numbers(
    fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept"
    (kept / "3" / "input").mkdir(parents=True)
    (kept / "3" / "input" / "old.txt").touch()
    assert call(fuzz, monkeypatch, "--inputs", 4, "--seed", 6, "--failures", kept, "--json") == 1
    shown = capsys.readouterr()
    assert [one["number"] for one in json.loads(shown.out)["failures"]] == [1, 3]
    assert "3 (text stumbled over): traceback:" in shown.err
    assert "what nobody expected" in shown.err
    assert sorted(path.name for path in kept.iterdir()) == ["1", "3"]
    contents = set()
    for number in (1, 3):
        told = json.loads((kept / str(number) / "outcome.json").read_text(encoding="utf-8"))
        assert (told["number"], told["seed"], told["kind"]) == (number, 6, "traceback")
        (tmp_path / str(number)).mkdir()
        fuzz.make_input(STAND_INS, 6, number, tmp_path / str(number))
        again, saved = tmp_path / str(number), kept / str(number) / "input"
        assert [path.name for path in saved.iterdir()] == ["a.txt"]
        contents.add((saved / "a.txt").read_bytes())
        assert (again / "a.txt").read_bytes() in contents
    assert len(contents - {STAND_INS[1].files["a.txt"]}) == 2, "they are damaged, each in its way"


def test_without_failures_nothing_is_saved(
    fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(fuzz, monkeypatch, "--inputs", 1, "--failures", tmp_path / "kept") == 0
    assert "text refused" in capsys.readouterr().out
    assert not (tmp_path / "kept").exists()
    monkeypatch.setattr(sys, "argv", ["fuzz.py"])
    assert (fuzz.parse().failures, fuzz.parse().repeat) == (Path("fuzz-failures"), None)


@pytest.mark.parametrize(("number", "code", "kind"), [(0, 0, "refused"), (3, 1, "traceback")])
def test_an_input_is_read_again(
    number: int,
    code: int,
    kind: str,
    fuzz: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(fuzz, "run", None)  # only this one is read
    assert call(fuzz, monkeypatch, "--seed", 6, "--repeat", number) == code
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith(f"input {number}, {STAND_INS[number % 2].name}: {kind}, ")
    if code:
        assert rest[0].startswith("Traceback")
        assert "AttributeError: what nobody expected" in rest
    else:
        assert rest == ["a.txt is damaged"]


def test_what_takes_more_than_its_limits_fails(
    fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    worker = sys.modules["_fuzz_worker"]
    # For want of an alarm it would wait for ever.
    endless = FUZZED.Reader("text endless", {}, lambda _: signal.pause())
    assert fuzz.try_input(endless, 0, tmp_path, fuzz.Limits(0.01, 10**9)).kind == "hang"
    monkeypatch.setattr(worker, "reset_peak", lambda: 1000)
    for peak, kind in ((900, "accepted"), (1050, "accepted"), (1051, "memory")):
        monkeypatch.setattr(worker, "peak", lambda peak=peak: peak)
        outcome = fuzz.try_input(FUZZED.Reader("text", {}, str), 7, tmp_path, fuzz.Limits(100, 50))
        assert (outcome.kind, outcome.memory) == (kind, max(0, peak - 1000))
    refused = fuzz.try_input(STAND_INS[0], 0, tmp_path, fuzz.Limits(100, 50))
    assert refused.kind == "memory", "also what is refused in a sentence"
    told = fuzz.try_input(STAND_INS[1], 0, tmp_path, fuzz.Limits(100, 50))
    assert told.kind == "traceback", "but a traceback says more"


class Process:
    """A process that reads nothing any more: killed, and waited for."""

    exitcode: int | None = None

    def kill(self) -> None:
        self.exitcode = -9

    def join(self) -> None:
        assert self.exitcode == -9


class Silent:
    """The pipe to it, at whose end nobody answers, or nobody is."""

    def __init__(self, ended: bool) -> None:
        self.ended, self.waited = ended, 0.0

    def send(self, number: int) -> None:
        assert number == 5

    def poll(self, seconds: float) -> bool:
        self.waited = seconds
        return self.ended

    def recv(self) -> None:
        raise EOFError


@pytest.mark.parametrize(("ended", "kind"), [(True, "crash"), (False, "hang")])
def test_an_input_that_ends_the_process_is_told_and_another_process_starts(
    ended: bool, kind: str, fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[Silent] = []

    def start(worker: Any) -> None:
        worker.connection, worker.process, worker.names = Silent(ended), Process(), ["text a", "text b"]
        started.append(worker.connection)

    monkeypatch.setattr(fuzz.Worker, "_start", start)
    outcome = fuzz.Worker(0, tmp_path, fuzz.Limits(2.0, 10**9)).ask(5)
    assert (outcome.number, outcome.reader, outcome.kind, outcome.detail) == (5, "text b", kind, "exit -9")
    assert kind in fuzz.FAILURES
    assert len(started) == 2
    assert started[0].waited > 2.0
