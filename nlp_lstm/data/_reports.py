"""Short reports and a sentence that sums up each: synthetic pairs, in which the names and numbers must be copied."""

from __future__ import annotations

import random
from typing import NamedTuple

Pairs = list[tuple[str, str]]

_SIZES = {"train": 8000, "valid": 500, "test": 500}
_OWNERS = (*["train"] * 5, "valid", "test")
"""Whose a number is, by its remainder: no place and no quantity of one split comes in another."""

_NUMBERS = range(100, 5000)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
# Places are made of two parts, so that held-out names are new but are put together from known parts.
_FIRST = (
    *("Amber", "Ash", "Birch", "Bright", "Cedar", "Clay", "Cloud", "Copper", "Deep", "Elm", "Fern", "Gold"),
    *("Gull", "Hazel", "Heron", "High", "Iron", "Ivy", "Lark", "Lime", "Long", "Maple", "Mist", "Moon"),
    *("Moss", "Oak", "Otter", "Pine", "Raven", "Reed", "Rose", "Salt", "Silver", "Slate", "Swan", "Willow"),
)
_LAST = (
    *("acre", "bank", "beck", "bridge", "brook", "bury", "cliff", "combe", "dale", "fen", "field", "ford"),
    *("gate", "haven", "hill", "holm", "ley", "marsh", "mere", "mouth", "port", "stead", "ton", "wick"),
)
# No text begins with a place or a number: behind a space they have the same tokens wherever they stand.
# What may be said in any report and is never to the point.
_REMARKS = (
    *("A dog barked all the while.", "Tea was served afterwards.", "The bells rang at noon."),
    *("Somebody took a photograph.", "The band played twice.", "A window was left open."),
    *("The clock had stopped again.", "Two buses came late.", "The bakery sold out early."),
    *("Nobody lost an umbrella.", "The paper had run out.", "The lamps were lit early."),
)


class _Topic(NamedTuple):
    """What reports of one kind tell: the event, then its amount; around them what is beside the point.

    A sentence of `figures` has a number of its own that does not belong into the summary.
    """

    things: tuple[str, ...]
    event: tuple[str, ...]
    amount: tuple[str, ...]
    figures: tuple[str, ...]
    asides: tuple[str, ...]
    summary: str


