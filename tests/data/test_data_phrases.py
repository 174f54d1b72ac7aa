"""The built-in pairs: enough of them, each with one translation, and none to be had by copying."""

from __future__ import annotations

import calendar
import datetime
import random
import re

import pytest
import sacrebleu

from nlp_lstm.data import PairOptions, load_pairs
from nlp_lstm.data import _phrases as module
from nlp_lstm.data._phrases import phrases
from nlp_lstm.errors import DataError

Splits = dict[str, list[tuple[str, str]]]


@pytest.fixture(scope="module")
def german() -> Splits:
    return phrases("en", "de")


def test_thousands_of_pairs_and_no_source_twice(german: Splits) -> None:
    assert {split: len(pairs) for split, pairs in german.items()} == {"train": 8000, "valid": 500, "test": 500}
    sources = [source for pairs in german.values() for source, _ in pairs]
    assert len(set(sources)) == len(sources)


def test_held_out_words_are_known_but_their_combination_is_not(german: Splits) -> None:
    known = {word for source, _ in german["train"] for word in source.split()}
    held_out = [source for split in ("valid", "test") for source, _ in german[split]]
    unseen = [source for source in held_out if not set(source.split()) <= known]
    assert len(unseen) < 0.02 * len(held_out)  # a time such as "3:07" is one word and may be new


def test_copying_is_worth_little(german: Splits) -> None:
    sources, targets = zip(*german["test"], strict=True)
    assert sacrebleu.corpus_bleu(list(sources), [list(targets)]).score < 15


def test_all_kinds_are_there_and_right(german: Splits) -> None:
    pairs = {source: target for split in german.values() for source, target in split}
    months = list(calendar.month_name)
    checked = 0
    for source, target in pairs.items():
        date = re.fullmatch(r"\w+, (\w+) (\d+), (\d{4}), (\d+):(\d\d) ([AP])M", source)
        if date:
            day = datetime.date(int(date[3]), months.index(date[1]), int(date[2]))
            assert source.startswith(calendar.day_name[day.weekday()])
            hour = int(date[4]) % 12 + (12 if date[6] == "P" else 0)
            assert re.search(rf"{int(date[2])}\. \w+ {date[3]}, {hour:02}:{date[5]}$", target), (source, target)
            checked += 1
    assert checked > 1000
    for pattern in (
        r"\w+, \w+ \d+, \d{4}",
        r"\w+ \d+, \d{4}",
        r"\d+:\d\d [AP]M",
        r".* – .*, \d{4}",
        r"\d+ weeks?, \d+ days?, and \d+ hours?",
        r"in \d+ hours?|\d+ days? ago",
        r"[A-Z][\w ]+, [A-Z][\w ]+, and [A-Z][\w ]+",
    ):
        assert any(re.fullmatch(pattern, source) for source in pairs), pattern


@pytest.mark.parametrize(("source", "target"), [("en", "de"), ("de", "en"), ("fr", "ja"), ("pt-BR", "ar")])
def test_a_source_has_one_target(source: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SIZES", {"train": 1500, "valid": 10, "test": 10})
    locales = module._locale(source, "--source"), module._locale(target, "--target")
    said = {old: new for pairs in phrases(source, target, seed=3).values() for old, new in pairs}
    chance, met = random.Random(99), 0  # other draws than those the pairs were made of
    for _ in range(1000):
        meaning = module._draw(chance)
        old, new = (module._said(meaning, locale) for locale in locales)
        met += old in said
        assert said.get(old, new) == new
        assert old.isprintable()
        assert old == " ".join(old.split())
    assert met > 20


def test_what_has_two_translations_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SIZES", {"train": 6, "valid": 1, "test": 1})
    numbers = iter(range(12))

    def draw(chance: random.Random) -> module.Meaning:
        number = next(numbers)
        english = str(number // 2) if number < 4 else f"{number} and more"  # 0 and 1 are said alike, and so are 2 and 3
        return lambda locale: english if str(locale) == "en" else str(number)

    monkeypatch.setattr(module, "_draw", draw)
    sources = {source for pairs in phrases("en", "de").values() for source, _ in pairs}
    assert sources == {f"{number} and more" for number in range(4, 12)}


def test_seeds_give_other_pairs_and_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SIZES", {"train": 200, "valid": 20, "test": 20})
    first = phrases("en", "de", seed=1)
    assert phrases("en", "de", seed=1) == first
    assert phrases("en", "de", seed=2) != first


def test_locales_without_enough_phrases_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_said", lambda meaning, locale: "the same")
    with pytest.raises(DataError, match=r"only 1 of 9,000 pairs for en and de. Choose other locales"):
        phrases("en", "de")


@pytest.mark.parametrize(("name", "hint"), [("xx", ""), ("pt_BX", r"Did you mean pt"), ("not a locale", "")])
def test_an_unknown_locale_is_refused(name: str, hint: str) -> None:
    with pytest.raises(DataError, match=rf"--target '{name}' is no locale.*{hint}"):
        phrases("en", name)


def test_the_loader_finds_them() -> None:
    data = load_pairs(PairOptions("phrases", source="en", target="fi"))
    assert len(data.split("test")) == 500
    assert "synthetic" in data.description
