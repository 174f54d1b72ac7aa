"""Tokenizer files that somebody made to do harm: refused before a library is given them, or in a sentence."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers

from nlp_lstm.errors import RunFolderError
from nlp_lstm.tokenization import Tokenizer, _files, load_tokenizer
from nlp_lstm.tokenization._sentencepiece_file import check_model

SaveAs = Callable[[str], Path]


@pytest.fixture
def save(trained: dict[str, Tokenizer], tmp_path: Path) -> SaveAs:
    def save_as(kind: str) -> Path:
        trained[kind].save(tmp_path)
        return tmp_path

    return save_as


def change(folder: Path, part: str | None = None, **values: Any) -> None:
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    (content if part is None else content[part]).update(values)
    path.write_text(json.dumps(content), encoding="utf-8")


def refused(folder: Path, words: str) -> None:
    with pytest.raises(RunFolderError, match=words) as caught:
        load_tokenizer(folder)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("dropout", 0.5),
        ("end_of_word_suffix", "x"),
        ("continuing_subword_prefix", "#"),
        ("unk_token", "<unk>"),
        ("fuse_unk", True),
        ("byte_fallback", True),
        ("ignore_merges", True),
    ],
)
def test_a_bpe_model_that_cuts_in_another_way_is_refused(save: SaveAs, setting: str, value: object) -> None:
    folder = save("bpe")
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    if setting in ("end_of_word_suffix", "continuing_subword_prefix"):
        content["model"]["merges"] = []  # else the library does not find what they make
    content["model"][setting] = value
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    refused(folder, f"sets {setting}, which no tokenizer of nlp_lstm does")


@pytest.mark.parametrize("kind", ["character", "byte", "word", "bpe"])
def test_added_tokens_are_refused(save: SaveAs, kind: str) -> None:
    folder = save(kind)
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    change(folder, added_tokens=[{"id": 10_000, "content": "<new>", "special": True, **flags}])
    refused(folder, "adds tokens to those of its model")


@pytest.mark.parametrize("name", ["normalizer", "pre_tokenizer", "post_processor", "decoder", "model", "truncation"])
@pytest.mark.parametrize("depth", [200, 900])
def test_parts_nested_deep_are_refused(save: SaveAs, name: str, depth: int) -> None:
    folder = save("bpe")
    change(folder, **{name: "here"})
    path = folder / "tokenizer.json"
    nested = f'{{"type": "Sequence", "{name}s": [' * depth + "]}" * depth
    path.write_text(path.read_text(encoding="utf-8").replace('"here"', nested), encoding="utf-8")
    refused(folder, r"tokenizer\.json is damaged")


def test_more_values_than_any_vocabulary_has_are_not_parsed(save: SaveAs, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save("word")
    content = (folder / "tokenizer.json").read_bytes()
    values = content.count(b",") + content.count(b"{") + content.count(b"[")
    monkeypatch.setattr(_files, "MAX_JSON_VALUES", values)
    load_tokenizer(folder)
    monkeypatch.setattr(_files, "MAX_JSON_VALUES", values - 1)
    refused(folder, f"tokenizer.json holds more than {values - 1:,} values")


@pytest.mark.parametrize(
    "change_pattern",
    [
        lambda pattern: pattern.replace("0-9", "0-9--~"),
        lambda pattern: pattern.replace("0-9", "09"),
        lambda pattern: pattern.replace("0-9", "9-0"),
        lambda pattern: pattern.replace("0-9", "0-9" * 20_000),
        lambda pattern: "(" + pattern,
        lambda pattern: pattern + "|(a+)+$",
    ],
)
def test_a_word_pattern_that_is_not_ours_is_refused(save: SaveAs, change_pattern: Callable[[str], str]) -> None:
    folder = save("word")
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    pattern = content["pre_tokenizer"]["pattern"]["Regex"]
    assert change_pattern(pattern) != pattern
    content["pre_tokenizer"]["pattern"]["Regex"] = change_pattern(pattern)
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    refused(folder, "splits words by a rule that nlp_lstm does not write|tokenizer.json is damaged")


@pytest.mark.parametrize("put", [os.mkfifo, os.mkdir, lambda path: path.symlink_to(path.name)])
@pytest.mark.parametrize("name", ["tokenizer_config.json", "tokenizer.json"])
def test_what_is_no_file_is_not_opened(save: SaveAs, name: str, put: Callable[[Path], None]) -> None:
    folder = save("word")
    (folder / name).unlink()
    put(folder / name)
    refused(folder, f"{name} is missing")


def test_gigabytes_are_not_read(save: SaveAs) -> None:
    folder = save("sentencepiece-bpe")
    os.truncate(folder / "tokenizer.model", 2**31)
    refused(folder, r"tokenizer\.model is larger than")


class PanicException(BaseException):
    """As the library's bindings call what they raise where its own code gives up."""


@pytest.mark.parametrize(
    ("fault", "raised"), [(PanicException, RunFolderError), (KeyboardInterrupt, KeyboardInterrupt)]
)
def test_a_panic_of_the_library_is_a_damaged_file(
    save: SaveAs, fault: type[BaseException], raised: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        @staticmethod
        def from_str(text: str) -> None:
            raise fault("out of bounds")

    folder = save("word")
    monkeypatch.setattr(tokenizers, "Tokenizer", Failing)
    with pytest.raises(raised, match="out of bounds"):
        load_tokenizer(folder)


# --- sentencepiece ---


def field(number: int, content: bytes) -> bytes:
    """A field of a protocol buffer, of up to 16,383 bytes."""
    size = len(content)
    return bytes([number << 3 | 2, size & 0x7F | 0x80, size >> 7]) + content


def test_a_model_of_ours_passes_and_ends_where_it_is_cut(save: SaveAs) -> None:
    model = (save("sentencepiece-unigram") / "tokenizer.model").read_bytes()
    check_model(model)
    for length in range(1, len(model), 97):
        (length_folder := save("sentencepiece-unigram")).joinpath("tokenizer.model").write_bytes(model[:length])
        refused(length_folder, r"tokenizer\.model is damaged or of another kind")


@pytest.mark.parametrize("number", [3, 5])
def test_a_table_of_characters_is_refused(save: SaveAs, number: int) -> None:
    folder = save("sentencepiece-unigram")
    with (folder / "tokenizer.model").open("ab") as file:
        file.write(field(number, field(2, b"\xff" * 100)))
    refused(folder, "it replaces characters, which no tokenizer of nlp_lstm does")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x0a\x00" * 500_001, "more than 500,000 pieces"),
        (field(2, b"\x0a\x00" * 5000) * 120, "settings of 1,048,576 bytes"),
        (b"\x0f", "no protocol buffer"),
        (b"\x80" * 11, "no protocol buffer"),
        (b"\x0a\xff\xff\xff\xff\x7f", "cut short"),
        (b"\x0d\x00\x00", "cut short"),
        (b"\x08", "cut short"),
        (b"\x08\x01\x09" + bytes(8), "ids 0 to 260|does not read"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_model_is_refused(save: SaveAs, content: bytes, words: str) -> None:
    folder = save("sentencepiece-bpe")
    (folder / "tokenizer.model").write_bytes(content)
    refused(folder, rf"tokenizer\.model is damaged or of another kind: .*({words})")


def test_a_copied_folder_still_loads(save: SaveAs, tmp_path_factory: pytest.TempPathFactory) -> None:
    copied = shutil.copytree(save("sentencepiece-bpe"), tmp_path_factory.mktemp("copy") / "run")
    assert load_tokenizer(copied).decode(load_tokenizer(copied).encode("a heron")) == "a heron"
