"""Explanations: completeness, closed forms of a model without recurrence, and what is shown of them."""

from __future__ import annotations

import html
import math
import re
from typing import Any

import pytest
import torch
from torch import Tensor

from nlp_lstm.errors import UsageError
from nlp_lstm.models import ClassifierOptions
from nlp_lstm.tasks import METHODS, Classification, Explanation, Reading
from nlp_lstm.tokenization import train_tokenizer

TEXT = "The boats were loud, and nobody swam. The harbour was calm!"


def build(seed: int, reading: Reading | None = None, labels: tuple[str, ...] = ("no", "yes"), **options: Any):
    torch.manual_seed(seed)
    tokenizer = train_tokenizer("word", [TEXT])
    sizes = {"embedding_size": 6, "hidden_size": 5}
    task = Classification.build(tokenizer, labels, ClassifierOptions(**{**sizes, **options}), reading=reading)
    with torch.no_grad():
        for parameter in task.model.parameters():
            parameter.mul_(3)
    return task


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize(
    "options",
    [
        {"pooling": "mean"},
        {"pooling": "maximum+mean", "num_layers": 2},
        {"pooling": "attention", "hierarchical": True},
        {"pooling": "last", "reading": Reading(boundaries=True)},
        {"labels": ("a", "b", "c")},
        {"labels": ("a", "b", "c"), "output": "sigmoid"},
        {"labels": ("1", "2", "3"), "output": "ordinal", "bidirectional": False},
    ],
)
def test_contributions_add_up_to_the_difference_of_the_log_odds(
    options: dict[str, Any], temperature: float, seed: int
) -> None:
    task = build(seed, **options)
    task.temperature = temperature
    for label in task.labels:
        explanation = task.explain(TEXT, label=label)
        (table,) = task.classify([TEXT])
        assert explanation.probability == pytest.approx(table[label], abs=1e-5)
        assert explanation.log_odds == pytest.approx(math.log(table[label] / (1 - table[label])), abs=1e-3)
        difference = explanation.log_odds - explanation.baseline
        assert sum(explanation.contributions) == pytest.approx(difference, abs=0.011 * max(1, abs(difference)))
        assert "".join(explanation.words) == TEXT


class Linear(torch.nn.Module):
    """Stands for the recurrent part: the logit of "yes" is the sum over tokens of a weight by position."""

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        return (x * torch.arange(1.0, x.shape[1] + 1).view(1, -1, 1)).sum(dim=(1, 2)).unsqueeze(1)


def test_of_a_linear_model_integrated_gradients_are_weight_times_input(seed: int) -> None:
    task = build(seed)
    task.model.encoder = Linear()
    task.model.output = torch.nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        task.model.output.weight.copy_(torch.tensor([[0.0], [0.5]]))
    explanation = task.explain("The boats were loud", label="yes")
    ids = task.tokenizer.encode("The boats were loud")
    expected = [0.5 * (place + 1) * float(task.model.embedding.detach()[one].sum()) for place, one in enumerate(ids)]
    assert explanation.contributions == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_the_ends_of_a_text_are_no_words_and_stay(seed: int) -> None:
    task = build(seed, Reading(boundaries=True))
    task.model.encoder = Linear()
    task.model.output = torch.nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        task.model.output.weight.copy_(torch.tensor([[0.0], [0.5]]))
    explanation = task.explain("The boats", label="yes")
    end, *words, _ = task.model.embedding.detach()[task.encode(["The boats"])[0]].sum(dim=1).tolist()
    assert explanation.words == ("The", " boats")
    assert explanation.contributions == pytest.approx([0.5 * 2 * words[0], 0.5 * 3 * words[1]], rel=1e-4, abs=1e-5)
    assert explanation.baseline == pytest.approx(0.5 * (1 + 4) * end, rel=1e-4, abs=1e-5)
    for method in METHODS:
        assert task.explain("", method).contributions == (0.0,)


