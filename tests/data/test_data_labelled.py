"""Labelled texts: the columns, the labels, the shares held out, and what is said about faults."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nlp_lstm.data import LabelledData, LabelledOptions, LabelledSplit, load_labelled
from nlp_lstm.errors import DataError, UsageError

ROWS = [("the soup was warm", "good"), ("the bread was stale", "bad"), ('"warm", she said', "good")]


def load(data: object, **options: object) -> LabelledData:
    return load_labelled(LabelledOptions(str(data), **options))


def whole(data: object, **options: object) -> LabelledSplit:
    """Load data without splits and hold nothing out."""
    return load(data, valid_fraction=0, test_fraction=0, **options).split("train")


def rows_of(split: LabelledSplit) -> list[tuple[str, str]]:
    return [(text, *labels) for text, labels in zip(split.texts, split.labels, strict=True)]


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "text,label\n" + "".join(f"{quoted(text)},{label}\n" for text, label in ROWS)),
        ("a.csv", "id,Review,Sentiment\n" + "".join(f"7,{quoted(text)},{label}\n" for text, label in ROWS)),
        ("a.csv", "headline,category\n" + "".join(f"{quoted(text)},{label}\n" for text, label in ROWS)),
        ("a.tsv", "sentence\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in ROWS)),
        ("a.tsv", "".join(f"{text}\t{label}\n" for text, label in ROWS)),
        ("a.csv", "".join(f"{label},{quoted(text)}\n" for text, label in ROWS)),
        ("a.txt", "".join(f"{label}\t{text}\r\n" for text, label in ROWS)),
        ("a.txt", "".join(f"{text}\t{label}\n\n" for text, label in ROWS)),
        ("a.txt", "".join(f"__label__{label} {text}\n" for text, label in ROWS)),
        ("a.jsonl", "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in ROWS)),
        ("a.jsonl", "".join(json.dumps({"stars": label, "body": text}) + "\n" for text, label in ROWS)),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_every_format_gives_the_same_texts_and_labels(tmp_path: Path, name: str, content: str, packed: bool):
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    split = whole(path)
    assert rows_of(split) == ROWS
    assert split.places[0].startswith(f"{path}, line ")
    assert len(split) == 3
    assert split.name == "train"


def test_parquet_gives_the_same(tmp_path: Path):
    texts, labels = zip(*ROWS, strict=True)
    pq.write_table(pa.table({"content": texts, "rating": labels}), tmp_path / "a.parquet")
    split = whole(tmp_path / "a.parquet")
    assert rows_of(split) == ROWS
    assert split.places[2] == f"{tmp_path / 'a.parquet'}, row 3"


def test_columns_may_be_named_or_numbered(tmp_path: Path):
    (tmp_path / "a.csv").write_text("title,text,label,mood\nA,x y,1,sad\nB,z,2,glad\n")
    assert rows_of(whole(tmp_path / "a.csv", text_field="title", label_field="mood")) == [("A", "sad"), ("B", "glad")]
    (tmp_path / "a.tsv").write_text("u1\tgood\tx y z\nu2\tbad\tx y\n")
    assert rows_of(whole(tmp_path / "a.tsv", text_field="3", label_field="2")) == [("x y z", "good"), ("x y", "bad")]
    assert rows_of(whole(tmp_path / "a.tsv", label_field="2")) == [("x y z", "good"), ("x y", "bad")]
    assert rows_of(whole(tmp_path / "a.tsv", text_field="2", label_field="1")) == [("good", "u1"), ("bad", "u2")]


def test_the_columns_are_told(tmp_path: Path):
    (tmp_path / "a.tsv").write_text("x y\t1\nz\t0\n")
    notes = load(tmp_path / "a.tsv", valid_fraction=0, test_fraction=0).notes
    assert notes == [
        "a.tsv has no line that names its columns: column 1 is taken for the text and column 2 for the label "
        "(--text-field and --label-field name others)"
    ]
    (tmp_path / "a.csv").write_text("review,stars\nx,1\nz,0\n")
    data = load(tmp_path / "a.csv", valid_fraction=0, test_fraction=0)
    assert data.notes[0].startswith("a.csv: column review is taken for the text and column stars for the label")
    assert data.description == "file a.csv"


def test_numbers_become_text_and_equal_numbers_equal_labels(tmp_path: Path):
    values = [4, 4.0, 4.5, True, "4 "]
    lines = [json.dumps({"text": "x", "label": value}) for value in values]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert whole(tmp_path / "a.jsonl").labels == [("4",), ("4",), ("4.5",), ("True",), ("4",)]


def test_several_labels_at_once(tmp_path: Path):
    (tmp_path / "a.jsonl").write_text('{"text": "x", "labels": ["joy", "awe"]}\n{"text": "y", "labels": ["joy"]}\n')
    assert whole(tmp_path / "a.jsonl").labels == [("joy", "awe"), ("joy",)]
    (tmp_path / "a.csv").write_text("text,tags\nx,joy| awe|\ny,joy\n")
    assert whole(tmp_path / "a.csv", label_separator="|").labels == [("joy", "awe"), ("joy",)]
    assert whole(tmp_path / "a.csv").labels == [("joy| awe|",), ("joy",)]
    (tmp_path / "a.txt").write_text("__label__joy __label__awe x y\n__label__joy z\n")
    split = whole(tmp_path / "a.txt")
    assert (split.texts, split.labels) == (["x y", "z"], [("joy", "awe"), ("joy",)])


def test_an_empty_list_among_lists_says_that_no_label_applies(tmp_path: Path):
    (tmp_path / "a.jsonl").write_text('{"text": "x", "labels": []}\n{"text": "y", "labels": ["joy"]}\n')
    assert whole(tmp_path / "a.jsonl").labels == [(), ("joy",)]
    (tmp_path / "a.csv").write_text("text,tags\nx,\ny,joy|awe\n")
    assert whole(tmp_path / "a.csv", label_separator="|").labels == [(), ("joy", "awe")]
    with pytest.raises(DataError, match=r"line 2 has no label"):
        whole(tmp_path / "a.csv")
    (tmp_path / "b.jsonl").write_text('{"text": "x", "labels": []}\n{"text": "y", "labels": []}\n')
    with pytest.raises(DataError, match=r"line 1 has no label, and so have 1 more"):
        whole(tmp_path / "b.jsonl")


@pytest.mark.parametrize("label", ["a\nb", "a\tb", "a\x1b[2J", "a\u2028b"])
def test_a_label_that_breaks_lines_is_refused(label: str, tmp_path: Path):
    lines = [{"text": "x", "label": "a"}, {"text": "y", "label": label}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(DataError, match=r"a\.jsonl, line 2: the label .* holds a line end, a tab or another control"):
        whole(tmp_path / "a.jsonl")


def test_quotes_in_tsv_are_text_where_they_enclose_nothing(tmp_path: Path):
    lines = ["text\tlabel", '"open and never closed\t1', "plain\t0", 'ends here"\t1', '"whole"\t0']
    (tmp_path / "a.tsv").write_text("\n".join(lines))
    assert whole(tmp_path / "a.tsv").texts == ['"open and never closed', "plain", 'ends here"', '"whole"']
    (tmp_path / "b.tsv").write_text('text\tlabel\n"two\nlines, ""tab\t"" too"\t1\nplain\t0\n')
    assert whole(tmp_path / "b.tsv").texts == ['two\nlines, "tab\t" too', "plain"]


def test_a_sorted_file_is_cut_in_equal_shares_of_each_label(tmp_path: Path):
    rows = [f"text {number},{label}\n" for label in ("bad", "good") for number in range(label == "good", 200, 2)]
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(rows))
    data = load(tmp_path / "a.csv", valid_fraction=0.1, test_fraction=0.2)
    sizes = {"train": 140, "valid": 20, "test": 40}
    assert {name: len(split) for name, split in data.splits.items()} == sizes
    for name, size in sizes.items():
        labels = data.split(name).labels
        assert labels == sorted(labels), "the order of the file"
        assert labels.count(("bad",)) == size / 2
    assert data.notes[1] == (
        "The training texts are split at random in equal shares of each label (seed 0): 140 texts are train, 20 texts "
        "are valid, 40 texts are test"
    )
    again = load(tmp_path / "a.csv", valid_fraction=0.1, test_fraction=0.2)
    assert [split.sha for split in data.splits.values()] == [split.sha for split in again.splits.values()]
    limited = load(tmp_path / "a.csv", valid_fraction=0.1, test_fraction=0.2, held_out_limit=10)
    assert {name: len(split) for name, split in limited.splits.items()} == {"train": 180, "valid": 10, "test": 10}


def test_a_file_may_be_the_test_alone(tmp_path: Path):
    (tmp_path / "a.csv").write_text("text,label\nx,1\ny,1\n")
    data = load(tmp_path / "a.csv", valid_fraction=0, test_fraction=1)
    assert list(data.splits) == ["test"]
    assert data.split("test").texts == ["x", "y"]
    with pytest.raises(DataError, match=r"file a\.csv has no train split, only: test"):
        data.split("train")
    with pytest.raises(UsageError, match="no split named 'dev'"):
        data.split("dev")


def test_the_digest_follows_texts_labels_and_borders():
    splits = [
        LabelledSplit("train", ["ab", "c"], [("x",), ("y",)], ["", ""]),
        LabelledSplit("train", ["a", "bc"], [("x",), ("y",)], ["", ""]),
        LabelledSplit("train", ["ab", "c"], [("y",), ("x",)], ["", ""]),
        LabelledSplit("train", ["ab", "c"], [("x", "y"), ("y",)], ["", ""]),
        LabelledSplit("train", ["ab", "c"], [("xy",), ("y",)], ["", ""]),
    ]
    assert len({split.sha for split in splits}) == 5
    assert splits[0].sha == LabelledSplit("test", ["ab", "c"], [("x",), ("y",)], ["here", "there"]).sha


GOOD = "text,label\nx,1\ny,0\n"


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({"a.csv": "text,label\nx,1\n ,0\ny,0\n,1\n"}, {}, "line 3 has a label, but no text, and so have 1 more"),
        ({"a.csv": "text,label\nx,1\ny,\n"}, {}, r"line 3 has no label\. Give it one or remove it.*--label-field"),
        ({"a.jsonl": '{"text": "x", "label": "1"}\n{"text": "y", "label": null}'}, {}, "line 2 has no label"),
        ({"a.jsonl": '{"text": "x", "label": "1"}\n{"text": "y", "label": []}'}, {}, "line 2 has no label"),
        ({"a.jsonl": '{"text": "x", "label": NaN}\n{"text": "y", "label": 1}'}, {}, "line 1 has no label"),
        ({"a.jsonl": '{"text": "x", "label": {"a": 1}}'}, {}, r"line 1: the label is \{'a': 1\}, but text or a number"),
        ({"a.jsonl": '{"text": "x", "label": 1}\n{"text": 5, "label": 1}'}, {}, "line 2: column 'text' holds 5 where"),
        ({"a.jsonl": '{"text": "x", "label": 1}\n{"text": "y"}'}, {}, "line 2 has no 'label'; it has: text.*--label-f"),
        ({"a.jsonl": '{"text": "x", "label": 1}\n{"label": 1}'}, {}, "line 2 has no 'text'; it has: label.*--text-f"),
        ({"a.csv": "text,label\nx,1\ny,1\n"}, {}, "All 2 training texts of .* have the label '1': two labels at least"),
        ({"a.csv": 'text,label\nx,1\n"y,0\nz,1\n'}, {}, "record that starts at line 3: .*A quote inside a quoted"),
        ({"a.csv": "text,label\nx,1\ny\n"}, {}, "line 3 has 1 column, but the first line has 2: text, label"),
        ({"a.tsv": "x\t1\ny\t1\nz\n"}, {}, "line 3 has 1 column, but the first line has 2: 1, 2"),
        ({"a.csv": GOOD}, {"label_field": "stars"}, r"no column 'stars'\. Its columns: text, label\. .*--label-field"),
        ({"a.csv": GOOD}, {"text_field": "body"}, r"no column 'body'\. Its columns: text, label\. .*--text-field"),
        ({"a.csv": "1,x\n2,y\n"}, {"label_field": "3"}, r"no column '3'\. Its columns: 1, 2\. .*--label-field"),
        ({"a.csv": "1,x\n2,y\n"}, {"text_field": "9"}, r"no column '9'\. .*--text-field"),
        ({"a.csv": "a,b,c\nx,y,z\n"}, {}, r"not clear which column of .* holds the label\. Its columns: a, b, c"),
        (
            {"a.csv": "a,b,label\nx,y,z\n"},
            {},
            r"not clear which column of .* holds the text\. Its columns: a, b, label\.",
        ),
        ({"a.csv": "text,label\n"}, {}, r"a\.csv holds no texts"),
        ({"a.csv": ""}, {}, r"a\.csv is empty: it holds no records"),
        ({"a.csv": "x\n1\n1\n"}, {}, "has only one column, but a text and its label are two"),
        ({"a.txt": "__label__x one\n__label__y two\nthree\n"}, {}, r"a\.txt, line 3 has no label"),
        ({"a.txt": "plain text\nand more\n"}, {}, r"a\.txt has no label: .*__label__x text"),
        (
            {"a.csv": "text,id\n" + "".join(f"x {n},{n}\n" for n in range(60))},
            {"label_field": "id"},
            "60 labels for 60",
        ),
        (
            {"train.csv": GOOD, "test.csv": "text,label\nx,1\ny,2\n"},
            {"valid_fraction": 0},
            r"test\.csv, line 3 has the label '2', which no training text has; those have: 0, 1\. Mend the label",
        ),
        ({"train.csv": GOOD, "dev.csv": "text,label\nx,7\n"}, {}, r"dev\.csv, line 2 has the label '7'"),
        ({"train.csv": GOOD, "test.csv": "text,stars\nx,1\n"}, {}, r"test\.csv has no column 'label'"),
        ({"train.csv": GOOD}, {}, r"too short to split: of its 2 texts, none is left for valid"),
    ],
)
def test_faults_name_the_place_and_the_cure(tmp_path: Path, files: dict[str, str], options, message: str):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    single = not any(name.startswith("train") for name in files)
    if single:
        options = {"valid_fraction": 0, "test_fraction": 0} | options
    with pytest.raises(DataError, match=message):
        load(tmp_path / next(iter(files)) if single else tmp_path, **options)


def test_many_labels_that_are_unknown_are_not_all_listed(tmp_path: Path):
    rows = "".join(f"text {number},{number % 25}\n" for number in range(100))
    (tmp_path / "train.csv").write_text("text,label\n" + rows)
    (tmp_path / "test.csv").write_text("text,label\nx,new\n")
    with pytest.raises(DataError, match=r"those have: 0, 1, 10, .* and 5 more\."):
        load(tmp_path, valid_fraction=0)


def test_a_held_out_split_without_any_label_is_left_out(tmp_path: Path):
    (tmp_path / "train.csv").write_text(GOOD)
    (tmp_path / "valid.csv").write_text("text,label\nx,1\n")
    (tmp_path / "test.csv").write_text("text,label\nx,\ny,\n")
    data = load(tmp_path)
    assert list(data.splits) == ["train", "valid"]
    assert "The test split is left out, since none of its 2 texts has a label" in data.notes
