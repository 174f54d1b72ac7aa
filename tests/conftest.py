"""What every test stands on: no network, caches of its own, few threads, and inputs that can be repeated."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

_CACHE = Path(tempfile.mkdtemp(prefix="nlp-lstm-tests-"))
_SEED = int(os.environ.get("NLP_LSTM_TEST_SEED", "20261121"))

# The libraries read these once, when they are first imported; processes that the tests start inherit them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HOME"] = str(_CACHE / "huggingface")
os.environ["XDG_CACHE_HOME"] = str(_CACHE / "cache")
for _variable in ("HF_DATASETS_CACHE", "HF_HUB_CACHE", "HF_TOKEN", "NO_COLOR", "FORCE_COLOR"):
    os.environ.pop(_variable, None)
os.environ.setdefault("OMP_NUM_THREADS", "2")
# A shell that starts a command in the background makes it deaf to Ctrl-C, and all that the tests start would be too.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("nlp_lstm", deadline=None, print_blob=True, derandomize="CI" in os.environ)
settings.load_profile("nlp_lstm")


def pytest_report_header() -> str:
    return f"random inputs: seed {_SEED} (repeat with NLP_LSTM_TEST_SEED={_SEED})"


def pytest_unconfigure() -> None:
    shutil.rmtree(_CACHE, ignore_errors=True)


@pytest.fixture
def seed() -> int:
    """The seed for a test's random inputs, printed at the head of the report."""
    return _SEED


@pytest.fixture(autouse=True)
def _repeatable() -> None:
    """Start each test from the same random state, without importing the libraries that it does not use."""
    random.seed(_SEED)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(_SEED % 2**32)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(_SEED)
