"""Training by name: names, options and texts that are refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nlp_lstm.errors import TokenizerError, UsageError
from nlp_lstm.tokenization import TOKENIZERS, train_tokenizer

TRAINED = sorted(TOKENIZERS.keys() - {"byte"})


def test_the_table_names_its_classes() -> None:
    assert {name: found.name for name, found in TOKENIZERS.items()} == {name: name for name in TOKENIZERS}
    assert len(TOKENIZERS) == 6


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no tokenizer named 'charcter'\. Did you mean 'character'\?"):
        train_tokenizer("charcter", ["text"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("word", r"The word tokenizer has no option 'lower': it takes min_frequency, pretokenized\."),
        ("byte", r"The byte tokenizer has no option 'lower': it takes none\."),
    ],
)
def test_an_unknown_option_is_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        train_tokenizer(name, ["text"], lower=True)


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("texts", [[], ["", ""]])
def test_no_text_is_refused(name: str, texts: list[str]) -> None:
    message = f"no text to train the {name} tokenizer on: check what --data points to"
    with pytest.raises(TokenizerError, match=message):
        train_tokenizer(name, iter(texts))


@pytest.mark.parametrize("name", TRAINED)
def test_a_bare_string_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"iterable of texts; a single string was given: use \[text\]"):
        train_tokenizer(name, "text")


@pytest.mark.parametrize("name", TRAINED)
def test_texts_are_read_once_and_one_by_one(name: str) -> None:
    alive: list[int] = []

    def texts() -> Iterator[str]:
        for place in range(50):
            alive.append(place)
            yield f"line {place} of some text\n"

    assert train_tokenizer(name, texts()).vocab_size > 4
    assert alive == list(range(50))


@pytest.mark.parametrize("name", ["character", "word", "bpe"])
def test_a_frequency_below_one_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="--min-frequency 0 is out of range"):
        train_tokenizer(name, ["text"], min_frequency=0)
