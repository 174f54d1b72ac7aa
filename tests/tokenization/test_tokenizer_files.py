"""Loading what is missing, damaged or unsafe, and writing that fails half-way."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from nlp_lstm.errors import RunFolderError
from nlp_lstm.tokenization import CharacterTokenizer, Tokenizer, WordTokenizer, _files, load_tokenizer


@pytest.fixture
def folder(tokenizer: Tokenizer, tmp_path: Path) -> Path:
    tokenizer.save(tmp_path)
    return tmp_path


@pytest.fixture
def word_folder(tmp_path: Path) -> Path:
    WordTokenizer.train(["some words"]).save(tmp_path)
    return tmp_path


def library_file(folder: Path) -> Path:
    return next(path for path in folder.iterdir() if path.name in {"tokenizer.json", "tokenizer.model"})


def change_json(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | changes), encoding="utf-8")


def test_a_missing_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"tokenizer_config\.json is missing"):
        load_tokenizer(tmp_path / "nowhere")


def test_a_missing_library_file_is_named(folder: Path) -> None:
    missing = library_file(folder)
    missing.unlink()
    with pytest.raises(RunFolderError, match=f"{missing.name} is missing: .* does not hold a whole tokenizer"):
        load_tokenizer(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[1, 2]", b"{}", b'{"model": 3}'])
def test_a_damaged_library_file_is_named(folder: Path, content: bytes) -> None:
    path = library_file(folder)
    path.write_bytes(content)
    with pytest.raises(RunFolderError, match=f"{path.name} is damaged"):
        load_tokenizer(folder)


def test_a_truncated_library_file_is_named(folder: Path) -> None:
    path = library_file(folder)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(RunFolderError, match=f"{path.name} is damaged"):
        load_tokenizer(folder)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "it is not JSON"),
        (b"\xff", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", "a JSON list, not an object"),
    ],
)
def test_a_damaged_config_is_named(word_folder: Path, content: bytes, reason: str) -> None:
    (word_folder / "tokenizer_config.json").write_bytes(content)
    with pytest.raises(RunFolderError, match=rf"tokenizer_config\.json is damaged: .*{reason}"):
        load_tokenizer(word_folder)


@pytest.mark.parametrize("name", ["../../etc/passwd", "wrod", 3, None, ["word"]])
def test_an_unknown_name_in_the_config_is_refused(word_folder: Path, name: object) -> None:
    change_json(word_folder / "tokenizer_config.json", tokenizer=name)
    with pytest.raises(RunFolderError, match=r"tokenizer_config\.json names the tokenizer .*Allowed: character, byte"):
        load_tokenizer(word_folder)


@pytest.mark.parametrize("version", [2, "1", None])
def test_another_format_version_is_refused(word_folder: Path, version: object) -> None:
    change_json(word_folder / "tokenizer_config.json", format_version=version)
    with pytest.raises(RunFolderError, match=r"has format_version .*; this version of nlp_lstm reads 1"):
        load_tokenizer(word_folder)


def test_an_option_of_another_type_is_refused(word_folder: Path) -> None:
    change_json(word_folder / "tokenizer_config.json", pretokenized="no")
    with pytest.raises(
        RunFolderError, match=r"tokenizer_config\.json: 'pretokenized' is 'no', and must be true or false"
    ):
        load_tokenizer(word_folder)


def test_a_class_loads_its_own_kind_alone(word_folder: Path) -> None:
    with pytest.raises(RunFolderError, match="is of the tokenizer 'word', not 'character'"):
        CharacterTokenizer.load(word_folder)


def test_another_model_is_refused(word_folder: Path, trained: dict[str, Tokenizer], tmp_path: Path) -> None:
    trained["bpe"].save(tmp_path / "bpe")
    shutil.copy(tmp_path / "bpe" / "tokenizer.json", word_folder / "tokenizer.json")
    with pytest.raises(RunFolderError, match=r"tokenizer\.json holds a BPE model; WordLevel is needed"):
        load_tokenizer(word_folder)


@pytest.mark.parametrize(
    ("vocabulary", "reason"),
    [
        ({" <pad>": 0, "<unk>": 1, " <bos>": 2, "\n": 3, "a": 5}, "its ids are not 0 to 4 without a gap"),
        ({"\n": 0, "<unk>": 1, " <bos>": 2, " <pad>": 3, "a": 4}, "ids 0 to 3 are"),
        ({}, "ids 0 to 3 are"),
    ],
)
def test_ids_that_are_not_ours_are_refused(word_folder: Path, vocabulary: dict[str, int], reason: str) -> None:
    path = word_folder / "tokenizer.json"
    model = json.loads(path.read_text(encoding="utf-8"))["model"]
    change_json(path, model=model | {"vocab": vocabulary})
    with pytest.raises(RunFolderError, match=rf"tokenizer\.json.*{reason}"):
        load_tokenizer(word_folder)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [("identity", "ids 0 to 260 are not"), ("nmt_nfkc", "it replaces characters, which no tokenizer")],
)
def test_a_sentencepiece_model_of_others_is_refused(
    trained: dict[str, Tokenizer], tmp_path: Path, rule: str, reason: str
) -> None:
    import io

    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["some text"]),
        model_writer=model,
        vocab_size=300,
        hard_vocab_limit=False,
        normalization_rule_name=rule,
        minloglevel=2,
    )
    trained["sentencepiece-unigram"].save(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(model.getvalue())
    with pytest.raises(RunFolderError, match=rf"tokenizer\.model is damaged or of another kind: {reason}"):
        load_tokenizer(tmp_path)


def test_a_file_beyond_the_limit_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = library_file(folder)
    monkeypatch.setattr(_files, "MAX_FILE_BYTES", path.stat().st_size)
    load_tokenizer(folder)
    monkeypatch.setattr(_files, "MAX_FILE_BYTES", path.stat().st_size - 1)
    with pytest.raises(RunFolderError, match=f"{path.name} is larger than"):
        load_tokenizer(folder)


@pytest.mark.parametrize("name", ["tokenizer_config.json", "tokenizer.json"])
def test_a_link_out_of_the_folder_is_refused(
    word_folder: Path, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    outside = tmp_path_factory.mktemp("outside") / name
    shutil.move(word_folder / name, outside)
    (word_folder / name).symlink_to(outside)
    with pytest.raises(RunFolderError, match=f"{name} is a link to a place outside the folder"):
        load_tokenizer(word_folder)


def test_a_linked_folder_and_a_link_within_are_fine(
    word_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (word_folder / "tokenizer.json").rename(word_folder / "real.json")
    (word_folder / "tokenizer.json").symlink_to("real.json")
    link = tmp_path_factory.mktemp("elsewhere") / "run"
    link.symlink_to(word_folder)
    assert load_tokenizer(link).vocab_size == 6


def test_a_file_that_cannot_be_read_is_named(word_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, *arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(RunFolderError, match=r"tokenizer_config\.json cannot be read: Permission denied"):
        load_tokenizer(word_folder)


def test_a_crash_while_writing_leaves_the_old_file(word_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in word_folder.iterdir()}

    def fail(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(RunFolderError, match=r"tokenizer\.json cannot be written: No space left on device"):
        WordTokenizer.train(["other words altogether"]).save(word_folder)
    assert {path.name: path.read_bytes() for path in word_folder.iterdir()} == before


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(RunFolderError, match=r"tokenizer\.json cannot be written"):
        WordTokenizer.train(["some words"]).save(tmp_path / "run")


def test_the_config_says_what_it_is(word_folder: Path) -> None:
    config = json.loads((word_folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert config == {"tokenizer": "word", "format_version": 1, "pretokenized": False}
