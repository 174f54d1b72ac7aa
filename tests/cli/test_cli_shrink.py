"""`nlp-lstm shrink`: the same model, with weights of half of their bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import nlp_lstm as nl
from nlp_lstm import tasks
from nlp_lstm.cli import main
from nlp_lstm.models import EncoderDecoder
from nlp_lstm.tasks import Classification, LanguageModeling, Summarization, Translation

TEXT = "The boats came home to the harbour, and nobody liked the soup.\n"
ABOUT = {"recipe": "mine", "data": {"data": "pydoc"}, "cache": {"size": 5, "weight": 0.1, "sharpness": 0.3}}
WEIGHTS = "model.safetensors"


def translator(kind: type[Translation], shared: bool, **given: Any) -> Translation:
    source, target = (nl.train_tokenizer(name, [TEXT]) for name in ("word", "word" if shared else "character"))
    sizes = nl.EncoderDecoderOptions(embedding_size=6, encoder_size=6, decoder_size=12, shared=shared)
    return kind(EncoderDecoder(source.vocab_size, target.vocab_size, sizes), source, target, ABOUT, **given)


def build(kind: str) -> Any:
    torch.manual_seed(0)
    words = nl.train_tokenizer("word", [TEXT])
    if kind == "translator":
        return translator(Translation, shared=False)
    if kind == "summarizer":
        return translator(Summarization, shared=True, source_words=3)
    if kind == "language model":
        sizes = nl.LanguageModelOptions(embedding_size=6, hidden_size=6, tied=True)
        return LanguageModeling.build(words, sizes, ABOUT, lowercase=True)
    return Classification.build(words, ["no", "yes"], nl.ClassifierOptions(embedding_size=60, hidden_size=50), ABOUT)


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    build("classifier").save(tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("kind", ["classifier", "language model", "translator", "summarizer"])
def test_a_shrunk_run_is_the_same_but_for_the_rounding(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(kind).save(tmp_path / "run")
    assert main(["shrink", str(tmp_path / "run"), str(tmp_path / "a small one")]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path / 'a small one'}\n"
    assert printed.err.endswith(f"Score the run:  nlp-lstm evaluate '{tmp_path / 'a small one'}'\n")
    files = [
        {path.relative_to(tmp_path / name): path for path in (tmp_path / name).rglob("*") if path.is_file()}
        for name in ("run", "a small one")
    ]
    assert files[0].keys() == files[1].keys()
    assert [name for name in files[0] if files[0][name].read_bytes() != files[1][name].read_bytes()] == [Path(WEIGHTS)]
    before, after = (load_file(tmp_path / name / WEIGHTS) for name in ("run", "a small one"))
    assert before.keys() == after.keys()
    for name, value in after.items():
        assert value.dtype == torch.float16
        assert torch.equal(value, before[name].half())
    weights = nl.load(tmp_path / "a small one", device="cpu").model.state_dict()
    assert all(value.dtype == torch.float32 for value in weights.values())
    assert all(torch.equal(weights[name], value.float()) for name, value in after.items())


def test_a_shrunk_classifier_reads_alike(classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shrink", str(classifier), str(tmp_path / "small")]) == 0
    sizes = [(folder / WEIGHTS).stat().st_size for folder in (classifier, tmp_path / "small")]
    assert 0.5 < sizes[1] / sizes[0] < 0.52, "the header stays"
    assert f"have {sizes[1] / 1e6:.1f} MB, and had {sizes[0] / 1e6:.1f}." in capsys.readouterr().err
    assert f"{sizes[1] / 1e6:.1f}" != f"{sizes[0] / 1e6:.1f}"
    large, small = (nl.load(folder, device="cpu") for folder in (classifier, tmp_path / "small"))
    np.testing.assert_allclose(small.probabilities([TEXT]), large.probabilities([TEXT]), atol=1e-3)
    assert (small.labels, small.config) == (large.labels, large.config)


def test_curves_and_card_come_along(classifier: Path, tmp_path: Path) -> None:
    (classifier / "metrics.jsonl").write_text('{"step": 1}\n', encoding="utf-8")
    (classifier / "README.md").write_text("A classifier.\n", encoding="utf-8")
    assert main(["shrink", str(classifier), str(tmp_path / "small")]) == 0
    assert (tmp_path / "small" / "metrics.jsonl").read_text(encoding="utf-8") == '{"step": 1}\n'
    card = (tmp_path / "small" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("A classifier.\n\nThe weights were rounded to float16")
    assert (classifier / "README.md").read_text(encoding="utf-8") == "A classifier.\n"


def test_a_card_that_leads_out_of_the_run_is_not_copied(
    classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "secret").write_text("mine", encoding="utf-8")
    (classifier / "README.md").symlink_to(tmp_path / "secret")
    assert main(["shrink", str(classifier), str(tmp_path / "small")]) == 1
    assert "README.md is a link that leads out of the run folder; it is not read." in capsys.readouterr().err
    assert not (tmp_path / "small").exists()


def test_the_model_is_read_on_the_processor(classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    task = nl.load(classifier, device="cpu")

    def load(folder: str, device: str = "auto") -> Any:
        asked.append(device)
        return task

    monkeypatch.setattr(tasks, "load", load)
    assert main(["shrink", str(classifier), str(tmp_path / "small")]) == 0
    assert asked == ["cpu"]


def test_what_float16_does_not_have_is_refused_and_nothing_is_left(
    classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = nl.load(classifier, device="cpu")
    with torch.no_grad():
        task.model.embedding[0, 0] = -70_000.0
    (classifier / "config.json").unlink()
    with pytest.raises(nl.UsageError, match="embedding holds 70,000, and float16 at most 65,504"):
        task.save(classifier, half=True)
    assert not (classifier / "config.json").exists(), "a run is not described before it is known to fit"
    assert float(load_file(classifier / WEIGHTS)["embedding"].abs().max()) < 70_000
    task.save(classifier)
    assert main(["shrink", str(classifier), str(tmp_path / "small")]) == 2
    assert "embedding holds 70,000, and float16 at most 65,504. Keep this model in fp32." in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_folder_that_cannot_be_new_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name, said in (
        ("mine", f"{tmp_path / 'mine'} is already there; name a new folder."),
        ("link", f"{tmp_path / 'link'} is already there; name a new folder."),
        ("no/small", f"There is no folder {tmp_path / 'no'} to write small in. Make it first, or name another."),
    ):
        assert main(["shrink", str(tmp_path / "no run"), str(tmp_path / name)]) == 2
        assert said in capsys.readouterr().err
    assert not list((tmp_path / "mine").iterdir())


def test_a_run_that_is_none_leaves_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps({}), encoding="utf-8")
    assert main(["shrink", str(tmp_path / "run"), str(tmp_path / "small")]) == 1
    assert "does not describe a run" in capsys.readouterr().err
    assert not (tmp_path / "small").exists()
