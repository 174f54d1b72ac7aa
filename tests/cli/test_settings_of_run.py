"""`--resume`: the settings of the run to go on with, whatever stands in its folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nlp_lstm.cli._config_file import settings_of_run


def test_the_settings_are_flat_and_the_data_is_where_it_lies(tmp_path: Path) -> None:
    config = {"data": {"data": "text.txt", "valid_fraction": 0.2}, "training": {"seed": 3}, "vocab_size": 9}
    about = {"config": config, "data": {**config["data"], "data": "/there/text.txt"}, "seed": 3}
    (tmp_path / "config.json").write_text(json.dumps(about), encoding="utf-8")
    assert settings_of_run(tmp_path) == {"data": "/there/text.txt", "valid_fraction": 0.2, "seed": 3, "vocab_size": 9}


@pytest.mark.parametrize(
    "make",
    [
        lambda path: None,
        os.mkfifo,
        os.mkdir,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: (path.touch(), os.truncate(path, 2**31)),
        lambda path: path.write_bytes(b"\xff"),
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_text('{"config": {"seed": ' + "[" * 60 + "]" * 60 + "}}"),
        lambda path: path.write_text('{"config": []}'),
        lambda path: path.write_text("{}"),
        lambda path: path.write_text("[]"),
    ],
)
def test_what_is_no_description_of_a_run_gives_no_settings(make: Callable[[Path], Any], tmp_path: Path) -> None:
    make(tmp_path / "config.json")
    assert settings_of_run(tmp_path) == {}
