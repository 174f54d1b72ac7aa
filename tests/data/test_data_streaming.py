"""Text past memory: the order by a few plain lines, every document once an epoch, and going on from any step."""

from __future__ import annotations

import gzip
import json
import random
import tracemalloc
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nlp_lstm.data import (
    BufferedStream,
    DataOptions,
    Place,
    StreamedSource,
    StreamedText,
    TextData,
    TextSource,
    TokenStream,
    _buffered,
    _delimited,
    _estimates,
    _hub,
    _plain,
    _shards,
    _tables,
    _tokenized,
    load_text,
    tokenize_splits,
)
from nlp_lstm.errors import DataError, UsageError

profile = settings(max_examples=60, deadline=None)
some_shards = st.lists(st.lists(st.text("abc \n", max_size=12), max_size=8), min_size=1, max_size=5).filter(
    lambda shards: any(map(len, shards))
)


def source_of(shards: Sequence[Sequence[str]], buffer: int, held_out: Sequence[int] | None = None) -> StreamedSource:
    parts = [TextSource(f"shard {number}", True, lambda one=one: iter(one)) for number, one in enumerate(shards)]
    first = [0] * len(shards) if held_out is None else held_out
    return StreamedSource(
        "made up", True, lambda: _shards.sample(parts, first), parts, first, buffer, 1000, "as listed"
    )


def plain_buffers(shards: Sequence[Sequence[str]], buffer: int, seed: int, epoch: int) -> list[list[str]]:
    """Read everything, fill buffers, shuffle each: the rule at the head of _shards.py in plain lines."""
    order = np.random.default_rng([seed, epoch]).permutation(len(shards))
    documents = [document for number in order for document in shards[number]]
    buffers: list[list[str]] = [[]]
    for document in documents:
        if sum(len(one) + 1 for one in buffers[-1]) >= buffer:
            buffers.append([])
        buffers[-1].append(document)
    for number, one in enumerate(buffers):
        shuffle = np.random.default_rng([seed, epoch, number]).permutation(len(one))
        buffers[number] = [one[place] for place in shuffle]
    return buffers


def epoch_of(source: StreamedSource, seed: int, epoch: int) -> list[tuple[Place, list[str]]]:
    return list(takewhile(lambda one: one[0].epoch == epoch, source.buffers(seed, Place(epoch))))


@profile
@given(some_shards, st.integers(1, 60), st.integers(0, 3), st.integers(0, 3))
def test_the_order_is_that_of_the_rule_and_each_document_comes_once(
    shards: list[list[str]], buffer: int, seed: int, epoch: int
):
    found = epoch_of(source_of(shards, buffer), seed, epoch)
    assert [documents for _, documents in found] == plain_buffers(shards, buffer, seed, epoch)
    assert sorted(document for _, documents in found for document in documents) == sorted(chain(*shards))
    assert [place.buffer for place, _ in found] == list(range(len(found)))


@profile
@given(some_shards, st.integers(1, 60), st.integers(0, 3), st.data())
def test_the_order_goes_on_from_where_any_buffer_begins(
    shards: list[list[str]], buffer: int, seed: int, data: st.DataObject
):
    source = source_of(shards, buffer)
    found = list(islice(source.buffers(seed), 12))
    start = data.draw(st.integers(0, 11))
    assert list(islice(source.buffers(seed, found[start][0]), 12 - start)) == found[start:]


def test_epochs_and_seeds_differ():
    shards = [[f"{shard} {number}" for number in range(20)] for shard in range(6)]
    source = source_of(shards, 50)
    orders = [[documents for _, documents in epoch_of(source, seed, epoch)] for seed in (0, 1) for epoch in (0, 1)]
    assert len({str(order) for order in orders}) == 4
    assert len({order[0][0].split()[0] for order in orders}) > 1  # the shards change places too


def test_what_is_held_out_of_a_shard_never_comes():
    shards = [["a", "b", "c"], ["d", "e"], ["f"]]
    source = source_of(shards, 3, held_out=[2, 0, 1])
    for epoch in range(4):
        assert sorted(chain(*(documents for _, documents in epoch_of(source, 0, epoch)))) == ["c", "d", "e"]


def test_documents_that_are_gone_are_a_fault_and_no_endless_search():
    with pytest.raises(DataError, match="made up: no documents are left there"):
        next(source_of([[], []], 5).buffers(0))


def text_of(source: StreamedSource, tokenizer: Any, tmp_path: Path) -> StreamedText:
    data = TextData(source, TextSource("valid", True, lambda: iter(["ab"])), None, "made up", [])
    text = tokenize_splits(data, tokenizer)["train"]
    assert isinstance(text, StreamedText)
    return text


