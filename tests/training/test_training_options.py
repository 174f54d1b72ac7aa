"""The settings of training: durations, and all that is refused."""

from __future__ import annotations

import math

import pytest

from nlp_lstm.errors import UsageError
from nlp_lstm.training import TrainingOptions
from nlp_lstm.training._options import seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("85s", 85),
        ("3m", 180),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("2d", 172_800),
        ("1h 2m 3s", 3723),
        (" 90 ", 90),
        ("0.5", 0.5),
        ("0h10s", 10),
    ],
)
def test_durations(text: str, expected: float) -> None:
    assert seconds(text, "--max-time") == expected


@pytest.mark.parametrize(
    "text", ["", "soon", "3x", "m", "-3m", "3m later", "1e3", "3min", "1:30", "1h30", "1 2", "inf"]
)
def test_what_is_no_duration_is_refused_by_its_flag(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--checkpoint-every .* is no duration\. Write it as 85s, 3m"):
        seconds(text, "--checkpoint-every")


@pytest.mark.parametrize("text", ["0", "0s", "0.0h0m"])
def test_a_duration_of_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--max-time .* must be longer than nothing"):
        seconds(text, "--max-time")


def test_a_long_wrong_duration_is_refused() -> None:
    # A pattern that can read one run of digits in many ways would not come to an end here.
    with pytest.raises(UsageError, match="no duration"):
        seconds("1" * 60 + "x", "--max-time")


FAULTS = [
    ("batch_size", 0, "above 0"),
    ("accumulate", -1, "above 0"),
    ("max_steps", 0, "above 0"),
    ("max_epochs", 0.0, "above 0"),
    ("max_epochs", math.inf, "finite"),
    ("learning_rate", 0.0, "above 0"),
    ("learning_rate", math.nan, "finite"),
    ("validations", 0, "above 0"),
    ("warmup", 1.0, "below 1"),
    ("warmup", -0.1, "at least 0"),
    ("average", 1.0, "below 1"),
    ("momentum", 1.5, "below 1"),
    ("beta2", 1.0, "below 1"),
    ("final_learning_rate", -1.0, "at least 0"),
    ("weight_decay", -0.1, "not below 0"),
    ("clip_norm", -1.0, "not below 0"),
    ("clip_norm", math.nan, "finite"),
    ("threads", -1, "not below 0"),
    ("patience", -1, "not below 0"),
    ("seed", -1, "not below 0"),
    ("seed", 2**63, r"below 2\*\*63"),
    ("plateau_factor", 0.0, "between 0 and 1"),
    ("plateau_factor", 1.0, "between 0 and 1"),
    ("max_time", "never", "no duration"),
    ("max_time", "", "no duration"),
    ("checkpoint_every", "0s", "longer than nothing"),
]


@pytest.mark.parametrize(("name", "value", "reason"), FAULTS)
def test_a_setting_out_of_range_is_refused_by_its_flag(name: str, value: object, reason: str) -> None:
    flag = "--" + name.replace("_", "-")
    with pytest.raises(UsageError, match=rf"^{flag} .*{reason}[^.]*\.") as caught:
        TrainingOptions(**{"max_epochs": 1.0, name: value})
    assert str(caught.value).count("--") == 1


def test_all_faults_are_said_at_once() -> None:
    wrong = {name: value for name, value, _ in FAULTS if name not in {"max_steps", "max_epochs"}}
    with pytest.raises(UsageError) as caught:
        TrainingOptions(**wrong)
    for name in wrong:
        assert "--" + name.replace("_", "-") + " " in str(caught.value)


def test_training_needs_an_end() -> None:
    with pytest.raises(UsageError, match="give --max-time, --max-steps or --max-epochs"):
        TrainingOptions()


@pytest.mark.parametrize("budget", [{"max_time": "85s"}, {"max_steps": 1}, {"max_epochs": 0.5}])
def test_one_budget_is_enough(budget: dict[str, object]) -> None:
    options = TrainingOptions(**budget)
    assert options.time_budget == (85 if "max_time" in budget else None)


@pytest.mark.parametrize(
    ("name", "value", "nearest"),
    [("optimizer", "adam", "adamw"), ("schedule", "cosin", "cosine"), ("device", "cud", "cuda"), ("precision", 16, "")],
)
def test_a_name_that_is_no_choice_is_refused_with_the_nearest(name: str, value: object, nearest: str) -> None:
    with pytest.raises(UsageError, match=rf"--{name} .*{value}.*{nearest}.*Allowed: "):
        TrainingOptions(**{"max_steps": 1, name: value})
