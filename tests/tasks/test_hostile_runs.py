"""Run folders that somebody made to do harm: refused in a sentence, before time or memory is spent on them."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from nlp_lstm.data import DataOptions, LabelledOptions, PairOptions
from nlp_lstm.errors import RunFolderError
from nlp_lstm.models import (
    ClassifierOptions,
    EncoderDecoder,
    EncoderDecoderOptions,
    LanguageModel,
    LanguageModelOptions,
)
from nlp_lstm.tasks import Classification, LanguageModeling, Translation, _load, _weights, load
from nlp_lstm.tokenization import train_tokenizer

TEXT = ["a quiet harbour in winter. a boat\n"]
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model, a classifier and a translator, in folders of those names."""
    folder = tmp_path_factory.mktemp("runs")
    words, characters = train_tokenizer("word", TEXT), train_tokenizer("character", TEXT)
    sizes = {"embedding_size": 4, "hidden_size": 6}
    about = {"recipe": "mine", "data": {"data": "pydoc"}, "cache": {"size": 5, "weight": 0.1, "sharpness": 0.3}}
    model = LanguageModel(characters.vocab_size, LanguageModelOptions(**sizes))
    LanguageModeling(model, characters, about).save(folder / "language model")
    Classification.build(words, ["calm", "wild"], ClassifierOptions(**sizes), about).save(folder / "classifier")
    options = EncoderDecoderOptions(embedding_size=4, encoder_size=3, decoder_size=6, shared=False)
    translator = EncoderDecoder(words.vocab_size, characters.vocab_size, options)
    Translation(translator, words, characters, about).save(folder / "translator")
    return folder


@pytest.fixture
def run_of(saved: Path, tmp_path: Path) -> Callable[[str], Path]:
    return lambda kind: Path(shutil.copytree(saved / kind, tmp_path / "run"))


@pytest.fixture
def run(run_of: Callable[[str], Path]) -> Path:
    return run_of("language model")


def change(folder: Path, part: str | None = "model", **values: Any) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    (config if part is None else config[part]).update(values)
    path.write_text(json.dumps(config), encoding="utf-8")


def refused(folder: Path, words: str) -> str:
    """Load a folder that must be refused; the message is one line that fits a screen, and holds no control sign."""
    with pytest.raises(RunFolderError, match=words) as caught:
        load(folder, device="cpu")
    message = str(caught.value)
    assert len(message) < 1000
    assert message.isprintable()
    return message


def write_header(folder: Path, header: bytes, tensors: bytes = b"", length: int | None = None) -> None:
    length = len(header) if length is None else length
    (folder / WEIGHTS).write_bytes(length.to_bytes(8, "little") + header + tensors)


NAN, INFINITY = float("nan"), float("inf")
WRONG = [True, 6.0, "6", None, [], {}, [[]], NAN, INFINITY, 10**12, 10**400, "x" * 20_000]