def plain_batches(
    shards: Sequence[Sequence[str]], buffer: int, seed: int, tokenizer: Any, rows: int, length: int, epochs: int
) -> list[tuple[int, Any]]:
    found = []
    for epoch in range(epochs):
        for documents in plain_buffers(shards, buffer, seed, epoch):
            ids = np.concatenate([np.append(tokenizer.encode_array(one), tokenizer.eos_id) for one in documents])
            if len(ids) > 1:
                found += enumerate(TokenStream(ids, rows, length))
    return found


def random_shards(seed: int, count: int = 5) -> list[list[str]]:
    chance = random.Random(seed)
    words = ["".join(chance.choices("abcdef ", k=chance.randint(0, 30))) for _ in range(60)]
    return [chance.choices(words, k=chance.randint(1, 20)) for _ in range(count)]


def equal(found: tuple[int, Any], expected: tuple[int, Any]) -> bool:
    same = [torch.equal(one, other) for one, other in zip(found[1], expected[1], strict=True)]
    return found[0] == expected[0] and all(same)


@pytest.mark.parametrize(("rows", "length", "buffer"), [(1, 7, 1), (4, 5, 100), (3, 64, 10_000), (50, 2, 300)])
def test_steps_are_those_of_each_buffer_laid_out_in_rows_from_any_number(
    seed: int, tmp_path: Path, make_tokenizer: Any, rows: int, length: int, buffer: int
):
    shards = random_shards(seed)
    expected = plain_batches(shards, buffer, 3, make_tokenizer(), rows, length, epochs=3)
    stream = BufferedStream(text_of(source_of(shards, buffer), make_tokenizer(), tmp_path), rows, length, seed=3)
    opened: list[tuple[int, Place]] = []
    steps = stream.around(opened=lambda *one: opened.append(one))
    found = list(islice(steps, len(expected)))
    assert all(map(equal, found, expected))
    assert [first for first, _ in opened] == [number for number, (step, _) in enumerate(expected) if step == 0]
    for start in random.Random(seed).choices(range(len(expected)), k=12):
        assert equal(next(stream.around(start)), expected[start])
        first, place = max(one for one in opened if one[0] <= start)
        later = list(islice(stream.around(start, first, place), 5))
        assert all(map(equal, later, expected[start:]))


def test_nothing_before_a_known_buffer_is_tokenized(seed: int, tmp_path: Path, make_tokenizer: Any):
    tokenizer, opened = make_tokenizer(), []
    text = text_of(source_of(random_shards(seed), 100), tokenizer, tmp_path)
    stream = BufferedStream(text, 2, 10, 0)
    list(islice(stream.around(opened=lambda *one: opened.append(one)), 60))
    start, place = opened[-1]
    before = tokenizer.encoded
    next(stream.around(start, start, place))
    assert 0 < tokenizer.encoded - before < 200


@pytest.mark.parametrize(
    ("shards", "buffer"), [(random_shards(1), 150), ([["abcd", ""]], 5), ([["", "abcd"]], 1), ([["ab", "", "cd"]], 1)]
)
def test_tokens_are_counted_once_an_epoch(
    tmp_path: Path, make_tokenizer: Any, shards: list[list[str]], buffer: int
):  # of a buffer that is one empty document, there is no token to predict
    stream = BufferedStream(text_of(source_of(shards, buffer), make_tokenizer(), tmp_path), 4, 6, 0)
    opened: list[tuple[int, Place]] = []
    targets = 0
    for _, batch in stream.around(opened=lambda *one: opened.append(one)):
        if opened[-1][1].epoch == 1:
            break
        targets += int((batch.targets != -100).sum())
    buffers = plain_buffers(shards, buffer, 0, 0)
    assert targets == sum(len(document) + 1 for document in chain(*shards)) - len(buffers)


def test_a_text_without_two_tokens_together_is_a_fault(tmp_path: Path, make_tokenizer: Any):
    text = text_of(source_of([["ab"]], 1), make_tokenizer(), tmp_path)
    lonely = replace(text, source=source_of([[""], [""]], 1))
    with pytest.raises(DataError, match=r"no buffer has two tokens .* larger --shuffle-buffer"):
        next(BufferedStream(lonely, 1, 1, 0).around())


def test_the_length_of_an_epoch_is_estimated_by_the_sample(tmp_path: Path, make_tokenizer: Any):
    source = source_of([["abc"] * 10], 100)  # four tokens for three characters
    text = text_of(source, make_tokenizer(), tmp_path)
    assert len(BufferedStream(text, 3, 5, 0)) == round(1000 * 4 / 3 / 15)
    unknown = replace(text, source=replace(source, characters=None))
    assert len(BufferedStream(unknown, 3, 5, 0)) > 10**15


