"""Pairs: which columns, both directions, shares held out without a leak, and filters that say what they drop."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nlp_lstm.data import PairData, PairOptions, PairSplit, load_pairs
from nlp_lstm.data._pair_filters import Pair, filter_pairs, replace_control_characters
from nlp_lstm.errors import DataError, UsageError

PAIRS = [
    ("Das Boot fährt.", "The boat leaves."),
    ("Guten Tag!", 'He said "hello".'),
    ("Wir warten hier.", "We wait here."),
]


def load(data: object, **options: object) -> PairData:
    return load_pairs(PairOptions(str(data), **options))


def pairs_of(split: PairSplit) -> list[tuple[str, str]]:
    return list(zip(split.sources, split.targets, strict=True))


def whole(data: object, **options: object) -> list[tuple[str, str]]:
    """Load data without splits, hold nothing out and drop no pair for its length."""
    shares = {"valid_fraction": 0, "test_fraction": 0, "max_ratio": 0}
    return pairs_of(load(data, **shares | options).split("train"))


def table(rows: list[tuple[str, ...]], delimiter: str = "\t") -> str:
    return "".join(delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n" for row in rows)


def lines(*names: str) -> str:
    return "".join(json.dumps(dict(zip(names, pair, strict=True))) + "\n" for pair in PAIRS)


@pytest.mark.parametrize(
    ("name", "content", "sides"),
    [
        ("a.txt", "".join(f"{source}\t{target}\n" for source, target in PAIRS), ("1", "2")),
        ("a.txt", "".join(f"{source}\t{target}\tby us\r\n" for source, target in PAIRS), ("1", "2")),
        ("a.tsv", "".join(f"{source}\t{target}\n" for source, target in PAIRS), ("1", "2")),
        ("a.tsv", table([("de", "en"), *PAIRS]), ("de", "en")),
        ("a.csv", table([("German", "English"), *PAIRS], ","), ("German", "English")),
        ("a.csv", table([("de_DE", "en-GB"), *PAIRS], ","), ("de_DE", "en-GB")),
        ("a.csv", table([("n", "source", "target"), *[("1", *pair) for pair in PAIRS]], ","), ("source", "target")),
        ("a.jsonl", lines("source", "target"), ("source", "target")),
        ("a.jsonl", lines("Frage", "Antwort"), ("Frage", "Antwort")),
        (
            "a.jsonl",
            "".join(json.dumps({"translation": {"de": source, "en": target}}) + "\n" for source, target in PAIRS),
            ("de", "en"),
        ),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_every_format_gives_the_same_pairs_and_turns_round(tmp_path: Path, name, content: str, sides, packed: bool):
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    reverse = [pair[::-1] for pair in PAIRS]
    assert whole(path) == PAIRS
    assert whole(path, source=sides[0], target=sides[1]) == PAIRS
    assert whole(path, source=sides[1], target=sides[0]) == reverse
    if name != "a.txt" or "by us" not in content:
        assert whole(path, source=sides[1]) == whole(path, target=sides[0]) == reverse


def test_parquet_gives_the_same(tmp_path: Path):
    sources, targets = zip(*PAIRS, strict=True)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": [1, 2, 3], "deu": sources, "eng": targets}), path)
    assert whole(path) == PAIRS
    pq.write_table(pa.table({"translation": [{"de": source, "en": target} for source, target in PAIRS]}), path)
    assert whole(path, source="en", target="de") == [pair[::-1] for pair in PAIRS]
    assert load(path, valid_fraction=0, test_fraction=0).description == "file a.parquet, de to en"


def test_a_translation_column_without_rows_is_refused(tmp_path: Path):
    languages = pa.struct([("de", pa.string()), ("en", pa.string())])
    pq.write_table(pa.table({"translation": pa.array([], languages)}), tmp_path / "a.parquet")
    with pytest.raises(
        DataError, match=r"not clear which two columns of .*a\.parquet are the pair\. It has: translation"
    ):
        load(tmp_path / "a.parquet")


def test_a_header_that_nobody_knows_is_found_when_it_is_asked_for(tmp_path: Path):
    (tmp_path / "a.tsv").write_text(table([("Sissel", "Tove"), *PAIRS]))
    assert whole(tmp_path / "a.tsv") == [("Sissel", "Tove"), *PAIRS]
    assert whole(tmp_path / "a.tsv", source="Tove") == [pair[::-1] for pair in PAIRS]


def test_usual_columns_go_before_others(tmp_path: Path):
    record = {"title": "T", "summary": "short", "text": "a long text"}
    (tmp_path / "a.jsonl").write_text(json.dumps(record))
    assert whole(tmp_path / "a.jsonl") == [("a long text", "short")]
    assert whole(tmp_path / "a.jsonl", source="title", target="text") == [("T", "a long text")]


def test_a_single_file_is_cut_evenly_and_equal_sources_stay_together(tmp_path: Path):
    rows = [(f"satz {number // 3}", f"sentence {number}") for number in range(300)]
    (tmp_path / "a.txt").write_text("".join(f"{source}\t{target}\n" for source, target in rows))
    data = load(tmp_path / "a.txt", valid_fraction=0.1, test_fraction=0.1, max_ratio=0)
    splits = [pairs_of(split) for split in data.splits.values()]
    assert list(data.splits) == ["train", "valid", "test"]
    assert [len(split) for split in splits] == [240, 30, 30]
    sources = [{source for source, _ in split} for split in splits]
    assert sum(map(len, sources)) == len(set.union(*sources)) == 100
    assert sorted(splits[0] + splits[1] + splits[2]) == sorted(rows)
    assert data.notes == [
        "The training pairs are split by position, at even distances and equal sources together: 240 pairs are train, "
        "30 pairs are valid, 30 pairs are test"
    ]
    assert data.description == "file a.txt, columns 1 to 2"


def test_filters_are_for_training_alone_and_each_says_what_it_drops(tmp_path: Path):
    fine = [(f"{word} eins zwei", f"{word} one two") for word in ("rot", "blau", "gelb")]
    bad = [("", "x"), ("nur", "two words"), ("a b c d e f", "g h i"), ("so lang ist das hier nicht", "a b c"), fine[0]]
    long = ("kurz und gut", "endless " + "x" * 100 + " words")
    for name, pairs in (("train", [*fine, *bad, long]), ("test", [*fine, *bad[1:], long])):
        (tmp_path / f"{name}.de").write_text("".join(f"{source}\n" for source, _ in pairs))
        (tmp_path / f"{name}.en").write_text("".join(f"{target}\n" for _, target in pairs))
    options = {"source": "de", "target": "en", "min_words": 2, "max_words": 5, "valid_fraction": 0}
    data = load(tmp_path, **options)
    assert pairs_of(data.split("train")) == fine
    assert pairs_of(data.split("test")) == [*fine, *bad[1:], long]
    assert data.notes == [
        "1 of 9 training pairs are dropped, since a side is empty",
        "1 of 8 training pairs are dropped, since a side has fewer than 2 words",
        "2 of 7 training pairs are dropped, since a side has more than 5 words",
        "1 of 5 training pairs are dropped, since one side is more than 4 times as long as is usual for the other",
        "1 of 4 training pairs are dropped, since they are there before",
    ]
    everything = load(tmp_path, source="de", target="en", max_words=0, max_ratio=0, deduplicate=False, valid_fraction=0)
    assert pairs_of(everything.split("train")) == [*fine, *bad[1:], long]


def test_the_ratio_is_relative_to_what_the_languages_usually_have():
    pairs = [Pair("x" * 100, "y" * 25, "") for _ in range(9)]
    notes: list[str] = []
    assert filter_pairs([*pairs, Pair("x" * 100, "y" * 150, "")], PairOptions("a", deduplicate=False), notes) == pairs
    assert len(notes) == 1
    assert (
        filter_pairs([*pairs, Pair("no", "y" * 3, "")], PairOptions("a", deduplicate=False), notes)[-1].source == "no"
    )


def test_equal_targets_of_other_sources_are_no_duplicates():
    pairs = [Pair("a", "x", ""), Pair("b", "x", ""), Pair("a", "y", ""), Pair("a", "x", "later")]
    assert filter_pairs(pairs, PairOptions("a"), []) == pairs[:3]


def test_control_characters_become_spaces_and_are_counted():
    pairs = [Pair("a\x07b", "c\u2028d\x85e", ""), Pair("f\tg", "h", ""), Pair("i \u200d", "\u00e9\u0301", "")]
    notes: list[str] = []
    clean = replace_control_characters("test", pairs, notes)
    assert [pair[:2] for pair in clean] == [("a b", "c d e"), ("f g", "h"), ("i \u200d", "\u00e9\u0301")]
    assert notes == ["Texts of test in which control characters became spaces: 3"]
    assert replace_control_characters("test", clean, notes) == clean
    assert len(notes) == 1


def test_the_digest_follows_the_pairs():
    splits = [PairSplit("train", ["a", "b"], ["c", "d"]), PairSplit("train", ["b", "a"], ["d", "c"])]
    turned = PairSplit("train", ["c", "d"], ["a", "b"])
    assert len({split.sha for split in (*splits, turned)}) == 3
    assert splits[0].sha == PairSplit("test", ["a", "b"], ["c", "d"]).sha
    assert len(turned) == 2


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("a.txt", "x\ty\nz\n", {}, "line 2 has 1 column, but the first line has 2: 1, 2"),
        ("a.txt", "x y\nz\n", {}, r"a\.txt has one column, but a pair has two\. Put a tab between .*train\.en"),
        ("a.txt", "", {}, r"a\.txt is empty: it holds no records"),
        ("a.tsv", "de\ten\n", {}, r"a\.tsv holds no pairs"),
        (
            "a.txt",
            "x\ty\n",
            {"source": "de"},
            r"no column 'de'\. No line names its columns, so they are: 1, 2\. Name two",
        ),
        (
            "a.csv",
            "de,en\nx,y\n",
            {"target": "fr"},
            r"no column 'fr'\. It has: de, en\. Name two of them with --source",
        ),
        (
            "a.csv",
            "de,en,fr\nx,y,z\n",
            {},
            r"not clear which two columns of .*a\.csv are the pair\. It has: de, en, fr",
        ),
        ("a.csv", "de,en,fr\nx,y,z\n", {"source": "en"}, "not clear which two columns"),
        (
            "a.jsonl",
            '{"translation": {"de": "x", "en": "y"}}',
            {"source": "fr"},
            r"no language 'fr'\. It has: de, en\.",
        ),
        ("a.jsonl", '{"translation": {"de": "x"}}', {}, "not clear which two languages of"),
        ("a.jsonl", '{"translation": "x", "id": 1}', {}, "not clear which two columns of"),
        (
            "a.jsonl",
            '{"de": "x", "en": "y"}\n{"de": "x", "en": 5}',
            {},
            "line 2: column 'en' holds 5 where text .*--target",
        ),
        ("a.jsonl", '{"de": "x", "en": "y"}\n{"de": "x"}', {}, "line 2 has no 'en'; it has: de.*--target"),
        ("a.csv", 'de,en\nx,y\n"z,w\n', {}, "record that starts at line 3: .*A quote inside"),
        (
            "a.txt",
            "\tx\ny\t\n",
            {},
            r"None of 2 training pairs is left, since a side is empty; the first stands in .* line 1\. "
            r"Give text on the same line of both sides, or check --data, --source and --target\.$",
        ),
        (
            "a.txt",
            "x\ty\n",
            {"min_words": 2},
            "None of 1 training pairs is left, since a side has fewer than 2 words.*--min",
        ),
        ("a.txt", "a b\tc\n", {"max_words": 1}, "None of 1 training pairs is left, since a side has more than 1 words"),
        ("a.txt", "a\tb\n", {"valid_fraction": 0.5}, "too short to split: of its 1 pairs, none is left for train"),
    ],
)
def test_faults_name_the_place_and_the_cure(tmp_path: Path, name: str, content: str, options, message: str):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        load(tmp_path / name, **{"valid_fraction": 0, "test_fraction": 0} | options)


def test_an_empty_side_in_a_test_is_refused(tmp_path: Path):
    (tmp_path / "train.tsv").write_text("a\tb\n")
    (tmp_path / "test.tsv").write_text("c\td\ne\t \n\tf\n")
    with pytest.raises(
        DataError, match=r"test\.tsv, line 2 has an empty target, and so have 1 more pairs\. Write the text"
    ):
        load(tmp_path, valid_fraction=0)


def test_a_split_that_is_not_there_is_named(tmp_path: Path):
    (tmp_path / "a.txt").write_text("a\tb\n")
    data = load(tmp_path / "a.txt", valid_fraction=0, test_fraction=1)
    assert data.split("test").sources == ["a"]
    with pytest.raises(DataError, match=r"file a\.txt, columns 1 to 2 has no train split, only: test"):
        data.split("train")
    with pytest.raises(UsageError, match="no split named 'dev'"):
        data.split("dev")
