"""The built-in reports: summaries that follow from the text, and nothing held out that could be known by heart."""

from __future__ import annotations

import re

import pytest

from nlp_lstm.data import PairOptions, load_pairs
from nlp_lstm.data._reports import _DAYS, _FIRST, _LAST, _SIZES, reports
from nlp_lstm.errors import DataError
from nlp_lstm.tokenization import train_tokenizer

SPLITS = reports()
HELD_OUT = ("valid", "test")
PLACE = rf"(?:{'|'.join(_FIRST)})(?:{'|'.join(_LAST)})"

# How each kind of report tells its event and its amount, and what that comes to: written from the texts, not taken
# from the grammar.
WEATHER = (
    r"On (?P<day>\w+) (?P<thing>\w+) came down on (?P<place>\w+)\.",
    r"There was (?P<thing>\w+) over (?P<place>\w+) on (?P<day>\w+)\.",
    r"The (?P<thing>\w+) reached (?P<place>\w+) on (?P<day>\w+)\.",
)
DELIVERY = (
    r"The (?P<thing>\w+) for (?P<place>\w+) arrived on (?P<day>\w+)\.",
    r"On (?P<day>\w+) a lorry brought (?P<thing>\w+) to (?P<place>\w+)\.",
    r"A load of (?P<thing>\w+) reached (?P<place>\w+) on (?P<day>\w+)\.",
)
MATCH = (
    r"On (?P<day>\w+) (?P<place>\w+) invited (?P<other>\w+) to (?P<thing>\w+)\.",
    r"There was (?P<thing>\w+) on (?P<day>\w+), and (?P<place>\w+) was host to (?P<other>\w+)\.",
    r"A day of (?P<thing>\w+) brought (?P<other>\w+) to (?P<place>\w+) on (?P<day>\w+)\.",
)
COUNCIL = (
    r"The council of (?P<place>\w+) met on (?P<day>\w+)\.",
    r"On (?P<day>\w+) the council of (?P<place>\w+) came together\.",
    r"A council was held in (?P<place>\w+) on (?P<day>\w+)\.",
)
KINDS = (
    (
        WEATHER,
        r"(?:The gauge held|It came to) (?P<number>\d+) litres|(?P<number2>\d+) litres were measured",
        "On {day} {place} had {number} litres of {thing}.",
    ),
    (
        DELIVERY,
        r"(?:unloaded|There were) (?P<number>\d+) crates|(?P<number2>\d+) crates were counted",
        "On {day} {place} received {number} crates of {thing}.",
    ),
    (
        MATCH,
        r"hosts (?:won by|were) (?P<number>\d+) points",
        "On {day} {place} beat {other} at {thing} by {number} points.",
    ),
    (
        MATCH,
        r"guests (?:won by|were) (?P<number>\d+) points",
        "On {day} {other} beat {place} at {thing} by {number} points.",
    ),
    (
        COUNCIL,
        r"agreed to pay (?P<number>\d+) crowns for a (?P<thing>[a-z ]+)\.|"
        r"A (?P<thing2>[a-z ]+) for (?P<number2>\d+) crowns was approved",
        "The council of {place} will pay {number} crowns for a {thing}.",
    ),
    (
        COUNCIL,
        r"refused to pay (?P<number>\d+) crowns for a (?P<thing>[a-z ]+)\.|"
        r"A (?P<thing2>[a-z ]+) for (?P<number2>\d+) crowns was voted down",
        "The council of {place} will not pay {number} crowns for a {thing}.",
    ),
)


def readings(report: str) -> list[str]:
    """Every summary that the text allows, worked out from it alone."""
    found = []
    for events, amount, summary in KINDS:
        for event in events:
            for first in re.finditer(event, report):
                for second in re.finditer(amount, report):
                    told = {name.rstrip("2"): value for name, value in second.groupdict().items() if value}
                    found.append(summary.format(**first.groupdict(), **told))
    return found


def words(split: str) -> set[str]:
    return {word for pair in SPLITS[split] for text in pair for word in re.findall(r"\w+", text)}


@pytest.mark.parametrize("split", SPLITS)
def test_the_summary_is_what_the_text_says_and_all_that_it_can_mean(split: str) -> None:
    assert [readings(report) for report, _ in SPLITS[split]] == [[summary] for _, summary in SPLITS[split]]