@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:12])
@pytest.mark.parametrize("kind", ["language model", "classifier", "translator"])
def test_a_size_that_is_no_whole_number_is_refused(run_of: Callable[[str], Path], kind: str, value: Any) -> None:
    folder = run_of(kind)
    change(folder, embedding_size=value)
    refused(folder, "embedding_size is .* and must be a whole number")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"tied": "false"}, "tied is 'false', and must be true or false"),
        ({"tied": 1}, "tied is 1, and must be true or false"),
        ({"forget_bias": NAN}, "forget_bias is nan, and must be a number"),
        ({"input_dropout": "0.5"}, "input_dropout is '0.5', and must be a number"),
        ({"cell": ["lstm"]}, r"cell is \['lstm'\], and must be a text"),
        ({"cell": "x" * 20_000}, "cell is 'xxx.*, and must be a text"),
        ({"cell": "../../etc/passwd"}, "no cell named '../../etc/passwd'"),
        ({"output": {"full": 1}}, "output is {'full': 1}, and must be a text"),
        ({"vocab_size": 10**12}, "vocab_size 1000000000000 for"),
        ({"vocab_size": None}, "vocab_size None for"),
        ({"hidden_size": 10**9}, "does not fit config.json|describes no model"),
        ({"cell": "transformer", "hidden_size": 2**31 - 1, "num_layers": 2}, "does not fit config.json|no model"),
        ({"\x1b[2J\n" * 500: 1}, r"unknown settings '\\x1b"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_setting_of_another_kind_is_refused(run: Path, values: dict[str, Any], words: str) -> None:
    change(run, **values)
    refused(run, words)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"labels": []}, "there is none"),
        ({"labels": [1, 2]}, "labels must be names"),
        ({"sentence_ends": 3}, "sentence_ends 3 must be ids"),
        ({"sentence_ends": "abc"}, "sentence_ends 'abc' must be ids"),
        ({"sentence_ends": [10**12]}, "sentence_ends .* must be ids"),
        ({"sentence_ends": [True]}, "sentence_ends .* must be ids"),
        ({"lowercase": "no"}, "lowercase is 'no', and must be true or false"),
        ({"max_words": 2.5}, "max_words is 2.5, and must be a whole number below .* or null"),
        ({"last_hidden_size": "6"}, "last_hidden_size is '6', and must be a whole number below .* or null"),
        ({"temperature": NAN}, "temperature nan"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_setting_of_a_classifier_of_another_kind(
    run_of: Callable[[str], Path], values: dict[str, Any], words: str
) -> None:
    folder = run_of("classifier")
    change(folder, **values)
    refused(folder, words)


@pytest.mark.parametrize(
    "cache",
    [
        "x",
        [1],
        5,
        {"size": 5},
        {"size": 2.5, "weight": 0.1, "sharpness": 0.3},
        {"size": 10**9, "weight": 0, "sharpness": 0},
        {"size": 5, "weight": 0.1, "sharpness": NAN},
        {"size": 5, "weight": 0.1, "sharpness": 0.3, "more": 1},
    ],
    ids=str,
)
def test_a_cache_of_another_kind_is_refused(run: Path, cache: Any) -> None:
    change(run, None, cache=cache)
    refused(run, "describes no cache")


@pytest.mark.parametrize(
    "data",
    [{"data": 5}, {"data": None}, {"data": "x", "valid_fraction": True}, {"data": "x", "held_out_limit": "9"}],
    ids=str,
)
@pytest.mark.parametrize("kind", ["language model", "classifier", "translator"])
def test_data_of_another_kind_is_refused(run_of: Callable[[str], Path], kind: str, data: Any) -> None:
    folder = run_of(kind)
    change(folder, None, data=data)
    refused(folder, "describes no data")


@pytest.mark.parametrize("value", ["x" * 100_000, [["\n"]], NAN, 10**400], ids=lambda value: repr(value)[:12])
@pytest.mark.parametrize("name", ["task", "format_version"])
def test_a_long_value_makes_no_long_message(run: Path, name: str, value: Any) -> None:
    change(run, None, **{name: value})
    refused(run, "names the task|has format version")


@pytest.mark.parametrize(("depth", "whole"), [(50, True), (51, False), (400, False)])
def test_json_nested_deep_is_refused(run: Path, depth: int, whole: bool) -> None:
    value: Any = 1
    for _ in range(depth - 1):  # the object around it is one more
        value = [value]
    change(run, None, more=value)
    if whole:
        load(run, device="cpu").save(run.parent / "again")
    else:
        refused(run, "nested more than 50 deep")


def test_a_name_too_long_for_a_folder(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="cannot be read: File name too long"):
        load(tmp_path / ("x" * 300))


@pytest.mark.parametrize("name", ["config.json", WEIGHTS])
def test_a_file_that_may_not_be_read_is_named(run: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def fail(self: Path, *arguments: Any, **options: Any) -> Any:
        if self.name == name:
            raise PermissionError(13, "Permission denied")
        return opened(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", fail)
    refused(run, f"{name} cannot be read: Permission denied")


def test_a_file_whose_folder_may_not_be_searched_is_named(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", fail)
    refused(run, "config.json cannot be read: Permission denied")


@pytest.mark.parametrize("name", ["config.json", WEIGHTS])
@pytest.mark.parametrize(("put", "words"), [(os.mkfifo, "no plain file"), (os.mkdir, "no plain file")])
def test_a_pipe_or_a_folder_in_the_place_of_a_file(run: Path, name: str, put: Any, words: str) -> None:
    (run / name).unlink()
    put(run / name)
    refused(run, words)


@pytest.mark.parametrize("name", ["config.json", WEIGHTS])
def test_links_to_nowhere_and_to_devices(run: Path, name: str) -> None:
    (run / name).unlink()
    (run / name).symlink_to(name)
    refused(run, f"{name} is missing")
    (run / name).unlink()
    (run / name).symlink_to("/dev/zero")
    refused(run, "leads out of the run folder")


def test_a_tokenizer_folder_that_is_a_link_to_itself(run_of: Callable[[str], Path]) -> None:
    folder = run_of("translator")
    shutil.rmtree(folder / "source")
    (folder / "source").symlink_to("source")
    refused(folder, "leads out of the run folder")


@pytest.mark.parametrize(("name", "words"), [("tokenizer.json", "is larger than"), (WEIGHTS, "damaged or cut short")])
def test_sparse_gigabytes_are_not_read(run: Path, name: str, words: str) -> None:
    os.truncate(run / name, 2**31)
    refused(run, f"{name} {words}|{name} is {words}")


# --- model.safetensors ---


@pytest.mark.parametrize("length", [0, 1, 2**31, 2**60, 2**63, 2**64 - 1])
def test_a_header_length_that_lies(run: Path, length: int) -> None:
    content = (run / WEIGHTS).read_bytes()
    (run / WEIGHTS).write_bytes(length.to_bytes(8, "little") + content[8:])
    refused(run, "damaged or cut short")


def test_a_header_of_many_bytes_is_not_parsed(run: Path) -> None:
    write_header(run, b"{" + b" " * 5 * 2**20)
    refused(run, "has a header of 5,242,881 bytes; at most 4,194,304 are read")


@pytest.mark.parametrize(
    "entries",
    [
        {"a": ["F32", [2], [0, 8]], "b": ["F32", [2], [4, 12]]},
        {"a": ["F32", [2], [0, 8]], "b": ["F32", [2], [0, 8]]},
        {"a": ["F32", [2], [8, 0]]},
        {"a": ["F32", [10**9, 10**9], [0, 16]]},
        {"a": ["F32", [2**62, 4], [0, 16]]},
        {"a": ["F32", [-1], [0, 16]]},
        {"a": ["F99", [4], [0, 16]]},
        {"a": ["F32", "4", [0, 16]]},
        {"a": ["F32", [4], [0, 2**62]]},
    ],
    ids=str,
)
def test_a_header_whose_tensors_lie(run: Path, entries: dict[str, list[Any]]) -> None:
    header = {
        name: dict(zip(("dtype", "shape", "data_offsets"), entry, strict=True)) for name, entry in entries.items()
    }
    write_header(run, json.dumps(header).encode(), bytes(16))
    refused(run, "damaged or cut short")


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.uint8])
def test_weights_that_are_no_floating_point_numbers(run: Path, dtype: torch.dtype) -> None:
    save_file({name: tensor.to(dtype) for name, tensor in load_file(run / WEIGHTS).items()}, run / WEIGHTS)
    refused(run, "does not hold weights: .* none of F16, BF16, F32, F64")


def test_weights_of_another_precision_are_read(run: Path) -> None:
    save_file({name: tensor.double() for name, tensor in load_file(run / WEIGHTS).items()}, run / WEIGHTS)
    assert next(load(run, device="cpu").model.parameters()).dtype == torch.float32


@pytest.mark.parametrize("number", [NAN, INFINITY, -INFINITY])
def test_weights_that_are_not_finite(run: Path, number: float) -> None:
    tensors = load_file(run / WEIGHTS)
    tensors["output.bias"][3] = number
    save_file(tensors, run / WEIGHTS)
    refused(run, "output.bias holds numbers that are not finite")


def test_tensors_that_are_missing_or_too_many(run: Path) -> None:
    tensors = load_file(run / WEIGHTS)
    bias = tensors.pop("output.bias")
    save_file(tensors, run / WEIGHTS)
    refused(run, "output.bias is missing, not")
    save_file(tensors | {"output.bias": bias, "\x1b[2J" * 500: torch.ones(1)}, run / WEIGHTS)
    refused(run, r"\[1\], not expected")
    save_file(tensors | {"output.bias": bias, "more": torch.ones([1] * 60)}, run / WEIGHTS)
    refused(run, "more is of 60 dimensions, not expected")


@pytest.mark.parametrize(
    ("kind", "setting"),
    [("language model", "num_layers"), ("classifier", "num_layers"), ("translator", "decoder_layers")],
)
def test_more_layers_than_tensors_are_not_built(
    run_of: Callable[[str], Path], kind: str, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError("it was built")

    monkeypatch.setattr(_load, "LanguageModel", fail)
    monkeypatch.setattr("nlp_lstm.tasks._classification_load.Classifier", fail)
    monkeypatch.setattr("nlp_lstm.tasks._translation_load.EncoderDecoder", fail)
    folder = run_of(kind)
    change(folder, **{setting: 900})
    refused(folder, rf"{setting} is 900, and must be a whole number from 1 to \d+ for weights of \d+ tensors")


def test_a_model_that_this_machine_cannot_hold(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = sum(4 * tensor.numel() for tensor in load_file(run / WEIGHTS).values())
    monkeypatch.setattr(_weights, "_physical_memory", lambda: needed)
    load(run, device="cpu")
    monkeypatch.setattr(_weights, "_physical_memory", lambda: needed - 1)
    refused(run, f"needs {needed:,} bytes of memory, and this machine has {needed - 1:,}")


def test_a_system_that_does_not_tell_its_memory_is_taken_to_have_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(_: str) -> int:
        raise ValueError("unrecognized configuration name")

    with monkeypatch.context() as here:
        here.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}.__getitem__)
        assert _weights._physical_memory() == 4_096_000
        here.setattr(os, "sysconf", silent)
        assert _weights._physical_memory() == math.inf
        here.delattr(os, "sysconf")
        assert _weights._physical_memory() == math.inf


@pytest.mark.parametrize(("divisor", "rest"), [(256, 0x80), (65536, 0x4B50)])
def test_a_header_that_is_as_long_as_a_pickle_begins_is_none(run: Path, divisor: int, rest: int) -> None:
    tensors, path = load_file(run / WEIGHTS), run / WEIGHTS
    save_file(tensors, path, metadata={"about": ""})
    length = int.from_bytes(path.read_bytes()[:8], "little")
    save_file(tensors, path, metadata={"about": "x" * ((rest - length) % divisor)})
    assert int.from_bytes(path.read_bytes()[:8], "little") % divisor == rest
    load(run, device="cpu")


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("language model", DataOptions("pydoc", held_out_limit=10**10)),
        ("classifier", LabelledOptions("reviews", held_out_limit=10**10)),
        ("translator", PairOptions("phrases", max_ratio=math.inf, max_words=3 * 10**9)),
    ],
)
def test_data_that_the_options_accept_is_not_taken_for_hostile(
    run_of: Callable[[str], Path], kind: str, data: DataOptions
) -> None:
    run = run_of(kind)
    change(run, None, data=asdict(data))
    assert load(run).config["data"] == asdict(data)
