"""The pictures: what is drawn in them, that they are files of the right kind, and what is said without matplotlib."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy
import pytest

from nlp_lstm.errors import UsageError
from nlp_lstm.evaluation import classification_scores, confusion_figure, reliability_figure, save_pictures

pytest.importorskip("matplotlib")

SCORES = classification_scores([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.7, 0.3]], ["a", "b", "b", "a"], "ab")
SEVERAL = classification_scores([[0.9, 0.1]], [("a",)], "ab", multi=True)


def test_the_confusion_matrix_shows_counts_and_shares() -> None:
    axes = confusion_figure(SCORES).axes[0]
    assert [text.get_text() for text in axes.texts] == ["2", "0", "1", "1"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert axes.images[0].get_array().tolist() == [[1.0, 0.0], [0.5, 0.5]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "gold")
    wide = classification_scores(numpy.eye(21), numpy.arange(21), [str(i) for i in range(21)], resamples=1)
    assert list(confusion_figure(wide).axes[0].texts) == []


def test_the_reliability_plot_shows_the_bins() -> None:
    axes = reliability_figure(SCORES).axes[0]
    assert [bar.get_height() for bar in axes.patches] == [0.5, 1.0, 1.0]
    assert [bar.get_x() for bar in axes.patches] == pytest.approx([10 / 15, 11 / 15, 13 / 15])
    assert axes.lines[0].get_xdata().tolist() == pytest.approx([0.7, 0.8, 0.9])
    assert axes.get_title() == "ECE 0.175, n=4"


def test_files(tmp_path: Path) -> None:
    files = save_pictures(SCORES, tmp_path / "new" / "folder")
    assert [file.name for file in files] == ["confusion.png", "reliability.png"]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)
    assert sorted(files[0].parent.iterdir()) == files  # no temporary file stays
    assert [file.name for file in save_pictures(SEVERAL, tmp_path)] == ["reliability.png"]


def test_several_labels_have_no_confusion_matrix() -> None:
    with pytest.raises(UsageError, match="no confusion matrix"):
        confusion_figure(SEVERAL)


def test_without_matplotlib_the_cure_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for draw in (confusion_figure, reliability_figure):
        with pytest.raises(UsageError, match=r"pip install 'nlp-lstm\[plot\]'"):
            draw(SCORES)
    with pytest.raises(UsageError, match="matplotlib"):
        save_pictures(SCORES, tmp_path / "none")
    assert not (tmp_path / "none").exists()
