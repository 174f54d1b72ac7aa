"""A translator's run folder: what is loaded is what was saved, and what does not fit is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from nlp_lstm.data import PairSplit
from nlp_lstm.errors import RunFolderError
from nlp_lstm.models import EncoderDecoder, EncoderDecoderOptions
from nlp_lstm.tasks import LengthLimits, Translation, load, read_tokenizers, train_tokenizers

PAIRS = PairSplit("train", ["one two three", "two"], ["uno due three", "due"])


def saved(folder: Path, shared: bool = True, **options: Any) -> Translation:
    source, target = train_tokenizers("word", PAIRS, shared=shared)
    sizes = {"embedding_size": 4, "encoder_size": 3, "decoder_size": 6, "shared": shared}
    model = EncoderDecoder(source.vocab_size, target.vocab_size, EncoderDecoderOptions(**{**sizes, **options}))
    limits = LengthLimits(longest_source=321, target_ratio=1.75, longest_target=77)
    task = Translation(model.eval(), source, target, {"recipe": "translation"}, limits)
    task.save(folder)
    return task


def change(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["model"] |= values
    path.write_text(json.dumps(config), encoding="utf-8")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shared": False},
        {"shared": False, "tied": False},
        {"tied": False, "copy": True},
        {"cell": "gru", "attention": "additive", "coverage": 1.0, "layer_norm": True, "input_feeding": True},
    ],
    ids=str,
)
def test_what_is_loaded_is_what_was_saved(tmp_path: Path, options: dict[str, Any]) -> None:
    task = saved(tmp_path, **options)
    again = load(tmp_path, device="cpu")
    assert isinstance(again, Translation)
    assert again.model.options == task.model.options
    assert (again.limits.longest_source, again.limits.target_ratio, again.limits.longest_target) == (321, 1.75, 77)
    assert again.config["recipe"] == "translation"
    assert again.parameter_count == task.parameter_count
    for (name, one), (other_name, other) in zip(
        task.model.named_parameters(), again.model.named_parameters(), strict=True
    ):
        assert name == other_name
        assert torch.equal(one, other)
    assert (again.model.source_embedding is again.model.target_embedding) == task.model.options.shared
    assert (again.model.output.weight is again.model.target_embedding) == task.model.options.tied
    assert again.translate(["one two"]) == task.translate(["one two"])
    assert not again.model.training
    separate = not task.model.options.shared
    assert ((tmp_path / "source").is_dir(), (tmp_path / "target").is_dir()) == (separate, separate)


def test_a_run_of_older_days_has_no_lengths_of_targets(tmp_path: Path) -> None:
    saved(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    del config["model"]["target_ratio"], config["model"]["longest_target"]
    path.write_text(json.dumps(config), encoding="utf-8")
    task = load(tmp_path, device="cpu")
    assert isinstance(task, Translation)
    assert (task.limits.target_ratio, task.limits.longest_target) == (None, None)
    assert len(task.translate(["one two"])) == 1


def test_two_tokenizers_keep_their_sides(tmp_path: Path) -> None:
    task = saved(tmp_path, shared=False)
    source, target = read_tokenizers(tmp_path, shared=False)
    assert source.fingerprint() == task.source_tokenizer.fingerprint()
    assert target.fingerprint() == task.target_tokenizer.fingerprint()
    assert source.fingerprint() != target.fingerprint()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"source_vocab_size": 99}, "vocabularies of 99 and"),
        ({"encoder_layers": 10**9}, "encoder_layers is 1000000000, and must be a whole number"),
        ({"decoder_layers": True}, "decoder_layers is True"),
        ({"longest_source": "far"}, "longest_source is 'far'"),
        ({"longest_source": 99}, "longest_source is 99, and must be a whole number from 100 to 1,000,000"),
        ({"longest_target": 0}, "longest_target is 0, and must be a whole number from 1 to 1,000,000"),
        ({"longest_target": 10**7}, "longest_target is 10000000"),
        ({"target_ratio": True}, "target_ratio is True, and must be above 0 and at most 1,000"),
        ({"target_ratio": 0}, "target_ratio is 0"),
        ({"target_ratio": 1e9}, "target_ratio is 1000000000.0"),
        ({"colour": 1, "shade": 2}, "unknown settings colour, shade"),
        ({"attention": "none"}, "no --attention named 'none'"),
        ({"cell": "lstn"}, "Did you mean 'lstm'"),
        ({"embedding_size": "x"}, "describes no translator"),
        ({"embedding_size": 5}, "does not fit config.json"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    saved(tmp_path)
    change(tmp_path, **values)
    with pytest.raises(RunFolderError, match=words):
        load(tmp_path)


@pytest.mark.parametrize("name", ["source", "target"])
def test_a_tokenizer_outside_the_folder_is_not_read(tmp_path: Path, name: str) -> None:
    saved(tmp_path / "run", shared=False)
    (tmp_path / "run" / name).rename(tmp_path / "elsewhere")
    (tmp_path / "run" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunFolderError, match="leads out of the run folder"):
        load(tmp_path / "run")


def test_a_missing_tokenizer_is_named(tmp_path: Path) -> None:
    saved(tmp_path, shared=False)
    (tmp_path / "target" / "tokenizer.json").unlink()
    with pytest.raises(RunFolderError, match=r"target/tokenizer.json is missing"):
        load(tmp_path)
