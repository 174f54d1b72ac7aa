"""Every option that is a recipe's own arrives where it works, which is seen before or instead of a training."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nlp_lstm as nl
from nlp_lstm.cli import main
from nlp_lstm.cli._recipe_files import load_recipe

pytestmark = pytest.mark.usefixtures("torch_threads")
RECIPES = Path(__file__).resolve().parents[2] / "recipes"
TEXT = "".join(f"The {number} boats came home, at ten-to-nine, to the {number} harbours.\n" for number in range(900))
LABELLED = [("I liked the soup", "good")] * 45 + [("Nobody liked the boat", "bad")] * 15
PAIRS = [f"the boat {number} came home\tboat {number} came" for number in range(60)]
# What test_pretraining.py trains with.
ELSEWHERE = {"lowercase", "html_line_breaks", "backward", "pretrained_backward", "crop", "word_dropout"}
ELSEWHERE |= {"label_smoothing", "unfreeze_epochs", "pretrained"}


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., int]:
    """Call `nlp-lstm train` in small sizes on a few lines of text."""
    labelled = [f"{text} {number}\t{label}" for number, (text, label) in enumerate(LABELLED)]
    tables = {"labelled": ["text\tlabel", *labelled], "pairs": ["a\tb", *PAIRS]}
    for name, lines in tables.items():
        (tmp_path / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    pairs = ["pairs.tsv", "--source", "a", "--target", "b"]
    data = {"sentiment": ["labelled.tsv"], "translation": pairs, "summarization": pairs}

    def call(recipe: str, *options: str) -> int:
        file, *flags = data.get(recipe, ["text.txt"])
        own = ["--smoke", "--threads", "1", "--run", str(tmp_path / "run"), "--data", str(tmp_path / file), *flags]
        return main(["train", recipe, *own, *options])

    return call


@pytest.fixture
def reached(train: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, Any]]:
    """Give the objective and the task that a call would train."""

    def reach(recipe: str, *options: str) -> tuple[Any, Any]:
        found: list[tuple[Any, Any]] = []

        def fit(objective: Any, task: Any, *_: object, **__: object) -> None:
            found.append((objective, task))
            raise nl.UsageError("This is far enough.")

        monkeypatch.setattr(nl, "fit", fit)
        assert train(recipe, *options) == 2
        return found[0]

    return reach


REFUSED = [
    ("char_lm", "--tokenizer bpe --vocab-size 9", "the bpe tokenizer needs at least 260 ids"),
    ("char_lm", "--byte-fallback true --vocab-size 99", "the character tokenizer needs at least 261 ids"),
    ("char_lm", "--sequence-length 0", "--sequence-length is 0"),
    ("char_lm", "--cache-size -1", "--cache-size is -1: give a number from 1 to 100,000, or 0 for no cache."),
    ("word_lm", "--vocab-size 3", "--vocab-size 3 is too small"),
    ("word_lm", "--min-frequency 0", "--min-frequency 0 is out of range"),
    ("word_lm", "--sequence-length 0", "--sequence-length is 0"),
    ("word_lm", "--cache-size 100001", "--cache-size is 100001: give a number from 1 to 100,000"),
    ("sentiment", "--tokenizer bpe --vocab-size 9", "the bpe tokenizer needs at least 260 ids"),
    ("sentiment", "--min-frequency 0", "--min-frequency 0 is out of range"),
    ("sentiment", "--adversarial -1", "--adversarial -1.0 must be 0"),
    ("sentiment", "--max-words 1", "--max-words 1 must be at least 2"),
    ("sentiment", "--word-vectors no-such.txt", "no-such.txt cannot be read as word vectors"),
    ("translation", "--tokenizer word --vocab-size 3", "the word tokenizer needs at least 5 ids"),
    ("translation", "--batch-tokens -5", "--batch-tokens is -5"),
    ("translation", "--subword-sampling 1", "--subword-sampling 1.0 must be above 0 and below 1"),
    ("summarization", "--tokenizer word --vocab-size 3", "the word tokenizer needs at least 5 ids"),
    ("summarization", "--batch-tokens -5", "--batch-tokens is -5"),
    ("summarization", "--subword-sampling 1", "--subword-sampling 1.0 must be above 0 and below 1"),
    ("summarization", "--source-words 0", "--source-words is 0"),
]
SHOWN = {"word_lm": {"pretokenized"}, "sentiment": {"class_weights"}}  # by the tests at the end


@pytest.mark.parametrize(("recipe", "options", "said"), REFUSED, ids=lambda value: value.replace(" ", "")[:24])
def test_a_value_that_cannot_be_is_refused_before_training(
    recipe: str,
    options: str,
    said: str,
    train: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nl, "fit", None)
    assert train(recipe, *options.split()) in (1, 2)
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_no_option_of_a_recipe_is_left_out() -> None:
    for path in RECIPES.glob("*.py"):
        own = {
            field.name
            for field in dataclasses.fields(load_recipe(path).Config)
            if field.name not in ("data", "model", "training")
        }
        flags = " ".join(options for recipe, options, _ in REFUSED if recipe == path.stem).split()
        named = {flag[2:].replace("-", "_") for flag in flags if flag.startswith("--")}
        assert own - ELSEWHERE == named | SHOWN.get(path.stem, set()), path.stem


def test_batches_have_the_tokens_that_are_asked_for(reached: Callable[..., tuple[Any, Any]]) -> None:
    for recipe in ("translation", "summarization"):
        few, many = (reached(recipe, "--batch-tokens", tokens)[0].batches_per_epoch for tokens in ("2000", "100"))
        assert few < many, recipe


def test_a_summarizer_reads_as_many_words_as_are_asked_for(
    reached: Callable[..., tuple[Any, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    _, task = reached("summarization", "--source-words", "3")
    assert task.source_words == 3
    assert "train texts are read up to their word 3 only" in capsys.readouterr().err


def test_rare_labels_cost_more_where_it_is_asked_for(reached: Callable[..., tuple[Any, Any]]) -> None:
    assert reached("sentiment")[0].weights is None
    objective, _ = reached("sentiment", "--class-weights", "true")
    counts = Counter(objective.targets.tolist())
    bad, good = objective.weights.tolist()
    assert counts[0] < counts[1]
    assert bad * counts[0] == pytest.approx(good * counts[1])


def test_words_are_cut_as_is_asked_for() -> None:
    recipe, text = load_recipe(RECIPES / "word_lm.py"), ["one two, one\n"] * 3 + ["three"]

    def tokenizer(**changes: Any) -> nl.Tokenizer:
        return recipe.train_tokenizer(dataclasses.replace(recipe.Config(min_frequency=1), **changes), text)

    assert tokenizer().vocab_size == 8  # one, two, a comma, three, and the four special tokens
    assert tokenizer(pretokenized=True).vocab_size == 7  # "two," is a word
    assert tokenizer(min_frequency=2).vocab_size == 7
    assert tokenizer(vocab_size=5).vocab_size == 5