def test_the_sample_takes_equal_shares_and_more_where_shards_are_short(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_shards, "SAMPLE_CHARACTERS", 40)
    monkeypatch.setattr(_shards, "SAMPLED_SHARDS", 4)
    long = [[f"{shard}{number:04}" for number in range(100)] for shard in range(9)]
    found = list(source_of(long, 9))
    assert len(found) == 8
    assert all(one[1:] in ("0000", "0001") for one in found)  # two documents each of four shards
    assert len({one[0] for one in found}) == 4
    short = [["abcde"] for _ in range(6)]
    assert list(source_of(short, 9)) == ["abcde"] * 6
    assert list(source_of(short, 9, held_out=[1, 1, 1, 1, 1, 0])) == ["abcde"]


# --- from names to shards

Write = Callable[[Path, Sequence[str]], None]


def write_jsonl(path: Path, texts: Sequence[str]) -> None:
    lines = "".join(json.dumps({"id": number, "text": text}) + "\n" for number, text in enumerate(texts))
    path.write_bytes(gzip.compress(lines.encode()) if path.suffix == ".gz" else lines.encode())


def write_csv(path: Path, texts: Sequence[str]) -> None:
    path.write_text("id,text\n" + "".join(f'{number},"{text}"\n' for number, text in enumerate(texts)))


def write_tsv(path: Path, texts: Sequence[str]) -> None:
    path.write_text("id\ttext\n" + "".join(f"{number}\t{text}\n" for number, text in enumerate(texts)))


def write_parquet(path: Path, texts: Sequence[str]) -> None:
    pq.write_table(pa.table({"id": list(range(len(texts))), "text": list(texts)}), path)


WRITERS: dict[str, Write] = {
    ".jsonl": write_jsonl,
    ".jsonl.gz": write_jsonl,
    ".csv": write_csv,
    ".tsv": write_tsv,
    ".parquet": write_parquet,
}


def documents_of(source: TextSource) -> list[str]:
    """All documents that a streamed split trains on, sorted."""
    assert isinstance(source, StreamedSource)
    return sorted(document for _, documents in epoch_of(source, 0, 0) for document in documents)


def write_shards(folder: Path, ending: str, count: int = 4, each: int = 30) -> list[str]:
    texts = [f"{number:03} the tide comes in and goes out again" for number in range(count * each)]
    for shard in range(count):
        WRITERS[ending](folder / f"part-{shard}{ending}", texts[shard * each : (shard + 1) * each])
    return texts


@pytest.mark.parametrize("ending", WRITERS)
def test_shards_of_records_are_split_by_their_first_documents(tmp_path: Path, ending: str):
    texts = write_shards(tmp_path, ending)
    options = DataOptions(str(tmp_path / f"*{ending}"), stream=True, held_out_limit=400, valid_fraction=0.5)
    data = load_text(options)
    # The documents have 40 characters each: ten of them are 400, and 0.05 of the whole is less than that.
    valid, test = list(data.split("valid")), list(data.split("test"))
    assert valid == texts[:10]
    assert test == texts[10 : 10 + len(test)]
    assert 1 <= len(test) <= 10
    assert documents_of(data.split("train")) == texts[10 + len(test) :]
    assert data.description == f"4 files *{ending}"
    assert "the first 10 documents (400 characters) are valid, the next" in data.notes[0]
    assert "Streamed in buffers of 10,000,000 characters" in data.notes[1]
    assert "4 shards" in data.notes[1]


def trained_characters(source: TextSource) -> int:
    return sum(map(len, documents_of(source)))


def estimated(path: Path | str) -> tuple[int, int]:
    """Return the estimate of the characters to train on, and their number."""
    source = load_text(DataOptions(str(path), stream=True, held_out_limit=100)).split("train")
    assert isinstance(source, StreamedSource)
    assert source.characters is not None
    return source.characters, trained_characters(source)


@pytest.mark.parametrize("ending", WRITERS)
def test_the_size_of_a_short_text_is_known(tmp_path: Path, ending: str):
    write_shards(tmp_path, ending)
    characters, expected = estimated(tmp_path / f"*{ending}")
    assert characters == pytest.approx(expected, abs=100)  # whole documents are held out


@pytest.mark.parametrize("ending", WRITERS)
def test_the_size_is_estimated_by_the_beginnings(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_shards, "SAMPLE_CHARACTERS", 100_000)
    monkeypatch.setattr(_shards, "SAMPLED_SHARDS", 4)
    monkeypatch.setattr(_estimates, "_CHUNK_BYTES", 256)
    texts = write_shards(tmp_path, ending, count=6, each=3000)
    characters, _ = estimated(tmp_path / f"*{ending}")
    assert characters == pytest.approx(sum(map(len, texts)), rel=0.1)


