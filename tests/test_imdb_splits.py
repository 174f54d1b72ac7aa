"""Reviews held out as they stand together: the last of each label, and nothing lost."""

from __future__ import annotations

import gzip
import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nlp_lstm.data import DataOptions, LabelledOptions, load_labelled, load_text

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
# Film d is cut by the boundary, film c has all of its reviews held out of label 0 alone.
FILMS = {1: "aaaaabbbbbcccccddddd", 0: "aabbbbbdddddccccc"}
REVIEWS = [(label, film, number) for label, films in FILMS.items() for number, film in enumerate(films)]
HELD_OUT = [one for one in REVIEWS if one[2] >= len(FILMS[one[0]]) - 4]


@pytest.fixture
def converter(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("_imdb_splits")


def review(label: int, film: str, number: int) -> dict[str, Any]:
    # U+0085 ends a line for str.splitlines, and stands in reviews.
    return {"id": f"{number}_{film}", "label": label, "rating": 9, "text": f"film {film}\x85seen  {number} {label}"}


def arguments(folder: Path, packed: bool = False, held_out: int = 4) -> list[str]:
    content = "".join(json.dumps(review(*one), ensure_ascii=False) + "\n" for one in REVIEWS).encode()
    path = folder / ("train.jsonl.gz" if packed else "train.jsonl")
    path.write_bytes(gzip.compress(content) if packed else content)
    (folder / "test.jsonl").write_text(json.dumps(review(1, "e", 0)) + "\n", encoding="utf-8")
    return [str(path), "--test", str(folder / "test.jsonl"), "--out", str(folder / "out"), "--held-out", str(held_out)]


@pytest.mark.parametrize("packed", [False, True])
def test_the_last_of_each_label_are_held_out(converter: ModuleType, packed: bool, tmp_path: Path) -> None:
    assert converter.main(arguments(tmp_path, packed)) == 0
    splits = load_labelled(LabelledOptions(str(tmp_path / "out"))).splits
    found = {name: sorted(zip(split.texts, split.labels, strict=True)) for name, split in splits.items()}
    kept = [one for one in REVIEWS if one not in HELD_OUT]
    for name, expected in (("train", kept), ("valid", HELD_OUT), ("test", [(1, "e", 0)])):
        assert found[name] == sorted((review(*one)["text"], (str(one[0]),)) for one in expected)
    assert list(splits["train"].texts) != [review(*one)["text"] for one in kept], "shuffled"


def test_the_text_alone_is_a_line_a_review(converter: ModuleType, tmp_path: Path) -> None:
    converter.main(arguments(tmp_path))
    lines = (tmp_path / "out" / "text" / "valid.txt").read_text(encoding="utf-8").split("\n")
    assert sorted(lines) == sorted(["", *(f"film {film} seen {number} {label}" for label, film, number in HELD_OUT)])
    data = load_text(DataOptions(str(tmp_path / "out" / "text")))
    assert "".join(data.split("train")).count("\n") == len(REVIEWS) - len(HELD_OUT)


@pytest.mark.parametrize("held_out", [0, 17])
def test_a_share_that_leaves_nothing_is_refused(converter: ModuleType, held_out: int, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=f"--held-out {held_out} must be at least 1 and leave reviews of each label"):
        converter.main(arguments(tmp_path, held_out=held_out))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("broken", ["{", "[1]", '{"text": "no label"}'])
@pytest.mark.parametrize("name", ["train", "test"])
def test_a_broken_line_is_named_and_leaves_nothing(
    converter: ModuleType, name: str, broken: str, tmp_path: Path
) -> None:
    call = arguments(tmp_path)
    with (tmp_path / f"{name}.jsonl").open("a", encoding="utf-8") as file:
        file.write(broken)
    number = len(REVIEWS) + 1 if name == "train" else 2
    with pytest.raises(SystemExit, match=rf"{name}\.jsonl, line {number}: no JSON object with text and label\."):
        converter.main(call)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_there_is_left_alone(
    converter: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(SystemExit):
        converter.main(arguments(tmp_path))
    assert "is there already. Name a new folder." in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())
