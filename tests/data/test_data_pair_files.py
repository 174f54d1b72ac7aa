"""Parallel files: partners by their names, a line for a line, and what is said where one has none."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from nlp_lstm.data import PairData, PairOptions, load_pairs
from nlp_lstm.data._pair_files import language_of
from nlp_lstm.errors import DataError


def load(data: object, **options: object) -> PairData:
    return load_pairs(PairOptions(str(data), **{"valid_fraction": 0, "test_fraction": 0} | options))


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        data = content.encode()
        (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return folder


def pairs(data: PairData, split: str) -> list[tuple[str, str]]:
    return list(zip(data.split(split).sources, data.split(split).targets, strict=True))


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("train.de", ("train", "de")),
        ("train.de.gz", ("train", "de")),
        ("train.de.txt", ("train", "de")),
        ("test_2016_quay.pt_BR.txt.gz", ("test_2016_quay", "pt_BR")),
        ("corpus-v2.de-en.en", ("corpus-v2.de-en", "en")),
        ("train_de.txt", ("train", "de")),
        ("de.txt", ("", "de")),
        ("de", ("", "de")),
    ],
)
def test_the_end_of_a_name_is_the_language(name: str, parts: tuple[str, str]):
    assert language_of(Path(name)) == parts


FILES = {
    "train.de": "eins\r\nzwei\x0bdrei\nvier",
    "train.en.gz": "one\ntwo three\nfour\n",
    "val.de.gz": "fünf\n",
    "val.en": "five\n",
    "test_quay.de": "sechs\n",
    "test_quay.en": "six\n",
    "test_bridge.de": "sieben\n",
    "test_bridge.en": "seven\n",
    "train.fr": "un\ndeux\nquatre\n",
    "notes.md": "about",
}


def test_parallel_files_are_paired_by_name(tmp_path: Path):
    data = load(write(tmp_path, FILES), source="de", target="en")
    assert pairs(data, "train") == [("eins", "one"), ("zwei drei", "two three"), ("vier", "four")]
    assert pairs(data, "valid") == [("fünf", "five")]
    assert pairs(data, "test") == [("sieben", "seven"), ("sechs", "six")]
    assert data.notes == [
        f"Left out of {tmp_path.name}: notes.md",
        "Files in other languages, which are left out: train.fr",
        "Texts of train in which control characters became spaces: 1",
    ]
    assert data.description.startswith(f"folder {tmp_path.name}, de to en (train: train.de, train.en.gz")


def test_swapping_source_and_target_turns_the_direction_round(tmp_path: Path):
    write(tmp_path, FILES)
    there, back = load(tmp_path, source="de", target="en"), load(tmp_path, source="en", target="de")
    for split in ("train", "valid", "test"):
        assert pairs(back, split) == [pair[::-1] for pair in pairs(there, split)]


def test_a_split_in_other_languages_alone_is_none(tmp_path: Path):
    write(tmp_path, {"train.de": "eins\n", "train.en": "one\n", "test.fr": "un\n"})
    data = load(tmp_path, source="de", target="en")
    assert list(data.splits) == ["train"]
    assert data.notes == ["Files in other languages, which are left out: test.fr"]


@pytest.mark.parametrize("given", [{"source": "en"}, {"target": "de"}, {"source": "en", "target": "de"}])
def test_one_of_two_languages_tells_the_other(tmp_path: Path, given: dict[str, str]):
    write(tmp_path, {"train.de": "eins\n", "train.en": "one\n"})
    assert pairs(load(tmp_path, **given), "train") == [("one", "eins")]


@pytest.mark.parametrize("names", [("src", "tgt"), ("source", "target"), ("src", "trg")])
def test_names_that_say_the_direction_need_no_flags(tmp_path: Path, names: tuple[str, str]):
    write(tmp_path, {f"train.{names[1]}": "one\n", f"train.{names[0]}": "eins\n"})
    assert pairs(load(tmp_path), "train") == [("eins", "one")]


def test_files_without_a_split_are_cut(tmp_path: Path):
    write(
        tmp_path,
        {"de.txt": "".join(f"satz {n}\n" for n in range(10)), "en.txt": "".join(f"text {n}\n" for n in range(10))},
    )
    data = load(tmp_path, source="de", target="en", valid_fraction=0.2)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 8, "valid": 2}
    assert all(source[5:] == target[5:] for source, target in pairs(data, "valid"))


def test_a_pattern_may_name_parallel_files(tmp_path: Path):
    write(tmp_path, {"quay.de": "eins\n", "quay.en": "one\n", "bridge.de": "zwei\n"})
    data = load(f"{tmp_path}/quay.*", source="de", target="en")
    assert pairs(data, "train") == [("eins", "one")]
    assert data.description == "2 files quay.*, de to en"


def test_a_folder_of_tables(tmp_path: Path):
    write(
        tmp_path,
        {"train.tsv": "eins\tone\n", "dev.tsv.gz": "zwei\ttwo\n", "test.jsonl": '{"de": "drei", "en": "three"}'},
    )
    data = load(tmp_path)
    assert [pairs(data, split) for split in ("train", "valid", "test")] == [
        [("eins", "one")],
        [("zwei", "two")],
        [("drei", "three")],
    ]
    assert ", columns 1 to 2 and columns de to en (train: train.tsv" in data.description
    write(tmp_path, {"train.tsv": "eins\tone\tAnna\n", "dev.tsv.gz": "zwei\ttwo\tBo\n"})
    (tmp_path / "test.jsonl").unlink()
    assert pairs(load(tmp_path, source="2", target="1"), "valid") == [("two", "zwei")]


DE_EN = {"source": "de", "target": "en"}


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        (
            {"train.de": "eins\nzwei\ndrei\n", "train.en": "one\n"},
            DE_EN,
            r"train\.de has 3 lines and .*train\.en has 1: line 2 of train\.de \('zwei'\) is the first without",
        ),
        (
            {"train.de": "eins\n", "train.en": "one\ntwo\nthree"},
            DE_EN,
            r"train\.de has 1 lines and .*train\.en has 3: line 2 of train\.en \('two'\) is the first",
        ),
        ({"train.de": "", "train.en": "one\n"}, DE_EN, r"train\.de has 0 lines and .*has 1: line 1 of train\.en"),
        ({"train.de": "", "train.en": ""}, DE_EN, r"train\.de and .*train\.en are empty"),
        (
            {"train.de": "a\n", "train.en": "b\n"},
            {},
            "end in: de, en. Say which way to translate .* --source de --target en",
        ),
        (
            {"train.de": "a\n", "train.en": "b\n"},
            {"source": "fr"},
            r"--source is 'fr'\. The file names in .* end in: de, en\.",
        ),
        ({"train.de": "a\n", "train.en": "b\n"}, {"target": "fr", "source": "de"}, "--target is 'fr'"),
        ({"train.de": "a\n", "train.en": "b\n", "train.fr": "c\n"}, {"source": "fr"}, "Say which way to translate"),
        ({"train.txt": "a\n", "valid.txt": "b\n"}, {}, "end in: no language. Say which way"),
        ({"train.txt": "a\n"}, {}, r"train\.txt has one column, but a pair has two"),
        (
            {"train.de": "a\n", "train.en": "b\n", "val.en": "c\n"},
            DE_EN,
            r"val\.en has no partner that ends in 'de'\. Add it, or remove the file",
        ),
        ({"train.de": "a\n", "train.en": "b\n", "val.de": "c\n"}, DE_EN, r"val\.de has no partner that ends in 'en'"),
        ({"train.de": "a\n", "train.en": "b\n", "train.en.gz": "b\n"}, DE_EN, "is there unpacked as well"),
        ({"README.md": "a\n"}, DE_EN, r"holds no pairs\. Put in train\.en and train\.de"),
        (
            {"train.de": "a\n", "train.en": "b\n", "test.de": "\n", "test.en": "c\n"},
            DE_EN,
            r"test\.de, line 1 has an empty sou",
        ),
    ],
)
def test_faults_name_the_place_and_the_cure(tmp_path: Path, files: dict[str, str], options, message: str):
    write(tmp_path, files)
    with pytest.raises(DataError, match=message):
        load(tmp_path, **options)