_WEATHER = _Topic(
    things=("rain", "snow", "sleet", "hail", "drizzle"),
    event=(
        "On {day} {thing} came down on {place}.",
        "There was {thing} over {place} on {day}.",
        "The {thing} reached {place} on {day}.",
    ),
    amount=("The gauge held {number} litres.", "It came to {number} litres.", "{number} litres were measured."),
    figures=(
        "The record of {before} litres still stands.",
        "The forecast had promised {before} litres.",
        "In {other} it was {before} litres.",
    ),
    asides=("The sky over {other} stayed clear.", "More is expected on {later}.", "The road to {other} was closed."),
    summary="On {day} {place} had {number} litres of {thing}.",
)
_DELIVERY = _Topic(
    things=("apples", "bricks", "candles", "books", "lamps", "tiles", "blankets", "onions"),
    event=(
        "The {thing} for {place} arrived on {day}.",
        "On {day} a lorry brought {thing} to {place}.",
        "A load of {thing} reached {place} on {day}.",
    ),
    amount=(
        "The driver unloaded {number} crates.",
        "There were {number} crates in all.",
        "{number} crates were counted.",
    ),
    figures=(
        "A month ago it had been {before} crates.",
        "{before} crates had been ordered at first.",
        "The store in {other} still has {before} crates.",
    ),
    asides=("A second lorry went to {other}.", "The next lorry is due on {later}.", "The driver lives in {other}."),
    summary="On {day} {place} received {number} crates of {thing}.",
)
_MATCH = _Topic(
    things=("archery", "rowing", "skittles", "darts", "bowls", "croquet"),
    event=(
        "On {day} {place} invited {other} to {thing}.",
        "There was {thing} on {day}, and {place} was host to {other}.",
        "A day of {thing} brought {other} to {place} on {day}.",
    ),
    amount=("The hosts won by {number} points.", "In the end the hosts were {number} points ahead."),
    figures=(
        "The last time {before} points lay between them.",
        "{before} people looked on.",
        "The record is {before} points.",
    ),
    asides=("They meet again on {later}.", "The prize was a cake.", "A gust of wind held things up."),
    summary="On {day} {place} beat {other} at {thing} by {number} points.",
)
_COUNCIL = _Topic(
    things=("bridge", "library", "school", "ferry", "well", "market hall", "museum", "footpath"),
    event=(
        "The council of {place} met on {day}.",
        "On {day} the council of {place} came together.",
        "A council was held in {place} on {day}.",
    ),
    amount=("It agreed to pay {number} crowns for a {thing}.", "A {thing} for {number} crowns was approved."),
    figures=(
        "An earlier plan had cost {before} crowns.",
        "The one in {other} cost {before} crowns.",
        "A banquet for {before} crowns was not discussed.",
    ),
    asides=("A visitor from {other} asked many questions.", "The next meeting is on {later}.", "The mayor was late."),
    summary="The council of {place} will pay {number} crowns for a {thing}.",
)
# The same with the other ending, which turns the summary round.
_LOST_MATCH = _MATCH._replace(
    amount=("The guests won by {number} points.", "In the end the guests were {number} points ahead."),
    summary="On {day} {other} beat {place} at {thing} by {number} points.",
)
_REFUSAL = _COUNCIL._replace(
    amount=("It refused to pay {number} crowns for a {thing}.", "A {thing} for {number} crowns was voted down."),
    summary="The council of {place} will not pay {number} crowns for a {thing}.",
)
_TOPICS = ((_WEATHER,), (_DELIVERY,), (_MATCH, _LOST_MATCH), (_COUNCIL, _REFUSAL))


def reports(seed: int = 0) -> dict[str, Pairs]:
    """Compose pairs of a report and its summary for train (8,000), valid and test (500 each).

    A report has three to six sentences about the weather, a delivery, a match or a council: an event, later its amount,
    and around them another number, other places and days, and remarks that do not belong into the summary. The summary
    is one sentence that follows from the report alone. Who won a match, and what a council decided, takes reading.

    No place and no number of a report is in a report of another split, whatever the seed: what is held out can only
    be copied. No report comes twice.
    """
    chance = random.Random(seed)
    splits: dict[str, Pairs] = {}
    for split, size in _SIZES.items():
        places, numbers = _dealt(split)
        pairs: dict[str, str] = {}
        while len(pairs) < size:
            report, summary = _compose(places, numbers, chance)
            pairs[report] = summary
        splits[split] = list(pairs.items())
    return splits


def _dealt(split: str) -> tuple[list[str], list[int]]:
    """Give the places and the numbers of a split; every part of a place comes in every split."""
    places = [
        first + last
        for row, first in enumerate(_FIRST)
        for column, last in enumerate(_LAST)
        if _OWNERS[(row + column) % len(_OWNERS)] == split
    ]
    return places, [number for number in _NUMBERS if _OWNERS[number % len(_OWNERS)] == split]


def _compose(places: list[str], numbers: list[int], chance: random.Random) -> tuple[str, str]:
    topic = chance.choice(chance.choice(_TOPICS))
    place, other = chance.sample(places, 2)
    number, before = chance.sample(numbers, 2)
    day, later = chance.sample(_DAYS, 2)
    told = {"place": place, "other": other, "number": number, "before": before, "day": day, "later": later}
    told["thing"] = chance.choice(topic.things)
    sentences = [chance.choice(topic.event), chance.choice(topic.amount)]
    for aside in (chance.choice(topic.figures), *chance.sample(topic.asides, chance.randint(0, 1))):
        sentences.insert(chance.randint(1, len(sentences)), aside)  # they speak of the event, which comes before them
    for remark in chance.sample(_REMARKS, chance.randint(0, 2)):
        sentences.insert(chance.randint(0, len(sentences)), remark)
    return " ".join(sentences).format(**told), topic.summary.format(**told)
