"""Tokens on disk: equal to encoding the whole text, counted right, found again, rebuilt when damaged."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlp_lstm.data import DataOptions, TextSource, TokenizedText, load_text, lock_folder, tokenize, unlock
from nlp_lstm.data import _tokenized as tokenized_module
from nlp_lstm.data._cache import default_folder
from nlp_lstm.data._counts import _WIDE_SPACES, count_text
from nlp_lstm.errors import DataError, TokenizerError

TEXT = "The tide came in.\nNobody \u2014 not even the gulls \u2014 moved.\n"


def source_of(*pieces: str, records: bool = False) -> TextSource:
    return TextSource("a text", records, lambda: iter(pieces))


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_ids_and_counts_are_those_of_the_whole_text(tmp_path: Path, make_tokenizer):
    tokenizer = make_tokenizer()
    tokenized = tokenize(source_of(TEXT[:10], TEXT[10:30], TEXT[30:]), tokenizer, tmp_path)
    assert isinstance(tokenized, TokenizedText)
    np.testing.assert_array_equal(tokenized.ids, make_tokenizer().encode_array(TEXT))
    assert (tokenized.characters, tokenized.bytes) == (len(TEXT), len(TEXT.encode()))
    assert (tokenized.words, tokenized.unknown) == (len(TEXT.split()), 2)
    assert len(tokenized) == len(TEXT)
    assert tokenized.vocab_size == 260
    assert isinstance(tokenized.ids, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        tokenized.ids[0] = 1


def test_a_second_time_nothing_is_encoded(tmp_path: Path, make_tokenizer):
    first, second = make_tokenizer(), make_tokenizer()
    one = tokenize(source_of(TEXT), first, tmp_path)
    two = tokenize(source_of(TEXT[:7], TEXT[7:]), second, tmp_path)
    assert (first.encoded, second.encoded) == (len(TEXT), 0)
    np.testing.assert_array_equal(one.ids, two.ids)
    assert (one.sha, one.unknown, one.words) == (two.sha, two.unknown, two.words)


def test_another_text_tokenizer_or_record_border_is_another_entry(tmp_path: Path, make_tokenizer):
    sources = [
        source_of("ab c"),
        source_of("ab d"),
        source_of("ab", " c", records=True),
        source_of("ab ", "c", records=True),
        source_of("ab c", records=True),
    ]
    shas = {tokenize(source, make_tokenizer(), tmp_path).sha for source in sources}
    tokenize(sources[0], make_tokenizer(vocab_size=300), tmp_path)
    assert len(shas) == 5
    assert len(entries(tmp_path)) == 6


def test_a_changed_file_is_encoded_anew(tmp_path: Path, make_tokenizer):
    path = tmp_path / "a.txt"
    path.write_text("one two")
    source = load_text(DataOptions(str(path), valid_fraction=0, test_fraction=0)).split("train")
    first = tokenize(source, make_tokenizer())
    path.write_text("one too")
    second = tokenize(source, make_tokenizer())
    assert (first.ids[-1], second.ids[-1]) == (ord("o") + 4, ord("o") + 4)
    assert first.ids[-2] != second.ids[-2]


@pytest.mark.parametrize("line_end_is_eos", [False, True])
def test_records_are_ended_once(tmp_path: Path, make_tokenizer, line_end_is_eos: bool):
    tokenizer = make_tokenizer(line_end_is_eos=line_end_is_eos)
    tokenized = tokenize(source_of("a", "", "b\n", records=True), tokenizer, tmp_path)
    a, b, line_end = ord("a") + 4, ord("b") + 4, ord("\n") + 4
    expected = [a, 3, 3, b, 3] if line_end_is_eos else [a, 3, 3, b, line_end, 3]
    assert tokenized.ids.tolist() == expected


@pytest.mark.parametrize("line_end_is_eos", [False, True])
def test_plain_text_is_not_ended(tmp_path: Path, make_tokenizer, line_end_is_eos: bool):
    tokenizer = make_tokenizer(line_end_is_eos=line_end_is_eos)
    line_end = 3 if line_end_is_eos else ord("\n") + 4
    assert tokenize(source_of("a", "\n", "a"), tokenizer, tmp_path).ids.tolist() == [101, line_end, 101]


@pytest.mark.parametrize(("vocab_size", "dtype"), [(65_536, np.uint16), (65_537, np.int32)])
def test_ids_are_as_small_as_the_vocabulary_allows(tmp_path: Path, make_tokenizer, vocab_size: int, dtype: type):
    last = chr(vocab_size - 5)
    ids = tokenize(source_of("a" + last), make_tokenizer(vocab_size), tmp_path).ids
    assert ids.dtype == dtype
    assert ids.tolist() == [101, vocab_size - 1]


SPACES = " \n\t\r\x0b\x1c\x85\xa0\u2028"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet="ab\u00e9" + SPACES, max_size=6), max_size=8))
def test_words_across_pieces_are_counted_once(pieces: list[str]):
    text = "".join(pieces) + " end"
    assert count_text(source_of(*pieces, " end")).words == len(text.split())
    assert count_text(source_of(*pieces, " end", records=True)).words == sum(len(piece.split()) for piece in pieces) + 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "alphabet", ["abc \n\t\x0b\x0c\r\x1c\x1d\x1e\x1f\x00\x7f", "a\u0105\u4e00\U0001f41f \n", "a\u0105" + _WIDE_SPACES]
)
def test_the_fast_count_of_words_is_that_of_split(seed: int, alphabet: str):
    generator = np.random.default_rng(seed)
    text = generator.choice(list(alphabet), 30_000)
    cuts = sorted(generator.integers(0, len(text), 3).tolist())
    pieces = ["".join(part) for part in np.split(text, cuts)]
    assert count_text(source_of(*pieces)).words == len("".join(pieces).split()), f"seed {seed}"


def test_all_wide_spaces_are_known():
    assert "".join(chr(code) for code in range(128, sys.maxunicode + 1) if chr(code).isspace()) == _WIDE_SPACES


def test_many_tiny_records_are_one_file(tmp_path: Path, make_tokenizer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tokenized_module, "_WRITE_TOKENS", 1000)
    records = [f"record {number}" for number in range(2000)]
    tokenized = tokenize(source_of(*records, records=True), make_tokenizer(), tmp_path)
    expected = [[*make_tokenizer().encode_array(record), 3] for record in records]
    np.testing.assert_array_equal(tokenized.ids, np.concatenate(expected))


def test_progress_ends_with_all_bytes_whether_encoded_or_found(tmp_path: Path, make_tokenizer, monkeypatch):
    monkeypatch.setattr(tokenized_module, "_WRITE_TOKENS", 10)
    for _ in range(2):
        told: list[int] = []
        tokenize(source_of(*TEXT.split("\n")), make_tokenizer(), tmp_path, progress=told.append)
        assert told == sorted(told)
        assert told[-1] == len(TEXT.replace("\n", "").encode())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ids.bin", b"\x05"),
        ("ids.bin", None),
        ("meta.json", b'{"tokens": '),
        ("meta.json", b"[]"),
        ("meta.json", b"{}"),
        ("meta.json", b'{"tokens": 0, "unknown": 0}'),
        ("meta.json", b"\xff"),
        ("meta.json", None),
    ],
)
def test_a_damaged_entry_is_rebuilt(tmp_path: Path, make_tokenizer, name: str, content: bytes | None):
    tokenize(source_of(TEXT), make_tokenizer(), tmp_path)
    (entry,) = tmp_path.iterdir()
    if content is None:
        (entry / name).unlink()
    else:
        (entry / name).write_bytes(content)
    tokenizer = make_tokenizer()
    rebuilt = tokenize(source_of(TEXT), tokenizer, tmp_path)
    assert tokenizer.encoded == len(TEXT)
    np.testing.assert_array_equal(rebuilt.ids, make_tokenizer().encode_array(TEXT))
    assert entries(tmp_path) == [entry.name]
    assert json.loads((entry / "meta.json").read_text())["tokens"] == len(TEXT)


def test_ids_in_use_survive_a_rebuild(tmp_path: Path, make_tokenizer):
    before = tokenize(source_of(TEXT), make_tokenizer(), tmp_path)
    (entry,) = tmp_path.iterdir()
    (entry / "meta.json").unlink()
    tokenize(source_of(TEXT), make_tokenizer(), tmp_path)
    np.testing.assert_array_equal(before.ids, make_tokenizer().encode_array(TEXT))


AT_ONCE = """
import sys
from pathlib import Path
import numpy as np
from nlp_lstm.data import TextSource, tokenize

