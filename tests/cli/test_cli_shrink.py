"""`nlp-lstm shrink`: the same model in half of the bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import nlp_lstm as nl
from nlp_lstm.cli import main
from nlp_lstm.models import EncoderDecoder
from nlp_lstm.tasks import Classification, LanguageModeling, Translation

TEXT = "The boats came home to the harbour, and nobody liked the soup.\n"


@pytest.fixture
def tokenizer() -> nl.Tokenizer:
    return nl.train_tokenizer("word", [TEXT])


@pytest.fixture
def classifier(tokenizer: nl.Tokenizer, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    sizes = nl.ClassifierOptions(embedding_size=6, hidden_size=5)
    Classification.build(tokenizer, ["no", "yes"], sizes).save(tmp_path / "run")
    return tmp_path / "run"


def test_a_shrunk_classifier_reads_alike_in_half_of_the_bytes(
    classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "new" / "small"
    assert main(["shrink", str(classifier), str(target)]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{target}\n"
    assert f"nlp-lstm evaluate {target}" in printed.err
    before, after = (load_file(folder / "model.safetensors") for folder in (classifier, target))
    assert before.keys() == after.keys()
    for name, value in after.items():
        assert value.dtype == torch.float16
        assert torch.equal(value, before[name].half())
    assert {path.name for path in target.iterdir()} == {path.name for path in classifier.iterdir()}
    assert not list(target.parent.glob(".*")), "nothing is left beside it"
    large, small = (nl.load(folder, device="cpu") for folder in (classifier, target))
    assert next(small.model.parameters()).dtype == torch.float32
    np.testing.assert_allclose(small.probabilities([TEXT]), large.probabilities([TEXT]), atol=1e-3)
    assert (small.labels, small.config) == (large.labels, large.config)


@pytest.mark.parametrize("kind", ["language model", "translator"])
def test_every_task_can_be_shrunk(kind: str, tokenizer: nl.Tokenizer, tmp_path: Path) -> None:
    if kind == "translator":
        sizes = nl.EncoderDecoderOptions(embedding_size=6, encoder_size=6, decoder_size=12)
        task = Translation(EncoderDecoder(tokenizer.vocab_size, tokenizer.vocab_size, sizes), tokenizer, tokenizer)
    else:
        task = LanguageModeling.build(tokenizer, nl.LanguageModelOptions(embedding_size=6, hidden_size=6, tied=True))
    task.save(tmp_path / "run")
    assert main(["shrink", str(tmp_path / "run"), str(tmp_path / "small")]) == 0
    weights = nl.load(tmp_path / "small", device="cpu").model.state_dict()
    for name, value in task.model.state_dict().items():
        assert torch.equal(weights[name], value.half().float())


def test_what_float16_does_not_have_is_refused_and_nothing_is_left(
    classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = nl.load(classifier, device="cpu")
    with torch.no_grad():
        task.model.embedding[0, 0] = 70_000.0
    task.save(classifier)
    assert main(["shrink", str(classifier), str(tmp_path / "small")]) == 2
    assert "embedding has weights beyond 65,504, the most of float16. Keep this run" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_folder_that_is_there_is_left_alone(
    classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    assert main(["shrink", str(classifier), str(tmp_path / "mine")]) == 2
    assert f"{tmp_path / 'mine'} is already there; name a new folder." in capsys.readouterr().err
    assert not list((tmp_path / "mine").iterdir())