@pytest.mark.parametrize("ending", [".txt", ".txt.gz"])
def test_empty_files_and_packed_parts_are_estimated_too(
    tmp_path: Path, seed: int, ending: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_shards, "SAMPLE_CHARACTERS", 60_000)
    monkeypatch.setattr(_shards, "SAMPLED_SHARDS", 3)
    monkeypatch.setattr(_estimates, "_CHUNK_BYTES", 256)
    chance = random.Random(seed)
    whole = 0
    for shard in range(12):
        parts = ["".join(chance.choices("abc é\n", k=8000)) for _ in range(0 if shard % 3 == 0 else 10)]
        whole += sum(map(len, parts))
        packed = [gzip.compress(part.encode()) if ending == ".txt.gz" else part.encode() for part in parts]
        (tmp_path / f"{shard:02}{ending}").write_bytes(b"".join(packed) or (gzip.compress(b"") if packed else b""))
    characters, _ = estimated(tmp_path / f"*{ending}")
    assert characters == pytest.approx(whole, rel=0.03)


def test_files_that_differ_are_each_estimated_by_their_own(tmp_path: Path):
    # 40 characters in a row of 60 bytes; three bytes a character; and a column beside the text that is far longer.
    write_shards(tmp_path, ".jsonl", count=2)
    write_jsonl(tmp_path / "wide.jsonl", ["潮が満ちて引く" * 50] * 100)
    lines = [json.dumps({"body": "x" * 2000, "text": "the tide comes in"}) + "\n" for _ in range(100)]
    (tmp_path / "other.jsonl").write_text("".join(lines))
    characters, expected = estimated(tmp_path / "*.jsonl")
    assert characters == pytest.approx(expected, abs=500)


def test_characters_of_several_bytes_are_one_in_parquet_files(tmp_path: Path):
    write_parquet(tmp_path / "a.parquet", [f"{number} 潮が満ちて引く" * 20 for number in range(500)])
    characters, expected = estimated(tmp_path / "a.parquet")
    assert characters == pytest.approx(expected, abs=300)


def test_a_document_longer_than_what_is_looked_at_is_estimated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_shards, "SAMPLE_CHARACTERS", 1000)
    monkeypatch.setattr(_estimates, "_CHUNK_BYTES", 256)
    write_jsonl(tmp_path / "a.jsonl", ["the tide " * 5000] * 4)
    assert estimated(tmp_path / "a.jsonl")[0] == pytest.approx(4 * 45_000, rel=0.01)


def test_shards_of_a_hub_set_are_estimated_by_the_mean_of_each():
    shards = [TextSource(f"{size}", True, lambda size=size: iter(["x" * size] * 50)) for size in (10, 1000)]
    assert _estimates.estimate_rows(shards, 100) == 50 * 1010


def test_a_value_that_is_no_text_is_told_when_it_is_read(tmp_path: Path, make_tokenizer: Any):
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n{"text": "three"}\n{"text": null}\n')
    data = load_text(DataOptions(str(tmp_path / "a.jsonl"), stream=True))
    with pytest.raises(DataError, match="line 4: column 'text' holds nothing where text is expected"):
        tokenize_splits(data, make_tokenizer())


@pytest.mark.parametrize("name", ["missing.txt", "."])
def test_a_file_that_cannot_be_measured_is_told(tmp_path: Path, name: str):
    with pytest.raises(DataError, match=r"cannot be read: (No such file|Is a directory)"):
        _estimates.estimate_files([tmp_path / name], "")


