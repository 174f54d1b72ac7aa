"""Dates, times, durations and lists of places in any two languages: pairs that every installation can make itself."""

from __future__ import annotations

import datetime
import difflib
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from nlp_lstm.errors import DataError

if TYPE_CHECKING:
    from babel import Locale

_SIZES = {"train": 8000, "valid": 500, "test": 500}
_YEARS = (1950, 2049)
_PLACES = (
    "AR AT AU BE BG BO BR CA CH CL CN CO CU CZ DE DK DZ EC EE EG ES ET FI FR GB GE GH GR HR HU ID IE IN IQ IR IS IT "
    "JM JO JP KE KR LB LT LV MA MG MX MY NG NL NO NP NZ PE PH PK PL PT RO RS SE SK TH TN TR UA UG US UY VN ZA"
)
_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_MOST = {"minute": 59, "hour": 23, "day": 6, "week": 4}  # of one more, the locale data speaks of the next unit
_SPACES = str.maketrans(dict.fromkeys("\u00a0\u2009\u202f", " "))  # what people type instead
_MARKS = str.maketrans("", "", "\u200e\u200f\u061c")  # of direction, which nobody sees
Meaning = Callable[["Locale"], str]
"""Something that can be said in any locale."""
Pairs = list[tuple[str, str]]


def phrases(source_locale: str, target_locale: str, seed: int = 0) -> dict[str, Pairs]:
    """Return pairs of phrases for train (8,000), valid and test (500 each), by the locale data that Babel carries.

    A phrase is a date, a time, both, a span of dates, a duration, a moment such as "in 5 hours", or a list of places.
    No source comes twice, in one split or in two, and none could have been phrased otherwise in the target. One seed
    gives one set of pairs, with one version of Babel.

    Raises:
        DataError: There is no such locale; the message names the nearest.
    """
    source, target = _locale(source_locale, "--source"), _locale(target_locale, "--target")
    chance = random.Random(seed)
    wanted = sum(_SIZES.values())
    targets: dict[str, set[str]] = {}
    for _ in range(3 * wanted // 2):
        meaning = _draw(chance)
        said, translated = _said(meaning, source), _said(meaning, target)
        if said and translated:
            targets.setdefault(said, set()).add(translated)
    pairs = [(said, next(iter(translated))) for said, translated in targets.items() if len(translated) == 1]
    if len(pairs) < wanted:
        raise DataError(
            f"Babel can phrase only {len(pairs):,} of {wanted:,} pairs for {source_locale} and {target_locale}. "
            f"Choose other locales with --source and --target."
        )
    chance.shuffle(pairs)
    splits, start = {}, 0
    for split, size in _SIZES.items():
        splits[split] = pairs[start : start + size]
        start += size
    return splits


def _locale(name: str, flag: str) -> Locale:
    from babel import Locale, UnknownLocaleError, localedata

    try:
        return Locale.parse(name.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        close = difflib.get_close_matches(name, localedata.locale_identifiers(), n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise DataError(
            f"{flag} {name!r} is no locale that the phrases are known in.{hint} Give one such as en, de or pt_BR."
        ) from None


def _said(meaning: Meaning, locale: Locale) -> str:
    return " ".join(meaning(locale).translate(_SPACES).translate(_MARKS).split())


def _draw(chance: random.Random) -> Meaning:
    kinds = (_full_date, _long_date, _moment, _time, _span, _duration, _distance, _places)
    draw = chance.choices(kinds, weights=(5, 3, 5, 2, 3, 3, 1, 5))[0]
    return draw(chance)


def _day(chance: random.Random) -> datetime.date:
    first, last = datetime.date(_YEARS[0], 1, 1), datetime.date(_YEARS[1], 12, 31)
    return first + datetime.timedelta(days=chance.randrange((last - first).days + 1))


def _full_date(chance: random.Random) -> Meaning:
    """Draw a date with its day of the week: Tuesday, May 20, 2003."""
    from babel.dates import format_date

    day = _day(chance)
    return lambda locale: format_date(day, "full", locale)


def _long_date(chance: random.Random) -> Meaning:
    """Draw a date: May 20, 2003. (The format "medium" is the same in some locales and not in others.)"""
    from babel.dates import format_date

    day = _day(chance)
    return lambda locale: format_date(day, "long", locale)


def _moment(chance: random.Random) -> Meaning:
    """Draw a date and a time of day: Tuesday, May 20, 2003, 3:07 PM."""
    from babel.dates import format_date, get_datetime_format

    day, time = _day(chance), _time(chance)
    return lambda locale: (
        str(get_datetime_format("full", locale))
        .replace("'", "")
        .replace("{1}", format_date(day, "full", locale))
        .replace("{0}", time(locale))
    )


def _time(chance: random.Random) -> Meaning:
    """Draw a time of day, on the clock of 12 or of 24 hours as the locale has it: 3:07 PM."""
    from babel.dates import format_time

    time = datetime.time(chance.randrange(24), chance.randrange(60))
    return lambda locale: format_time(time, "short", locale=locale)


def _span(chance: random.Random) -> Meaning:
    """Draw a span of dates: May 20 - June 3, 2003."""
    from babel.dates import format_interval

    first = _day(chance)
    last = first + datetime.timedelta(days=chance.randint(1, 40))
    return lambda locale: format_interval(first, last, "yMMMd", locale=locale)


def _duration(chance: random.Random) -> Meaning:
    """Draw a list of durations, the longest first: 2 weeks, 3 days, and 5 hours."""
    from babel.lists import format_list

    units = sorted(chance.sample([*_SECONDS], chance.randint(1, 4)), key=_SECONDS.__getitem__, reverse=True)
    parts = [_amount(unit, chance.randint(1, _MOST[unit])) for unit in units]
    return lambda locale: format_list([part(locale) for part in parts], locale=locale)


def _amount(unit: str, number: int, direction: int = 0) -> Meaning:
    from babel.dates import format_timedelta

    delta = datetime.timedelta(seconds=_SECONDS[unit] * number * (direction or 1))
    return lambda locale: format_timedelta(delta, threshold=1, add_direction=direction != 0, locale=locale)


def _distance(chance: random.Random) -> Meaning:
    """Draw how far away something is in time: in 5 hours, 3 days ago."""
    unit = chance.choice([*_SECONDS])
    return _amount(unit, chance.randint(1, _MOST[unit]), chance.choice((-1, 1)))


def _places(chance: random.Random) -> Meaning:
    """Draw a list of countries: France, Chile, and Nepal."""
    from babel.lists import format_list

    codes = chance.sample(_PLACES.split(), chance.randint(1, 4))
    return lambda locale: format_list([locale.territories.get(code, "") for code in codes], locale=locale)