class Tokenizer:
    vocab_size, unk_id, eos_id, line_end_is_eos = 256, 1, 3, False
    def encode_array(self, text): return np.frombuffer(text.encode(), np.uint8)
    def fingerprint(self): return "bytes"

source = TextSource("a text", False, lambda: iter(["some words\\n" * 1000] * 200))
print("ready", flush=True)
sys.stdin.readline()
print(len(tokenize(source, Tokenizer(), Path(sys.argv[1]))))
"""


def test_two_processes_may_make_the_same_entry(tmp_path: Path):
    command = [sys.executable, "-c", AT_ONCE, str(tmp_path)]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate(timeout=60) for process in processes] == [("2200000\n", "")] * 2
    assert len(entries(tmp_path)) == 1


def test_the_cache_lies_beside_that_of_the_hub(own_cache: Path, monkeypatch: pytest.MonkeyPatch, make_tokenizer):
    tokenize(source_of(TEXT), make_tokenizer())
    assert len(entries(own_cache / "nlp_lstm" / "tokens")) == 1
    assert default_folder() == own_cache / "nlp_lstm" / "tokens"
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert default_folder() == Path("/x/huggingface/nlp_lstm/tokens")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/reader")
    assert default_folder() == Path("/home/reader/.cache/huggingface/nlp_lstm/tokens")


def leave(root: Path, name: str, age: float = 0.0, file_age: float | None = 0.0) -> Path:
    """Make the folder of a process that tokenizes, as old as told."""
    work = root / f".making-{name}"
    work.mkdir()
    now = time.time()
    if file_age is not None:
        (work / "ids.bin").write_bytes(b"x")
        os.utime(work / "ids.bin", (now - file_age, now - file_age))
    os.utime(work, (now - age, now - age))
    return work


def test_what_killed_processes_left_is_swept_at_the_next_tokenization(tmp_path: Path, make_tokenizer):
    living = leave(tmp_path, "living", 10 * 24 * 3600, 10 * 24 * 3600)
    leave(tmp_path, "killed")
    leave(tmp_path, "empty", file_age=None)
    (tmp_path / ".making-file").write_text("no folder of ours")
    lock = lock_folder(living)
    tokenize(source_of(TEXT), make_tokenizer(), tmp_path)
    assert entries(tmp_path)[:2] == [".making-file", ".making-living"]
    assert len(entries(tmp_path)) == 3
    unlock(lock)
    tokenize(source_of(TEXT, TEXT), make_tokenizer(), tmp_path)
    assert entries(tmp_path)[0] == ".making-file"
    assert len(entries(tmp_path)) == 3, "two entries"


def test_a_lock_is_given_back_though_another_process_has_the_descriptor(tmp_path: Path):
    lock = lock_folder(tmp_path)
    assert lock is not None
    inherited = os.dup(lock)  # as a child that is forked meanwhile has it
    with pytest.raises(BlockingIOError):
        lock_folder(tmp_path)
    unlock(lock)
    again = lock_folder(tmp_path)
    assert again is not None
    unlock(again)
    os.close(inherited)


def test_what_is_being_tokenized_is_not_swept(tmp_path: Path, make_tokenizer):
    def pieces():
        if len(entries(tmp_path)) == 1:  # the text is being encoded
            assert entries(tmp_path)[0].startswith(".making-")
            tokenize(source_of(TEXT, TEXT), make_tokenizer(), tmp_path)
            assert [name[:8] for name in entries(tmp_path)].count(".making-") == 1
        yield TEXT

    tokenize(TextSource("a text", False, pieces), make_tokenizer(), tmp_path)
    assert len(entries(tmp_path)) == 2


def test_a_killed_process_gives_its_lock_back(tmp_path: Path, make_tokenizer):
    code = (
        "import sys, pathlib; from nlp_lstm.data import lock_folder\n"
        "lock_folder(pathlib.Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    work = leave(tmp_path, "of-another")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(work)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        tokenize(source_of(TEXT), make_tokenizer(), tmp_path)
        assert work.exists()
        holder.kill()
        holder.wait()
    tokenize(source_of(TEXT, TEXT), make_tokenizer(), tmp_path)
    assert not work.exists()


def test_where_no_lock_tells_a_folder_is_swept_after_a_day(
    tmp_path: Path, make_tokenizer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("nlp_lstm.data._cache.lock_folder", lambda folder, wait=False: None)
    day = 24 * 3600
    for name, ages in {
        "killed": (2 * day, 2 * day),
        "long": (2 * day, 60),
        "fresh": (60, 60),
        "empty": (2 * day, None),
    }.items():
        leave(tmp_path, name, *ages)
    tokenize(source_of(TEXT), make_tokenizer(), tmp_path)
    assert entries(tmp_path)[:2] == [".making-fresh", ".making-long"]
    assert len(entries(tmp_path)) == 3


def test_a_cache_that_cannot_be_made_names_hf_home(tmp_path: Path, make_tokenizer):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"token cache .*file/tokens cannot be written: Not a directory.*HF_HOME"):
        tokenize(source_of(TEXT), make_tokenizer(), tmp_path / "file" / "tokens")


def test_a_full_disk_names_hf_home_and_leaves_nothing(tmp_path: Path, make_tokenizer):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # a write beyond fails as on a full disk
    try:
        with pytest.raises(DataError, match=r"cannot be written: File too large\. Make room there or set HF_HOME"):
            tokenize(source_of("word " * 1000), make_tokenizer(), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert entries(tmp_path) == []


def test_an_entry_taken_away_meanwhile_is_an_error(tmp_path: Path, make_tokenizer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("nlp_lstm.data._cache.TokenCache.find", lambda _: None)
    with pytest.raises(DataError, match="taken away while it was made"):
        tokenize(source_of(TEXT), make_tokenizer(), tmp_path)


def test_a_text_that_changes_while_it_is_read_is_refused(tmp_path: Path, make_tokenizer):
    versions = iter(["one two", "one two three"])
    source = TextSource("a text", False, lambda: iter([next(versions)]))
    with pytest.raises(DataError, match="a text changed while it was being read"):
        tokenize(source, make_tokenizer(), tmp_path)
    assert entries(tmp_path) == []


def test_a_text_without_words_is_refused(tmp_path: Path, make_tokenizer):
    with pytest.raises(DataError, match="a text holds no words, only whitespace"):
        tokenize(source_of(" ", "\n"), make_tokenizer(), tmp_path)


class Faulty:
    """A tokenizer that gives the same ids whatever the text."""

    vocab_size, unk_id, eos_id, line_end_is_eos = 10, 1, 3, False

    def __init__(self, ids: Iterable[int]) -> None:
        self.ids = np.array(list(ids), np.int32)

    def encode_array(self, _: str) -> np.ndarray:
        return self.ids

    def fingerprint(self) -> str:
        return "faulty"


def test_a_text_without_tokens_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="a text gives no tokens"):
        tokenize(source_of("x"), Faulty([]), tmp_path)


@pytest.mark.parametrize(("ids", "told"), [([1, 10], 10), ([-1, 2], -1)])
def test_an_id_outside_the_vocabulary_is_refused(tmp_path: Path, ids: list[int], told: int):
    with pytest.raises(TokenizerError, match=f"gave the id {told}, but its vocabulary has 10"):
        tokenize(source_of("x"), Faulty(ids), tmp_path)


@pytest.mark.parametrize("ending", [".txt", ".jsonl"])
def test_memory_does_not_grow_with_the_text(tmp_path: Path, make_tokenizer, ending: str):
    path = tmp_path / f"large{ending}"
    words = "a line of words that is repeated again and again " * 40
    total, limit = (50_000_000, 25_000_000) if ending == ".txt" else (15_000_000, 8_000_000)
    repeats = total // len(words)
    with path.open("w") as file:
        file.writelines(words + "\n" if ending == ".txt" else f'{{"text": "{words}"}}\n' for _ in range(repeats))
    tracemalloc.start()
    try:
        source = load_text(DataOptions(str(path), held_out_limit=0)).split("train")
        tokenized = tokenize(source, make_tokenizer(), tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(tokenized) == pytest.approx(0.9 * repeats * (len(words) + 1), rel=1e-3)
    assert peak < limit
