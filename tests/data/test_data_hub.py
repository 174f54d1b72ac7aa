"""Hub data sets, on files that `datasets` opens by their path: no test here touches the network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nlp_lstm.data import (
    DataOptions,
    LabelledOptions,
    PairOptions,
    TextData,
    _named,
    load_labelled,
    load_pairs,
    load_text,
)
from nlp_lstm.data._hub import looks_like_hub_id
from nlp_lstm.errors import DataError

pytestmark = pytest.mark.usefixtures("hub")


def write(folder: Path, split: str, **columns: list[object]) -> None:
    pq.write_table(pa.table(columns), folder / f"{split}.parquet")


def load(folder: Path, **options: object) -> TextData:
    return load_text(DataOptions(str(folder), **options))


def test_splits_and_text_column_are_found(hub: Path):
    texts = [f"text {number}" for number in range(600)]
    write(hub, "train", label=list(range(600)), text=texts)
    write(hub, "validation", label=[1], text=["v"])
    write(hub, "test", label=[1], text=["t"])
    data = load(hub)
    assert [list(data.split(name)) for name in ("train", "valid", "test")] == [texts, ["v"], ["t"]]
    assert list(data.split("train")) == texts
    assert data.split("train").ends_with_eos
    assert data.description == f"hub data set {hub} (column text)"
    assert data.notes == []


def test_only_training_data_is_split_by_position(hub: Path):
    write(hub, "train", body=[str(number) for number in range(10)], title=["x"] * 10)
    data = load(hub, text_field="body", valid_fraction=0.2, test_fraction=0.1)
    assert [len(list(data.split(name))) for name in ("train", "valid", "test")] == [7, 2, 1]
    with pytest.raises(DataError, match=r"\(train\) has no column 'words'\. Its columns: body, title"):
        load(hub, text_field="words")


def test_a_row_without_text_is_named(hub: Path):
    write(hub, "train", text=["a", None, "c"])
    with pytest.raises(DataError, match=r"\(train\), row 2: column 'text' holds nothing"):
        load(hub)


def test_splits_of_other_names_are_told(monkeypatch: pytest.MonkeyPatch):
    rows = datasets.Dataset.from_dict({"text": ["a"]})
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: {"train": rows, "valid": rows, "unsupervised": rows})
    assert load(Path("owner/name")).notes == ["Splits of owner/name that are left out: unsupervised"]
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: {"unsupervised": rows})
    with pytest.raises(DataError, match="has no train, valid or test split, only: unsupervised"):
        load(Path("owner/name"))


def test_a_configuration_follows_a_colon(monkeypatch: pytest.MonkeyPatch):
    asked = []

    def record(name: str, configuration: str | None) -> dict[str, datasets.Dataset]:
        asked.append((name, configuration))
        return {"test": datasets.Dataset.from_dict({"text": ["a"]})}

    monkeypatch.setattr(datasets, "load_dataset", record)
    load(Path("owner/name:small"))
    load(Path("owner/name"))
    assert asked == [("owner/name", "small"), ("owner/name", None)]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (datasets.exceptions.DatasetNotFoundError("x"), "the hub has no such data set, or it is not public"),
        (ConnectionError("no route\nmore"), r"the hub cannot be reached: no route\)"),
        (ValueError("bad file"), r"failed \(bad file\)"),
        (RuntimeError(""), r"failed \(RuntimeError\)"),
        (
            ValueError("Config name is missing.\nPlease pick one among the available configs: ['a', 'b']"),
            r"owner/name has several configurations; name one as --data owner/name:CONFIGURATION\. .*\['a', 'b'\]",
        ),
    ],
)
def test_every_failure_says_what_to_do(monkeypatch: pytest.MonkeyPatch, error: Exception, message: str):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match=message) as caught:
        load(Path("owner/name"))
    assert "--data FILE" in str(caught.value) or "--data owner/name:" in str(caught.value)


def test_several_configurations_are_listed_by_datasets_itself(hub: Path):
    small = "- config_name: small\n  data_files: a.parquet\n"
    large = "- config_name: large\n  data_files: b.parquet\n"
    (hub / "README.md").write_text(f"---\nconfigs:\n{small}{large}---\n")
    write(hub, "a", text=["a"])
    write(hub, "b", text=["b"])
    with pytest.raises(DataError, match=r"several configurations.*small.*large"):
        load(hub)
    assert list(load_text(DataOptions(f"{hub}:large", valid_fraction=0, test_fraction=0)).split("train")) == ["b"]


def test_offline_is_one_sentence_and_asks_no_network(tmp_path: Path):
    code = """
