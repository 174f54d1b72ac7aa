"""Alignments, unknown words and the drawn attention: worked examples, and properties of the drawing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nlp_lstm.decoding import (
    align,
    attention_between_words,
    attention_picture,
    attention_text,
    pharaoh,
    replace_unknown,
)
from nlp_lstm.errors import ShapeError, UsageError

SOURCE = ["the", "quick", "fox"]
TARGET = ["der", "<unk>", "Fuchs", "<unk>"]
ATTENTION = [[0.9, 0.1, 0.0], [0.1, 0.5, 0.4], [0.0, 0.2, 0.8], [0.1, 0.2, 0.7]]


def test_each_target_token_is_aligned_to_the_source_of_most_attention() -> None:
    pairs = align(torch.tensor(ATTENTION))
    assert pairs == align(ATTENTION) == [(0, 0), (1, 1), (2, 2), (2, 3)]
    assert pharaoh(pairs) == "0-0 1-1 2-2 2-3"
    assert align([[0.5, 0.5], [0.0, 0.0]]) == [(0, 0)]
    assert align([]) == align([[], []]) == []
    assert pharaoh([]) == ""


def test_unknown_words_are_copied_or_translated() -> None:
    assert replace_unknown(TARGET, SOURCE, ATTENTION, "<unk>") == ["der", "quick", "Fuchs", "fox"]
    translated = replace_unknown(TARGET, SOURCE, torch.tensor(ATTENTION), "<unk>", {"quick": "flink", "the": "das"})
    assert translated == ["der", "flink", "Fuchs", "fox"]
    assert replace_unknown(["<unk>"], [], [[]], "<unk>") == ["<unk>"]


def test_words_receive_the_sum_and_give_the_mean_of_their_pieces() -> None:
    # Source: two pieces of one word, a word, the end. Target: a word, two pieces of one word, the end.
    attention = [[0.4, 0.3, 0.2, 0.1], [0.0, 0.2, 0.6, 0.2], [0.2, 0.2, 0.4, 0.2], [0.0, 0.0, 0.0, 1.0]]
    words = attention_between_words(torch.tensor(attention), [0, 0, 1, -1], [0, 1, 1, -1])
    assert words == [pytest.approx([0.7, 0.2]), pytest.approx([0.3, 0.5])]
    assert attention_between_words([], [], []) == []


def test_words_attend_as_the_sums_of_their_pieces_say(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for source, target in (([0, 0, 1, 2, 2, 2, -1], [0, 1, 1, 1, 2]), ([-1], [0, 0]), ([0], [-1, -1])):
        attention = torch.rand(len(target), len(source), generator=generator, dtype=torch.float64)
        expected = [
            [
                sum(
                    float(attention[t, s]) / target.count(word)
                    for t, its in enumerate(target)
                    for s, other in enumerate(source)
                    if its == word and other == read
                )
                for read in range(max(source) + 1)
            ]
            for word in range(max(target) + 1)
        ]
        found = attention_between_words(attention, source, target)
        assert found == [pytest.approx(row) for row in expected]


def test_the_text_shows_five_shades_under_hanging_letters() -> None:
    shown = attention_text(["a", "fox"], ["ein", "Fuchs"], [[1.0, 0.0], [0.19, 0.2]])
    assert shown.splitlines() == [
        "        f",
        "        o",
        "      a x",
        "  ein ██",
        "Fuchs   ░░",
    ]
    [_, line] = attention_text(list("abcdefg"), ["x"], [[0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.1]]).splitlines()
    assert line == "x   ░░▒▒▓▓██████"
    assert attention_text([], [], []) == ""


def test_the_text_is_ascii_when_asked() -> None:
    shown = attention_text(["ä"], ["日", "\x1b"], [[0.5], [0.7]], ascii_only=True)
    assert shown.isascii()
    assert shown.splitlines() == ["       \\", "       x", "       e", "       4", "\\u65e5 ::", "     ? ++"]
    [_, line] = attention_text(list("abcd"), ["x"], [[0.2, 0.4, 0.6, 0.8]], ascii_only=True).splitlines()
    assert line == "x ..::++##"


def test_wide_and_combined_letters_keep_the_columns_in_place() -> None:
    lines = attention_text(
        ["日", "e\N{COMBINING ACUTE ACCENT}", "x"], ["日", "e\N{COMBINING ACUTE ACCENT}f"], [[0, 0, 1]] * 2
    ).splitlines()
    assert lines == ["   日e\N{COMBINING ACUTE ACCENT} x", "日     ██", "e\N{COMBINING ACUTE ACCENT}f     ██"]


def test_tokens_cannot_command_the_terminal_and_long_ones_are_cut() -> None:
    shown = attention_text(["\x1b[2J\n"], ["y" * 21, "z" * 20, "日" * 11], [[1.0]] * 3)
    assert set(shown) == set("\N{REPLACEMENT CHARACTER}[2J yz…日█\n")
    assert [line.split()[0] for line in shown.splitlines()[-3:]] == ["y" * 19 + "…", "z" * 20, "日" * 9 + "…"]
    assert attention_text(["a"], ["y" * 21], [[1.0]], ascii_only=True).endswith("y" * 19 + "~ ##")


@pytest.mark.parametrize("draw", [attention_text, attention_picture])
@pytest.mark.parametrize("attention", [ATTENTION[:3], [row[:2] for row in ATTENTION], [], torch.zeros(4, 4)])
def test_attention_that_does_not_fit_is_refused(draw: object, attention: object) -> None:
    with pytest.raises(ShapeError, match=r"it must be \(target, source\), here \(4, 3\)"):
        draw(SOURCE, TARGET, attention)  # type: ignore[operator]


def test_the_other_functions_refuse_it_too() -> None:
    with pytest.raises(ShapeError, match=r"shape \(1, 2\).*here \(1, 3\)"):
        replace_unknown(["x"], SOURCE, [[0.5, 0.5]], "<unk>")
    with pytest.raises(ShapeError, match=r"shape \(1, 2\).*here \(2, 2\)"):
        attention_between_words([[0.5, 0.5]], [0, 1], [0, 1])


def test_the_picture_holds_the_weights_and_the_tokens(tmp_path: Path) -> None:
    figure = attention_picture(["the", "$5$", "fox"], TARGET, torch.tensor(ATTENTION))
    [axes] = figure.axes
    [image] = axes.images
    assert image.get_array().tolist() == torch.tensor(ATTENTION).tolist()
    assert image.get_clim() == (0, 1)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["the", "$5$", "fox"]
    assert [label.get_text() for label in axes.get_yticklabels()] == TARGET
    figure.savefig(tmp_path / "attention.png")
    assert (tmp_path / "attention.png").read_bytes().startswith(b"\x89PNG")
    attention_picture([], [], []).savefig(tmp_path / "nothing.png")


def test_a_picture_too_large_for_a_file_is_refused() -> None:
    with pytest.raises(UsageError, match=r"401 source and 1 target tokens is too large; a side may have 400"):
        attention_picture(["x"] * 401, ["y"], [[0.0] * 401])


def test_a_picture_without_matplotlib_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UsageError, match=r'pip install "nlp-lstm\[plot\]"'):
        attention_picture(SOURCE, TARGET, ATTENTION)


def test_listing_the_names_imports_neither_torch_nor_matplotlib() -> None:
    program = "import sys, nlp_lstm.decoding; print(sorted({'torch', 'matplotlib'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
