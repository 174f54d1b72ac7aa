"""Sentiment trees as labelled phrases: ratings, votes, and the look of the held-out texts."""

from __future__ import annotations

import gzip
import importlib
from pathlib import Path
from types import ModuleType

import pytest

from nlp_lstm.data import LabelledOptions, load_labelled

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
TREES = """(4 (3 (2 A) (4 first-rate)) (2 supper))
(1 (1 (2 Never) (4 (2 a) (3 treat))) (2 .))
(0 (2 a) (0 treat))
(3 (2 a) (3 treat))

"""
VALID = "a warm supper , served with care\t1\nnever again , from first to last\t0\n"


@pytest.fixture
def converter(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("_sst_phrases")


def arguments(folder: Path, trees: str, packed: bool = False) -> list[str]:
    path = folder / ("trees.txt.gz" if packed else "trees.txt")
    path.write_bytes(gzip.compress(trees.encode()) if packed else trees.encode())
    for name in ("valid", "test"):
        (folder / f"{name}.txt").write_text(VALID, encoding="utf-8")
    held_out = ["--valid", str(folder / "valid.txt"), "--test", str(folder / "test.txt")]
    return [str(path), *held_out, "--out", str(folder / "out")]


@pytest.mark.parametrize("packed", [False, True])
def test_phrases_have_the_label_that_most_have(converter: ModuleType, packed: bool, tmp_path: Path) -> None:
    assert converter.main(arguments(tmp_path, TREES, packed)) == 0
    # "treat" alone: 3, 0 and 3; "a treat": 4, 0 and 3; what is rated 2, such as "supper", is none.
    expected = ["a first rate\t1", "first rate\t1", "a first rate supper\t1", "treat\t1", "a treat\t1"]
    expected += ["never a treat\t0"]
    assert sorted((tmp_path / "out" / "train.tsv").read_text().splitlines()) == sorted(expected)
    data = load_labelled(LabelledOptions(str(tmp_path / "out")))
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 6, "valid": 2, "test": 2}


def test_a_draw_has_no_label(converter: ModuleType, tmp_path: Path) -> None:
    converter.main(arguments(tmp_path, "(1 (2 a) (3 treat))\n(3 (2 a) (2 treat))\n"))
    assert (tmp_path / "out" / "train.tsv").read_text() == "treat\t1\n"


def test_held_out_texts_are_never_trained_on(converter: ModuleType, tmp_path: Path) -> None:
    call = arguments(tmp_path, "(3 (4 (2 warm) (3 supper)) (4 joy))\n")
    (tmp_path / "test.txt").write_text("Warm supper\t1\nsad\t0\n", encoding="utf-8")
    (tmp_path / "valid.txt").write_text(f"{VALID}joy\t1\n", encoding="utf-8")
    converter.main(call)
    assert (tmp_path / "out" / "train.tsv").read_text() == "supper\t1\nwarm supper joy\t1\n"


def test_capitals_stay_where_the_held_out_texts_have_some(converter: ModuleType) -> None:
    assert converter.cleaner(["A b"])("A-b ABBA") == "A b A A"
    assert converter.cleaner(["a b"])("A-b ABBA") == "a b abba"


def test_clitics_are_joined_everywhere_where_that_is_asked_for(converter: ModuleType, tmp_path: Path) -> None:
    call = arguments(tmp_path, "(3 (1 (2 Is) (1 n't)) (4 (2 it) (3 (2 's) (3 gain))))\n")
    (tmp_path / "valid.txt").write_text("we'll see , it 's 'strange ' , is n't it 's\t1\n", encoding="utf-8")
    assert converter.main([*call, "--join-clitics"]) == 0
    lines = (tmp_path / "out" / "train.tsv").read_text().splitlines()
    assert set(lines) == {"isn't\t0", "n't\t0", "gain\t1", "it's gain\t1", "'s gain\t1", "isn't it's gain\t1"}
    assert (tmp_path / "out" / "valid.tsv").read_text() == "we'll see , it's 'strange ' , isn't it's\t1\n"


def test_a_folder_that_is_there_is_refused_before_anything_is_read(
    converter: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(SystemExit) as stopped:
        converter.main(arguments(tmp_path, "no tree"))
    assert stopped.value.code == 2
    assert f"--out {tmp_path / 'out'} is there already. Name a new folder." in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("line", ["(3 (2 a)", "a", "3 a)", "(x a)", "()"])
def test_what_is_no_tree_names_the_line(converter: ModuleType, line: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="line 2: no tree such as"):
        converter.main(arguments(tmp_path, f"(3 joy)\n{line}\n"))
    assert not (tmp_path / "out").exists()