from nlp_lstm.data import DataOptions, load_text
from nlp_lstm.errors import DataError
import sys
try:
    load_text(DataOptions("owner/no-such-set"))
except DataError as error:
    print(error)
"""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.startswith(
        "owner/no-such-set is no file or folder here, and loading it from the Hugging Face hub"
    )
    assert "--data FILE" in result.stdout
    assert result.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "is_id"),
    [
        ("owner/name", True),
        ("owner/na.me-2:wiki-v1", True),
        ("name", False),
        ("./name", False),
        ("../name", False),
        ("a/b/c", False),
        ("/name", False),
    ],
)
def test_what_looks_like_a_hub_id(name: str, is_id: bool):
    assert looks_like_hub_id(name) is is_id


def test_a_missing_file_is_not_looked_up_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts").mkdir()
    assert not _named._is_hub_id("texts/novel")
    assert not _named._is_hub_id("elsewhere/novel.txt")
    assert _named._is_hub_id("owner/novel")
    assert "datasets" not in vars(_named)


def test_the_names_behind_the_numbers_of_labels_are_told(monkeypatch: pytest.MonkeyPatch):
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    train = datasets.Dataset.from_dict({"text": ["a", " ", "b", "c"], "label": [1, 0, 0, 1]}, features)
    test = datasets.Dataset.from_dict({"text": ["d"], "label": [-1]}, features)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: {"train": train, "validation": train, "test": test})
    data = load_labelled(LabelledOptions("owner/name"))
    assert data.split("train").texts == ["a", "b", "c"]
    assert data.split("train").labels == [("good",), ("bad",), ("good",)]
    assert list(data.splits) == ["train", "valid"]
    assert data.notes == [
        "Texts of train that are left out, since they are blank: 1 (owner/name (train), row 2)",
        "Texts of valid that are left out, since they are blank: 1 (owner/name (validation), row 2)",
        "The test split is left out, since none of its 1 texts has a label",
    ]
    assert data.description == "hub data set owner/name (columns text and label)"


def test_several_labels_of_a_hub_set_have_names_as_well(monkeypatch: pytest.MonkeyPatch):
    label = datasets.ClassLabel(names=["joy", "awe"])
    features = datasets.Features({"text": datasets.Value("string"), "feelings": datasets.List(label)})
    rows = datasets.Dataset.from_dict({"text": ["a", "b"], "feelings": [[0, 1], [1]]}, features)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: {"train": rows})
    data = load_labelled(LabelledOptions("owner/name", valid_fraction=0, test_fraction=0))
    assert data.split("train").labels == [("joy", "awe"), ("awe",)]


def test_the_only_column_with_named_labels_is_the_label(monkeypatch: pytest.MonkeyPatch):
    kinds = {
        "text": datasets.Value("string"),
        "group": datasets.Value("int64"),
        "kind": datasets.ClassLabel(names=["x", "y"]),
    }
    rows = datasets.Dataset.from_dict({"text": ["a", "b"], "group": [1, 2], "kind": [0, 1]}, datasets.Features(kinds))
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: {"test": rows})
    assert load_labelled(LabelledOptions("owner/name")).split("test").labels == [("x",), ("y",)]


def test_pairs_in_a_translation_column_or_in_two(monkeypatch: pytest.MonkeyPatch):
    rows = datasets.Dataset.from_dict({"id": ["1"], "translation": [{"de": "eins", "en": "one"}]})
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: {"train": rows, "validation": rows})
    there, back = load_pairs(PairOptions("owner/name:de-en")), load_pairs(PairOptions("owner/name", source="en"))
    assert (there.split("train").sources, there.split("valid").targets) == (["eins"], ["one"])
    assert (back.split("train").sources, back.split("valid").targets) == (["one"], ["eins"])
    assert there.description == "hub data set owner/name:de-en, de to en"
    rows = datasets.Dataset.from_dict({"number": [1], "article": ["long text"], "highlights": ["text"]})
    data = load_pairs(PairOptions("owner/name"))
    assert data.split("train").sources == ["long text"]
    assert data.description == "hub data set owner/name, columns article to highlights"
    with pytest.raises(
        DataError, match=r"owner/name \(train\) has no column 'fr'\. It has: number, article, highlights"
    ):
        load_pairs(PairOptions("owner/name", source="fr"))
