"""Saving to a run folder and loading from it, whole, damaged and hostile."""

from __future__ import annotations

import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from nlp_lstm.decoding import SamplingOptions
from nlp_lstm.errors import RunFolderError
from nlp_lstm.models import LanguageModel, LanguageModelOptions
from nlp_lstm.tasks import LanguageModeling, load, write_json, write_text
from nlp_lstm.tokenization import train_tokenizer


@pytest.fixture
def folder(tmp_path):
    return _saved(tmp_path / "run")


def _saved(folder, **options):
    tokenizer = train_tokenizer("character", ["a quiet harbour in winter\n"])
    model = LanguageModel(tokenizer.vocab_size, LanguageModelOptions(embedding_size=4, hidden_size=6, **options))
    LanguageModeling(model.eval(), tokenizer, {"recipe": "char_lm", "seed": 3}).save(folder)
    return folder


@pytest.mark.parametrize("options", [{}, {"tied": True, "num_layers": 2}, {"output": "adaptive"}, {"cell": "gru"}])
def test_what_is_loaded_is_what_was_saved(tmp_path, options):
    tokenizer = train_tokenizer("character", ["a quiet harbour in winter\n"])
    model = LanguageModel(tokenizer.vocab_size, LanguageModelOptions(embedding_size=4, hidden_size=6, **options))
    task = LanguageModeling(model.eval(), tokenizer, {"recipe": "char_lm", "seed": 3})
    task.save(tmp_path)
    again = load(tmp_path, device="cpu")
    assert again.config["recipe"] == "char_lm"
    assert again.parameter_count == task.parameter_count
    for (name, one), (other_name, other) in zip(
        task.model.named_parameters(), again.model.named_parameters(), strict=True
    ):
        assert name == other_name
        assert torch.equal(one, other)
    greedy = SamplingOptions(temperature=0)
    assert again.generate("a ", max_tokens=20, options=greedy) == task.generate("a ", max_tokens=20, options=greedy)
    if options.get("tied"):
        assert again.model.output.weight is again.model.embedding
        assert "output.weight" not in load_file(tmp_path / "model.safetensors")


def test_saving_leaves_no_other_files(folder):
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]


def test_a_write_that_fails_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "notes.txt"
    write_text(path, "first")

    def fail(self, target):
        raise OSError("disk full")

    monkeypatch.setattr(type(path), "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_text(path, "second")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(RunFolderError, match=r"no run folder .*nlp-lstm train"):
        load(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(RunFolderError, match=name):
        load(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[:-20], "not valid JSON"),
        (lambda text: "[" * 100_000, "not valid JSON"),
        (lambda text: "[1, 2]", "does not describe a run"),
        (lambda text: text.replace('"format_version": 1', '"format_version": 99'), "format version 99"),
        (lambda text: text.replace('"language_modeling"', '"cooking"'), "task 'cooking'"),
        (lambda text: text.replace('"hidden_size": 6', '"hidden_size": 7'), "does not fit config.json: .*weight"),
        (lambda text: text.replace('"hidden_size": 6', '"hidden_size": -7'), "describes no model"),
        (lambda text: text.replace('"hidden_size": 6', '"hidden_size": "x"'), "describes no model"),
        (lambda text: text.replace('"hidden_size": 6', '"hidden_size": 1000000'), "does not fit config.json"),
        (lambda text: text.replace('"num_layers": 1', '"num_layers": 1000000000'), "num_layers is 1000000000"),
        (lambda text: text.replace('"task": "language_modeling"', '"task": []'), r"task \[\]"),
        (lambda text: text.replace('"lstm"', '"lstn"'), "Did you mean 'lstm'"),
        (lambda text: text.replace('"hidden_size"', '"hidden_sise"'), "unknown settings hidden_sise"),
        (lambda text: text.replace('"vocab_size": ', '"vocab_size": 1'), "vocab_size"),
    ],
)
def test_a_config_that_is_damaged_or_does_not_fit(folder, change, words):
    path = folder / "config.json"
    changed = change(path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)
    with pytest.raises(RunFolderError, match=words):
        load(folder)


def test_a_config_of_many_bytes_is_not_read(folder):
    with (folder / "config.json").open("r+b") as file:
        file.truncate(2**30)
    with pytest.raises(RunFolderError, match="1,073,741,824 bytes"):
        load(folder)


@pytest.mark.parametrize("size", [0, 7, 100, -1])
def test_truncated_weights(folder, size):
    path = folder / "model.safetensors"
    os.truncate(path, size if size >= 0 else path.stat().st_size - 1)
    with pytest.raises(RunFolderError, match="damaged or cut short"):
        load(folder)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_pickle_is_refused(folder, zipped):
    torch.save({"weight": torch.zeros(2)}, folder / "model.safetensors", _use_new_zipfile_serialization=zipped)
    with pytest.raises(RunFolderError, match="pickle, which can run code"):
        load(folder)


def test_a_header_that_asks_for_a_billion_entries_is_refused(folder):
    header = json.dumps({"x": {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 4 * 10**18]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 16)
    with pytest.raises(RunFolderError, match="damaged or cut short"):
        load(folder)


def test_weights_of_another_run_are_named(folder):
    save_file({"embedding": torch.zeros(3, 3)}, folder / "model.safetensors")
    with pytest.raises(RunFolderError, match=r"does not fit config.json: embedding is .* and .* more"):
        load(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_link_out_of_the_folder_is_not_followed(folder, tmp_path, name):
    outside = tmp_path / "outside"
    (folder / name).rename(outside)
    (folder / name).symlink_to(outside)
    with pytest.raises(RunFolderError, match="leads out of the run folder"):
        load(folder)


def test_what_is_no_plain_file_is_not_read(folder):
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    with pytest.raises(RunFolderError, match="no plain file"):
        load(folder)


def test_json_is_readable_and_ends_with_a_line_end(tmp_path):
    write_json(tmp_path / "x.json", {"name": "café"})
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == '{\n  "name": "café"\n}\n'
