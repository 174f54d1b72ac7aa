"""A language model with a continuous cache, as a user holds it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from nlp_lstm.data import DataOptions, TokenizedText, load_text, tokenize
from nlp_lstm.errors import RunFolderError, UsageError
from nlp_lstm.models import CachedLanguageModel, CacheSettings, LanguageModel, LanguageModelOptions
from nlp_lstm.tasks import LanguageModeling, load
from nlp_lstm.tokenization import train_tokenizer

TEXT = "".join(f"the {name} met the {name} again .\n" * 3 for name in ("heron", "otter", "badger", "kite") * 12)


@pytest.fixture
def task():
    tokenizer = train_tokenizer("word", [TEXT], pretokenized=True, min_frequency=1)
    torch.manual_seed(0)
    options = LanguageModelOptions(embedding_size=5, hidden_size=9)
    return LanguageModeling(LanguageModel(tokenizer.vocab_size, options).eval(), tokenizer, {"seed": 1})


@pytest.fixture
def text(task, tmp_path) -> TokenizedText:
    (tmp_path / "animals.txt").write_text(TEXT, encoding="utf-8")
    return tokenize(load_text(DataOptions(str(tmp_path / "animals.txt"), None, 0, 0)).split("train"), task.tokenizer)


def test_a_fitted_cache_lowers_the_loss_of_a_text_that_repeats_itself(task, text):
    plain = task.token_losses(text).mean()
    task.fit_cache(text, 40)
    assert task.cache.size == 40
    assert task.cache.weight > 0
    assert task.token_losses(text).mean() < plain - 0.3


def test_the_fit_is_the_best_of_what_scoring_gives(task, text):
    task.fit_cache(text, 20)
    best, found = task.cache, task.token_losses(text).mean()
    for weight, sharpness in [(best.weight + 0.01, best.sharpness), (best.weight - 0.01, best.sharpness)]:
        task.cache = CacheSettings(20, min(1.0, max(0.0, weight)), sharpness)
        assert task.token_losses(text).mean() >= found - 1e-6


def test_the_cache_is_in_the_signature_and_in_the_folder(task, text, tmp_path):
    task.cache = CacheSettings(30, 0.25, 0.5)
    task.save(tmp_path / "run")
    again = load(tmp_path / "run", device="cpu")
    assert again.cache == task.cache
    assert isinstance(again.predictor, CachedLanguageModel)
    assert "|cache:30,0.25,0.5|" in again.score(text).text()
    assert np.allclose(again.token_losses(text), task.token_losses(text), atol=1e-5)
    assert again.generate("the heron", max_tokens=12, seed=3) == task.generate("the heron", max_tokens=12, seed=3)
    again.cache = None
    assert "cache" not in again.score(text).text()


def test_generation_repeats_what_the_prompt_said(task):
    task.cache = CacheSettings(50, 1.0, 0.0)  # nothing but the cache: only words of the text so far can come
    (written,) = task.generate("the otter met the otter", max_tokens=30, seed=2)
    assert set(written.split()) <= {"otter", "met", "the"}


@pytest.mark.parametrize("wrong", [{"size": 0, "weight": 0.1, "sharpness": 1}, {"size": 5}, [3], "much"])
def test_a_cache_that_is_none_is_refused(task, tmp_path, wrong):
    task.save(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "cache": wrong}))
    with pytest.raises(RunFolderError, match="describes no cache"):
        load(tmp_path)


def test_a_size_below_one_is_refused(task, text):
    with pytest.raises(UsageError, match="--cache-size is -3: give a number from 1"):
        task.fit_cache(text, -3)