def test_thousands_of_reports_and_none_twice() -> None:
    assert {split: len(pairs) for split, pairs in SPLITS.items()} == {"train": 8000, "valid": 500, "test": 500}
    every = [report for pairs in SPLITS.values() for report, _ in pairs]
    assert len(set(every)) == len(every)
    assert {report.count(".") for report in every} == {3, 4, 5, 6}
    assert {summary.count(".") for pairs in SPLITS.values() for _, summary in pairs} == {1}
    assert all(report == " ".join(report.split()) and report.isascii() for report in every)


def test_every_kind_of_report_is_in_every_split() -> None:
    forms = {
        split: {re.sub(r"\d+", "0", re.sub(PLACE, "P", summary)) for _, summary in pairs}
        for split, pairs in SPLITS.items()
    }
    days = len(_DAYS)
    assert len(forms["train"]) == days * 5 + days * 8 + days * 6 + 2 * 8  # weather, deliveries, matches, councils
    assert forms["valid"] | forms["test"] <= forms["train"]


def test_no_place_and_no_number_of_a_split_is_in_another() -> None:
    known = words("train")
    for split in HELD_OUT:
        new = words(split) - known
        assert {word for word in new if not re.fullmatch(rf"\d+|{PLACE}", word)} == set()
        for report, summary in SPLITS[split]:
            names = re.findall(rf"\d+|{PLACE}", summary)
            assert len(names) >= 2
            assert set(names) <= new
            assert set(names) <= set(re.findall(r"\w+", report))
    assert not {word for word in words("valid") & words("test") if re.fullmatch(rf"\d+|{PLACE}", word)}


def test_what_is_held_out_is_so_whatever_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlp_lstm.data._reports._SIZES", dict.fromkeys(_SIZES, 300))
    other = reports(seed=1)
    assert reports(seed=1) == other
    assert other["train"] != SPLITS["train"][:300]
    for split in HELD_OUT:
        text = " ".join(f"{report} {summary}" for report, summary in other[split])
        assert not set(re.findall(rf"\d+|{PLACE}", text)) & words("train")


def test_new_places_are_made_of_known_parts() -> None:
    train = " ".join(words("train"))
    assert [part for part in _FIRST if part not in train] == []
    assert [part for part in _LAST if part not in train] == []
    assert len({first + last for first in _FIRST for last in _LAST}) == len(_FIRST) * len(_LAST)


@pytest.mark.parametrize("split", SPLITS)
def test_the_first_sentence_never_has_the_amount_and_another_number_is_always_near(split: str) -> None:
    for report, summary in SPLITS[split]:
        (number,) = re.findall(r"\d+", summary)
        assert number not in report.partition(".")[0]
        assert len(set(re.findall(r"\d+", report))) == 2


def test_to_copy_a_new_word_is_to_copy_its_pieces() -> None:
    # The ids of each place and number of a summary stand side by side, in their order, among those of the report.
    tokenizer = train_tokenizer("bpe", [text for pair in SPLITS["train"] for text in pair], 1000)
    for report, summary in SPLITS["test"]:
        ids = f" {' '.join(map(str, tokenizer.encode(report)))} "
        for word in re.findall(rf"\d+|{PLACE}", summary):
            assert f" {word}" in summary
            pieces = tokenizer.encode(f" {word}")
            assert f" {' '.join(map(str, pieces))} " in ids
            assert tokenizer.unk_id not in pieces


def test_the_loader_finds_them_and_says_what_they_are() -> None:
    data = load_pairs(PairOptions("reports"))
    assert list(zip(data.split("test").sources, data.split("test").targets, strict=True)) == SPLITS["test"]
    assert len(data.split("train")) == 8000
    assert data.notes == []
    assert "synthetic" in data.description


@pytest.mark.parametrize("sides", [{"source": "de"}, {"target": "en"}])
def test_sides_that_are_not_there_to_choose_are_refused(sides: dict[str, str]) -> None:
    with pytest.raises(DataError, match="Leave out --source and --target"):
        load_pairs(PairOptions("reports", **sides))