def opened_lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every line of a table that is read from now on."""
    seen: list[str] = []
    read = _delimited.read_lines

    def counted(path: Path) -> Any:
        for line in read(path):
            seen.append(line)
            yield line

    monkeypatch.setattr(_delimited, "read_lines", counted)
    return seen


def test_of_a_long_tsv_file_the_beginning_shows_once_what_its_quotes_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "a.tsv"
    path.write_text("id\ttext\n" + '1\t"never closed\n' * 1000)
    seen = opened_lines(monkeypatch)
    monkeypatch.setattr(_delimited, "_LOOKED_AT", 100)
    rows = _tables.file_table(path).rows({"text": "--text-field"})
    assert next(rows) == (2, ['"never closed'])
    assert len(seen) < 25
    seen.clear()
    rows = _tables.file_table(path).rows({"text": "--text-field"})
    assert next(rows) == (2, ['"never closed'])
    assert len(seen) == 3, "the header to know the columns, and two lines"
    path.write_text('id\ttext\n1\t"closed"\n')
    assert list(_tables.file_table(path).rows({"text": "--text-field"})) == [(2, ["closed"])]
    path.unlink()
    with pytest.raises(DataError, match=r"a\.tsv cannot be read: No such file"):
        _tables.file_table(path)


def test_plain_text_is_cut_into_blocks_at_line_ends(tmp_path: Path, seed: int):
    chance = random.Random(seed)
    lines = ["".join(chance.choices("abc é", k=chance.randint(0, 200))) + "\n" for _ in range(3000)]
    text = "".join(lines)
    (tmp_path / "one.txt").write_text(text, encoding="utf-8")
    (tmp_path / "two.txt").write_text(text, encoding="utf-8")
    data = load_text(DataOptions(str(tmp_path / "*.txt"), stream=True, held_out_limit=1000))
    source = data.split("train")
    assert isinstance(source, StreamedSource)
    assert not source.ends_with_eos
    assert source.characters == pytest.approx(2 * len(text), rel=0.05)
    held_out = ["".join(data.split(name)) for name in ("valid", "test")]
    assert text.startswith("".join(held_out))
    assert all(one.endswith("\n") and 16_184 <= len(one) <= 16_384 for one in held_out)
    blocks = documents_of(source)
    assert all(block.endswith("\n") and len(block) <= 16_384 for block in blocks)
    rest = text.removeprefix("".join(held_out))
    assert sorted("".join(blocks)) == sorted(rest + text)
    assert all(block in text for block in blocks)


def test_a_folder_says_the_splits(tmp_path: Path):
    for name in ("train-1", "train-2", "valid"):
        write_jsonl(tmp_path / f"{name}.jsonl", [f"{name} a", f"{name} b"])
    (tmp_path / "notes.md").write_text("not data")
    data = load_text(DataOptions(str(tmp_path), stream=True))
    assert list(data.split("valid")) == ["valid a", "valid b"]
    assert data.test is None
    assert documents_of(data.split("train")) == ["train-1 a", "train-1 b", "train-2 a", "train-2 b"]
    assert data.description == f"folder {tmp_path.name} (2 files to train on)"
    assert "notes.md" in data.notes[0]
    (tmp_path / "train-1.jsonl").unlink()
    (tmp_path / "train-2.jsonl").unlink()
    assert load_text(DataOptions(str(tmp_path), stream=True)).train is None


def test_the_folder_one_is_in_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_jsonl(tmp_path / "train.jsonl", ["one", "two", "three"])
    monkeypatch.chdir(tmp_path)
    data = load_text(DataOptions(".", stream=True))
    assert data.notes[0].startswith(f"{tmp_path.name} is streamed: the first 1 documents")
    assert data.split("train").name == f"{tmp_path.name}, sample of the training part"
    assert data.split("valid").name == f"{tmp_path.name}, valid part"


def test_one_file_of_a_folder_may_be_the_test(tmp_path: Path):
    write_jsonl(tmp_path / "train.jsonl", ["one", "two", "three"])
    write_jsonl(tmp_path / "test.jsonl", ["four"])
    data = load_text(DataOptions(str(tmp_path), stream=True))
    assert [list(data.split(name)) for name in ("valid", "test")] == [["one"], ["four"]]
    assert documents_of(data.split("train")) == ["three", "two"]


def test_shares_of_nothing_hold_out_nothing(tmp_path: Path):
    texts = write_shards(tmp_path, ".jsonl")
    options = DataOptions(str(tmp_path / "*.jsonl"), stream=True, valid_fraction=0, test_fraction=0)
    data = load_text(options)
    assert (data.valid, data.test) == (None, None)
    assert documents_of(data.split("train")) == texts
    data = load_text(replace(options, valid_fraction=0.1, held_out_limit=0))
    assert len(list(data.split("valid"))) == pytest.approx(len(texts) / 10, abs=2)
    assert data.test is None


@pytest.mark.parametrize("texts", [["all there is"], ["one", "two"], ["one", "two", "  "]])
def test_too_little_to_stream_is_told(tmp_path: Path, texts: list[str]):
    write_jsonl(tmp_path / "a.jsonl", texts)
    with pytest.raises(DataError, match=r"a\.jsonl is too short to stream: nothing is left to train on when the first"):
        load_text(DataOptions(str(tmp_path / "a.jsonl"), stream=True))


def test_a_pattern_that_no_file_fits_is_told(tmp_path: Path):
    with pytest.raises(DataError, match="No file fits the pattern"):
        load_text(DataOptions(str(tmp_path / "*.jsonl.gz"), stream=True))


def damage_line(path: Path) -> str:
    lines = gzip.decompress(path.read_bytes()).splitlines()
    lines[6] = b'{"text": "never cl'
    path.write_bytes(gzip.compress(b"\n".join(lines)))
    return "part-2.jsonl.gz, line 7 is not valid JSON"


def cut_off(path: Path) -> str:
    path.write_bytes(path.read_bytes()[:-30])
    return r"part-2.jsonl.gz is a damaged or incomplete gzip file"


def lose_column(path: Path) -> str:
    path.write_bytes(gzip.compress(b'{"title": "x"}\n'))
    return "part-2.jsonl.gz, line 1 has no 'text'; it has: title"


def garble(path: Path) -> str:
    path.write_bytes(b"this was never packed, whatever its name says")
    return "part-2.jsonl.gz is a damaged or incomplete gzip file"


@pytest.mark.parametrize("damage", [damage_line, cut_off, lose_column, garble])
def test_a_damaged_shard_in_the_middle_is_named_when_its_turn_comes(
    tmp_path: Path, make_tokenizer: Any, damage: Callable[[Path], str]
):
    write_shards(tmp_path, ".jsonl.gz")
    options = DataOptions(str(tmp_path / "*.gz"), stream=True, shuffle_buffer=100)
    whole = load_text(options)
    text = tokenize_splits(whole, make_tokenizer())["train"]
    assert isinstance(text, StreamedText)
    message = damage(tmp_path / "part-2.jsonl.gz")
    with pytest.raises(DataError, match=message):
        list(islice(BufferedStream(text, 2, 8, 0).around(), 10_000))
    with pytest.raises(DataError, match=message):  # and by the sample, before the first step
        tokenize_splits(load_text(options), make_tokenizer())


@pytest.mark.parametrize("damage", [damage_line, cut_off])
def test_a_shard_that_is_mended_is_the_same_data_and_steps_go_on(
    tmp_path: Path, make_tokenizer: Any, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], str]
):
    monkeypatch.setattr(_shards, "SAMPLE_CHARACTERS", 400)  # the damage is behind the sample, as in large shards
    monkeypatch.setattr(_estimates, "_CHUNK_BYTES", 16)
    monkeypatch.setattr(_plain, "CHUNK_BYTES", 64)
    write_shards(tmp_path, ".jsonl.gz")
    seed = next(seed for seed in range(99) if np.random.default_rng([seed, 0]).permutation(4)[-1] == 2)
    options = DataOptions(str(tmp_path / "*.gz"), stream=True, shuffle_buffer=300, held_out_limit=100)

    def loaded() -> StreamedText:
        text = tokenize_splits(load_text(options), make_tokenizer())["train"]
        assert isinstance(text, StreamedText)
        return text

    whole = loaded()
    expected = list(islice(BufferedStream(whole, 2, 8, seed).around(), 600))
    path = tmp_path / "part-2.jsonl.gz"
    content = path.read_bytes()
    message = damage(path)
    assert path.stat().st_size != len(content)
    damaged, found, opened = loaded(), [], []
    with pytest.raises(DataError, match=message):
        found += BufferedStream(damaged, 2, 8, seed).around(opened=lambda *one: opened.append(one))
    assert opened
    path.write_bytes(content)
    mended = loaded()
    assert whole.sha == damaged.sha == mended.sha
    first, place = opened[-1]
    later = list(islice(BufferedStream(mended, 2, 8, seed).around(first, first, place), 200))
    assert all(map(equal, later, expected[first:]))


def test_other_names_or_another_sample_are_other_data(
    tmp_path: Path, make_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_shards, "SAMPLE_CHARACTERS", 400)
    write_shards(tmp_path, ".jsonl")
    options = DataOptions(str(tmp_path / "*.jsonl"), stream=True, held_out_limit=100)

    def sha(given: DataOptions = options) -> str:
        return tokenize_splits(load_text(given), make_tokenizer())["train"].sha

    first = sha()
    assert sha() == first
    assert sha(replace(options, shuffle_buffer=999)) != first
    assert sha(replace(options, held_out_limit=20)) != first
    last = tmp_path / "part-3.jsonl"
    with last.open("a") as file:
        file.write('{"text": "more"}\n')
    assert sha() == first, "what is behind the sample is not looked at"
    last.write_text(last.read_text().replace("tide", "TIDE", 1))
    assert sha() != first
    write_shards(tmp_path, ".jsonl")
    assert sha() == first
    last.rename(tmp_path / "part-4.jsonl")
    assert sha() != first
    (tmp_path / "part-4.jsonl").unlink()
    assert sha() != first


def test_built_in_text_is_not_streamed():
    with pytest.raises(UsageError, match="pydoc is built in: leave out --stream"):
        load_text(DataOptions("pydoc", stream=True))


def test_a_buffer_has_at_least_a_character():
    with pytest.raises(UsageError, match="--shuffle-buffer is 0: give a number of characters from 1 up"):
        DataOptions("x", stream=True, shuffle_buffer=0)


def test_memory_does_not_grow_with_the_text(tmp_path: Path, make_tokenizer: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_shards, "SAMPLE_CHARACTERS", 100_000)
    monkeypatch.setattr(_plain, "CHUNK_BYTES", 1 << 14)  # so that it counts for nothing here
    buffer = 1_000_000
    for shard in range(6):
        (tmp_path / f"{shard}.txt").write_text("the tide comes in and goes out again\n" * 40_000)

    def memory(pattern: str) -> tuple[int, int]:
        """Bytes that are held when a buffer is about to be trained on, and at any time."""
        options = DataOptions(str(tmp_path / pattern), stream=True, shuffle_buffer=buffer, held_out_limit=1000)
        tracemalloc.start()
        text = tokenize_splits(load_text(options), make_tokenizer())["train"]
        assert isinstance(text, StreamedText)
        seen: list[tuple[int, int]] = []

        def opened(_: int, place: Place) -> None:
            seen.append((tracemalloc.get_traced_memory()[0], place.epoch))

        for _ in BufferedStream(text, 20, 500, 0).around(opened=opened):
            if seen[-1][1] == 1:
                break
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return max(held for held, _ in seen), highest

    memory("0.txt")  # what is imported and cached once
    one, all_six = memory("1.txt"), memory("*.txt")
    assert all_six[1] < one[1] + buffer / 2  # of nine million characters
    # A token takes two bytes, and four before it is known to fit in them.
    assert all_six[0] < 2.5 * buffer, "the tokens of one buffer are held, and no text"
    assert all_six[1] < 7 * buffer, "one text and its tokens are held, and no others"


class Document(str):
    """A text that can be referred to weakly."""


def test_text_is_gone_before_training_and_tokens_before_the_next_text(
    tmp_path: Path, make_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
):
    texts: list[weakref.ref[Document]] = []
    streams: list[weakref.ref[TokenStream]] = []

    def alive(references: Sequence[weakref.ref[Any]]) -> int:
        return sum(reference() is not None for reference in references)

    def documents() -> Any:
        for number in range(200):
            assert alive(streams) == 0
            document = Document(f"{number:03} tide")
            texts.append(weakref.ref(document))
            yield document

    class Followed(TokenStream):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            streams.append(weakref.ref(self))

    monkeypatch.setattr(_buffered, "TokenStream", Followed)
    parts = [TextSource("one", True, documents)]
    source = StreamedSource(
        "made up", True, lambda: iter(["a tide"]), parts, [0], 90, 1000, "as listed"
    )  # ten a buffer
    steps = BufferedStream(text_of(source, make_tokenizer(), tmp_path), 2, 9, 0).around()
    for _ in islice(steps, 100):
        assert alive(texts) <= 1, "the one read last"
        assert alive(streams) == 1
    assert len(streams) > 15


def test_many_tiny_documents_are_joined_as_they_come(make_tokenizer: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_tokenized, "_WRITE_TOKENS", 1000)
    tokenizer = make_tokenizer()
    tracemalloc.start()
    ids = _tokenized.encode_pieces(("a" if number % 2 else "" for number in range(20_000)), True, tokenizer)
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ids.tolist() == [tokenizer.eos_id, ord("a") + 4, tokenizer.eos_id] * 10_000
    assert highest < 500_000  # an array a document would be two million


# --- from the hub, on files that `datasets` opens by their path


@pytest.mark.parametrize("ending", [".parquet", ".jsonl"])
def test_a_hub_set_is_streamed_by_its_shards(hub: Path, ending: str):
    texts = [f"text {number:02}" for number in range(60)]
    for shard in range(3):
        WRITERS[ending](hub / f"train-{shard}{ending}", texts[shard * 20 : shard * 20 + 20])
    WRITERS[ending](hub / f"validation{ending}", ["held out"])
    data = load_text(DataOptions(str(hub), stream=True))
    source = data.split("train")
    assert isinstance(source, StreamedSource)
    assert len(source.shards) == 3
    assert documents_of(source) == texts
    assert list(data.split("valid")) == ["held out"]
    assert data.test is None
    assert data.description == f"hub data set {hub} (column text), streamed"
    assert not list(hub.parent.glob("cache/**/*.arrow")), "nothing is kept on disk"


def test_of_a_hub_set_without_splits_the_first_documents_are_held_out(hub: Path):
    write_parquet(hub / "train.parquet", [f"text {number:02}" for number in range(20)])
    data = load_text(DataOptions(str(hub), stream=True, held_out_limit=14))
    assert list(data.split("valid")) == ["text 00", "text 01"]
    assert list(data.split("test")) == ["text 02", "text 03"]
    assert len(documents_of(data.split("train"))) == 16
    assert "an unknown number of characters in 1 shards" in data.notes[-1]
    with pytest.raises(UsageError, match=r"The length .* is not known, .* --held-out-limit 1000000"):
        load_text(DataOptions(str(hub), stream=True, held_out_limit=0))


def test_a_shard_is_chosen_when_it_is_read(hub: Path, monkeypatch: pytest.MonkeyPatch):
    for shard in range(3):
        write_jsonl(hub / f"train-{shard}.jsonl", [f"text {shard}"])
    chosen: list[int] = []
    shard_of = datasets.IterableDataset.shard

    def counted(self: Any, num_shards: int, index: int) -> Any:
        chosen.append(index)
        return shard_of(self, num_shards, index)

    monkeypatch.setattr(datasets.IterableDataset, "shard", counted)
    tables, lengths, _ = _hub.hub_shards(str(hub))
    assert (len(tables["train"]), lengths, chosen) == (3, {}, [])
    assert list(tables["train"][1].rows({"text": "--text-field"})) == [(1, ("text 1",))]
    assert chosen == [1]


def test_the_number_of_rows_that_the_hub_tells_is_believed(hub: Path, monkeypatch: pytest.MonkeyPatch):
    write_parquet(hub / "train.parquet", ["abc"] * 30)
    rows = datasets.load_dataset(str(hub), streaming=True)["train"]
    rows.info.splits = datasets.SplitDict(train=datasets.SplitInfo("train", num_bytes=9876, num_examples=1000))
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **how: {"train": rows} if how["streaming"] else None)
    source = load_text(DataOptions("owner/name", stream=True, held_out_limit=6)).split("train")
    assert isinstance(source, StreamedSource)
    assert source.characters == 3000 - 2 * 6


def test_a_connection_that_is_lost_is_told_with_the_row(hub: Path, monkeypatch: pytest.MonkeyPatch):
    write_parquet(hub / "train.parquet", ["abc"] * 3000)
    source = load_text(DataOptions(str(hub), stream=True, held_out_limit=3)).split("train")
    batches = datasets.IterableDataset.iter

    def lost(self: Any, batch_size: int) -> Any:
        yield from islice(batches(self, batch_size), 2)
        raise ConnectionError("no route\nmore")

    monkeypatch.setattr(datasets.IterableDataset, "iter", lost)
    assert isinstance(source, StreamedSource)
    with pytest.raises(DataError, match=r"shard 1 cannot be read after row 512 \(no route\)\. Check the network"):
        list(islice(source.buffers(0), 2))


def two_columns(folder: Path, *names: str) -> None:
    for name in names:
        rows = [{"text": f"title {name} {number}", "body": f"{name} {number}"} for number in range(9)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.mark.parametrize("named", ["file", "folder", "hub"])
def test_the_column_that_is_asked_for_is_streamed(named: str, tmp_path: Path, request: pytest.FixtureRequest):
    folder = request.getfixturevalue("hub") if named == "hub" else tmp_path
    names = ("train",) if named == "file" else ("train", "valid", "test")
    two_columns(folder, *names)
    path = folder / "train.jsonl" if named == "file" else folder
    data = load_text(DataOptions(str(path), "body", stream=True))
    found = [*documents_of(data.split("train")), *data.split("valid"), *data.split("test")]
    assert sorted(found) == sorted(f"{name} {number}" for name in names for number in range(9))


def test_what_is_wrong_with_a_call_is_no_fault_of_the_network(hub: Path):
    write_jsonl(hub / "train.jsonl", ["text"])
    tables, _, _ = _hub.hub_shards(str(hub))
    with pytest.raises(DataError, match=r"shard 1 has no .*'body'") as told:
        list(tables["train"][0].rows({"body": "--text-field"}))
    assert "network" not in str(told.value)


def test_a_hub_set_that_does_not_say_its_columns_tells_them_in_its_first_row(monkeypatch: pytest.MonkeyPatch):
    def rows() -> Any:
        yield from ({"id": number, "body": f"text {number}"} for number in range(9))

    def lost() -> Any:
        raise ConnectionError("no route")
        yield

    def load(generator: Any) -> TextData:
        streamed = datasets.IterableDataset.from_generator(generator)
        assert streamed.features is None
        monkeypatch.setattr(datasets, "load_dataset", lambda *_, **how: {"train": streamed})
        return load_text(DataOptions("owner/name", stream=True, held_out_limit=3))

    data = load(rows)
    assert list(data.split("valid")) == ["text 0"]
    assert documents_of(data.split("train")) == [f"text {number}" for number in range(2, 9)]
    with pytest.raises(DataError, match=r"owner/name \(train\) is no file .* hub failed \(no route\)"):
        load(lost)
