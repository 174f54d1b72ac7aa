"""Whatever a file holds, what reads it works or raises an error of the package: damage drawn at random, by reader.

`benchmarks/fuzz.py` does the same ten thousand times, in a process whose memory is measured.
"""

from __future__ import annotations

import importlib.util
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlp_lstm.errors import NlpLstmError

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
KINDS = ("text", "labelled", "pairs", "tokenizer", "run", "checkpoint")


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