@pytest.mark.parametrize("reading", [Reading(), Reading(boundaries=True)])
def test_leaving_one_word_out_is_the_log_odds_without_it(reading: Reading, seed: int) -> None:
    task = build(seed, reading)
    words = ["The", " boats", " were", " loud"]
    explanation = task.explain("".join(words), "leave-one-out", "yes")
    assert explanation.words == tuple(words)
    for number, contribution in enumerate(explanation.contributions):
        rest = "".join(words[:number] + words[number + 1 :]).strip()
        without = task.explain(rest, "leave-one-out", "yes").log_odds
        assert contribution == pytest.approx(explanation.log_odds - without, abs=1e-4)


@pytest.mark.parametrize("options", [{}, {"hierarchical": True}, {"pooling": "last"}])
def test_words_are_left_out_many_at_once(options: dict[str, Any], seed: int) -> None:
    task = build(seed, **options)
    sizes: list[int] = []
    task.model.register_forward_pre_hook(lambda model, given: sizes.append(len(given[0])))
    text = " ".join([TEXT] * 3)
    explanation = task.explain(text, "leave-one-out", "yes")
    words = explanation.words
    assert len(sizes) < 8
    assert sum(sizes) == 1 + len(words)
    for number in (0, 4, len(words) - 1):
        rest = "".join(words[:number] + words[number + 1 :]).strip()
        without = task.explain(rest, "leave-one-out", "yes").log_odds
        assert explanation.contributions[number] == pytest.approx(explanation.log_odds - without, abs=1e-4)


def test_words_that_are_not_read_contribute_nothing(seed: int) -> None:
    task = build(seed, Reading(max_words=4))
    for method in METHODS:
        explanation = task.explain(TEXT, method)
        read = [number for number, value in enumerate(explanation.contributions) if value]
        assert read == [0, 1, len(explanation.words) - 1]  # "The boats" and "calm!", which is two tokens


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("text", ["", " ", "boats", "boats " * 1200])
def test_texts_of_any_length_are_explained(method: str, text: str, seed: int) -> None:
    explanation = build(seed).explain(text, method)
    assert "".join(explanation.words) == text
    assert all(map(math.isfinite, explanation.contributions))


def test_neither_the_mode_nor_the_weights_gradients_are_changed(seed: int) -> None:
    task = build(seed, output_dropout=0.5)
    task.model.train()
    first = task.explain(TEXT)
    assert task.model.training
    assert task.explain(TEXT) == first
    assert all(parameter.grad is None for parameter in task.model.parameters())


def test_an_unknown_label_or_method_is_refused(seed: int) -> None:
    with pytest.raises(UsageError, match=r"no label 'maybe'\. It knows no, yes"):
        build(seed).explain(TEXT, label="maybe")
    with pytest.raises(UsageError, match="no method of explanation named 'gradients'"):
        build(seed).explain(TEXT, "gradients")


def test_html_shows_the_text_escaped_and_coloured_by_strength() -> None:
    words = ("<b>", " &", " plain", " bad")
    explanation = Explanation("x<y", 0.5, words, (2.0, 1.0, 0.0, -2.0), 0.0, 0.0, "leave-one-out")
    page = explanation.html()
    assert explanation.strengths() == [1.0, 0.5, 0.0, -1.0]
    assert "<b>x&lt;y</b> 0.5000" in page
    assert html.unescape(re.sub(r"<[^>]*>", "", page)).endswith("".join(words))
    shades = re.findall(r"rgba\((\d+), \d+, \d+, ([\d.]+)\)", page)
    assert [(red, float(alpha)) for red, alpha in shades] == [("31", 0.7), ("31", 0.35), ("255", 0.0), ("255", 0.7)]
    assert explanation._repr_html_() == page


def test_strengths_of_nothing_are_nothing() -> None:
    assert Explanation("x", 0.5, ("a",), (0.0,), 0.0, 0.0, "leave-one-out").strengths() == [0.0]
