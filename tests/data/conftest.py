"""A stand-in tokenizer, simple enough to predict, and a cache folder that is not the user's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


class CodePointTokenizer:
    """Each character is its code point plus 4; what does not fit the vocabulary is unknown."""

    pad_id, unk_id, bos_id, eos_id = 0, 1, 2, 3

    def __init__(self, vocab_size: int = 260, line_end_is_eos: bool = False) -> None:
        self.vocab_size = vocab_size
        self.line_end_is_eos = line_end_is_eos
        self.encoded = 0

    def encode_array(self, text: str) -> np.ndarray:
        self.encoded += len(text)
        ids = np.frombuffer(text.encode("utf-32-le"), np.int32) + 4
        ids[ids >= self.vocab_size] = self.unk_id
        if self.line_end_is_eos:
            ids[ids == ord("\n") + 4] = self.eos_id
        return ids

    def fingerprint(self) -> str:
        return f"code points {self.vocab_size} {self.line_end_is_eos}"


@pytest.fixture
def make_tokenizer():
    return CodePointTokenizer


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path_factory.mktemp("hf_home")
    monkeypatch.setenv("HF_HOME", str(home))
    return home


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that stands for a hub data set: only the decision "not a local path" is replaced."""
    import datasets

    from nlp_lstm.data import _named

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(_named, "_is_local", lambda _: False)
    monkeypatch.setattr(_named, "_is_hub_id", lambda _: True)
    folder = tmp_path / "set"
    folder.mkdir()
    return folder
