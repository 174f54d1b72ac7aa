"""The score: one line for a reader, strict JSON for a program, and a signature that splits again."""

from __future__ import annotations

import json
import math

import pytest

from nlp_lstm.evaluation import Score, signature


def strict(value: object) -> object:
    """Dump and read again; NaN and infinities are refused."""
    return json.loads(json.dumps(value, allow_nan=False))


def test_the_line() -> None:
    score = Score("bits_per_char", 1.9302, "bits", 111540, (1.9131, 1.9477), "task:language_modeling|version:0.1.0")
    assert score.brief() == "bits_per_char 1.930 bits (95 % CI 1.913-1.948, n=111,540)"
    assert str(score) == f"{score.brief()} | task:language_modeling|version:0.1.0"


@pytest.mark.parametrize(
    ("value", "interval", "expected"),
    [
        (0.5, None, "x 0.500 (n=7)"),
        (57.301, (56.0, 58.888), "x 57.30 (95 % CI 56.00-58.89, n=7)"),
        (1234.56, (999.0, 1300.0), "x 1,234.6 (95 % CI 999.0-1,300.0, n=7)"),
        (2.5e7, None, "x 2.500e+07 (n=7)"),
        (1.2e-5, None, "x 1.200e-05 (n=7)"),
        (0.0, None, "x 0.000 (n=7)"),
        (math.inf, None, "x inf (n=7)"),
        (5.0, (1.0, math.inf), "x 5.000 (95 % CI 1.000-inf, n=7)"),
        (math.nan, None, "x nan (n=7)"),
    ],
)
def test_numbers_are_written_sensibly(value: float, interval: tuple[float, float] | None, expected: str) -> None:
    assert Score("x", value, "", 7, interval, "k:v").brief() == expected


def test_json_is_strict_and_complete() -> None:
    score = Score("loss", 1.5, "nats per token", 9, (1.0, 2.0), "k:v")
    assert strict(score.to_json()) == {
        "name": "loss",
        "value": 1.5,
        "unit": "nats per token",
        "n": 9,
        "confidence_interval": [1.0, 2.0],
        "signature": "k:v",
    }
    endless = strict(Score("perplexity", math.inf, "", 9, (3.0, math.inf), "k:v").to_json())
    assert isinstance(endless, dict)
    assert endless["value"] is None
    assert endless["confidence_interval"] == [3.0, None]
    assert Score("loss", 1.5, "", 9, None, "k:v").to_json()["confidence_interval"] is None


def test_the_signature_splits_into_what_it_was_made_of_and_ends_with_the_version() -> None:
    text = signature({"version": "0.1.0", "data": "a|b: c\n.txt", "odd key:|": 3, "split": "test"})
    assert text == "data:a_b:_c_.txt|odd_key_:3|split:test|version:0.1.0"
    assert [part.split(":", 1)[0] for part in text.split("|")] == ["data", "odd_key_", "split", "version"]
