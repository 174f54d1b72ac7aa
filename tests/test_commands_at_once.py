"""Eight commands that start at the same moment share caches that are still empty, and none disturbs another."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST = 300  # seconds: stops what hangs, and is no verdict on speed
TEXT = "".join(f"{number}: how much wood would a woodchuck chuck?\n" for number in range(300))

# A process for each command that has loaded everything already, so that they really meet, and in seconds.
PROGRAM = """
import json, os, sys
import datasets, jsonargparse
import nlp_lstm
from nlp_lstm import cli, models, tasks, training

for package in (nlp_lstm, models, tasks, training):
    for name in package.__all__:
        getattr(package, name)

def start(number, call, environment, gate):
    child = os.fork()
    if child:
        return child
    os.close(gate[1])
    os.read(gate[0], 1)  # returns when nobody can write any more
    os.environ.update(environment)
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{number}.{name}", os.O_WRONLY | os.O_CREAT), stream)
    code = cli.main([*call, "--threads", "1"])
    sys.stderr.flush()
    os._exit(code)

def run(calls, environment):
    gate = os.pipe()
    children = [start(number, call, environment, gate) for number, call in enumerate(calls)]
    os.close(gate[1])
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    os.close(gate[0])
    return codes

train = ["train", "char_lm", "--smoke", "--data", "text.txt", "--device", "cpu"]
first = run([[*train, "--run", "first"]], {"NLP_LSTM_NO_COMPILER": "1", "HF_HOME": "elsewhere"})
calls = [[*train, "--run", f"run-{number}"] for number in range(4)]
calls += 2 * [["generate", "first", "--prompt", "How", "--max-tokens", "20", "--seed", "1"]]
calls += 2 * [["evaluate", "first", "--json"]]
print(json.dumps(first + run(calls, {"HF_HOME": "tokens", "XDG_CACHE_HOME": "engine"})))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_eight_commands_at_once_share_empty_caches(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    compiler = tmp_path / "compiler"
    compiler.write_text('#!/bin/sh\nexec g++ "$@" -O0\n', encoding="utf-8")  # what is built need not be fast
    compiler.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CXX": str(compiler)},
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    errors = [(tmp_path / f"{number}.err").read_text(encoding="utf-8") for number in range(8)]
    assert done.returncode == 0, (done.stderr, errors)
    assert json.loads(done.stdout) == 9 * [0], errors
    outputs = Counter((tmp_path / f"{number}.out").read_text(encoding="utf-8") for number in range(8))
    assert sorted(outputs.values()) == [2, 2, 4]  # what was asked for equally is answered equally
    assert all(outputs)
    weights = {(tmp_path / f"run-{number}" / "model.safetensors").read_bytes() for number in range(4)}
    assert len(weights) == 1
    entries = list((tmp_path / "tokens" / "nlp_lstm" / "tokens").iterdir())
    assert len(entries) == 3  # train, valid and test; nothing that is still being made
    assert all(sorted(path.name for path in entry.iterdir()) == ["ids.bin", "meta.json"] for entry in entries)
    if shutil.which("g++"):
        built = sorted(path.name for path in (tmp_path / "engine" / "nlp_lstm").iterdir())
        libraries = [name for name in built if name.endswith(".so")]
        assert built == sorted([*libraries, *(f"{name.removesuffix('.so')}.lock" for name in libraries)])
        assert len(libraries) == "".join(errors).count("nlp-lstm: compiling ") > 0
