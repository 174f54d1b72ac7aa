"""What every test stands on: no network, caches of its own, few threads, and inputs that can be repeated."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The workers of one session inherit the folder of the process that starts them, so that what one compiles serves all.
_OWNER = "NLP_LSTM_TEST_CACHE" not in os.environ
_CACHE = Path(os.environ.setdefault("NLP_LSTM_TEST_CACHE", tempfile.mkdtemp(prefix="nlp-lstm-tests-")))
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
# Of the first two, one compiles what the other would wait for, and the other compiles something else.
_LONGEST = [
    *("test_benchmarks.py", "test_compiler.py", "test_notebooks.py", "test_readme.py", "test_recipes.py"),
    *("test_distributed.py", "test_wheel.py", "test_triton.py", "test_fused.py"),
]
_SEED = int(os.environ.get("NLP_LSTM_TEST_SEED", "20261121"))

# The libraries read these once, when they are first imported; processes that the tests start inherit them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HOME"] = str(_CACHE / f"huggingface-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}")
os.environ["XDG_CACHE_HOME"] = str(_CACHE / "cache")
for _variable in ("HF_DATASETS_CACHE", "HF_HUB_CACHE", "HF_TOKEN", "NO_COLOR", "FORCE_COLOR"):
    os.environ.pop(_variable, None)
os.environ["OMP_NUM_THREADS"] = "2" if _WORKERS == 1 else "1"
# A shell that starts a command in the background makes it deaf to Ctrl-C, and all that the tests start would be too.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("nlp_lstm", deadline=None, print_blob=True, derandomize="CI" in os.environ)
settings.load_profile("nlp_lstm")


def pytest_report_header() -> str:
    return f"random inputs: seed {_SEED} (repeat with NLP_LSTM_TEST_SEED={_SEED})"


def pytest_unconfigure() -> None:
    if _OWNER:
        shutil.rmtree(_CACHE, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the files that take longest first: last, one would keep its worker busy when the others have ended."""
    first = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: first.get(item.path.name, len(first)))


@pytest.fixture
def seed() -> int:
    """The seed for a test's random inputs, printed at the head of the report."""
    return _SEED


@pytest.fixture
def torch_threads() -> Iterator[None]:
    """Leave torch's number of threads as it was, where a test trains and a training sets it."""
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _repeatable() -> None:
    """Start each test from the same random state, without importing the libraries that it does not use."""
    random.seed(_SEED)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(_SEED % 2**32)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(_SEED)
