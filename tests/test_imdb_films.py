"""Reviews held out film by film: the last of each label, and nothing lost."""

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
FILMS = [(label, film, number) for label in (1, 0) for film in "abcd" for number in range(5)]


@pytest.fixture
def converter(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("_imdb_films")


def review(label: int, film: str, number: int) -> dict[str, Any]:
    # U+0085 ends a line for str.splitlines, and stands in reviews.
    return {"id": f"{number}_{film}", "label": label, "rating": 9, "text": f"film {film}\x85seen  {number} {label}"}


def arguments(folder: Path, packed: bool = False, held_out: int = 5) -> list[str]:
    content = "".join(json.dumps(review(*one), ensure_ascii=False) + "\n" for one in FILMS).encode()
    path = folder / ("train.jsonl.gz" if packed else "train.jsonl")
    path.write_bytes(gzip.compress(content) if packed else content)
    (folder / "test.jsonl").write_text(json.dumps(review(1, "e", 0)) + "\n", encoding="utf-8")
    return [str(path), "--test", str(folder / "test.jsonl"), "--out", str(folder / "out"), "--held-out", str(held_out)]


@pytest.mark.parametrize("packed", [False, True])
def test_whole_films_are_held_out_of_each_label(converter: ModuleType, packed: bool, tmp_path: Path) -> None:
    assert converter.main(arguments(tmp_path, packed)) == 0
    splits = load_labelled(LabelledOptions(str(tmp_path / "out"))).splits
    found = {name: sorted(zip(split.texts, split.labels, strict=True)) for name, split in splits.items()}
    for name, films in (("train", "abc"), ("valid", "d")):
        expected = [review(*one) for one in FILMS if one[1] in films]
        assert found[name] == sorted((one["text"], (str(one["label"]),)) for one in expected)
    assert [text for text, _ in found["test"]] == ["film e\x85seen  0 1"]
    assert list(splits["train"].texts) != [review(*one)["text"] for one in FILMS if one[1] in "abc"], "shuffled"


def test_the_text_alone_is_a_line_a_review(converter: ModuleType, tmp_path: Path) -> None:
    converter.main(arguments(tmp_path))
    lines = (tmp_path / "out" / "text" / "valid.txt").read_text(encoding="utf-8").split("\n")
    assert sorted(lines) == sorted(["", *(f"film d seen {number} {label}" for number in range(5) for label in (0, 1))])
    data = load_text(DataOptions(str(tmp_path / "out" / "text")))
    assert "".join(data.split("train")).count("\n") == 30


@pytest.mark.parametrize("held_out", [0, 20])
def test_a_share_that_leaves_nothing_is_refused(converter: ModuleType, held_out: int, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=f"--held-out {held_out} must be at least 1 and leave reviews of each label"):
        converter.main(arguments(tmp_path, held_out=held_out))
    assert not (tmp_path / "out").exists()
