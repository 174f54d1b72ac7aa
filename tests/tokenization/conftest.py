"""A text of our own and one trained tokenizer of each kind."""

from __future__ import annotations

import random

import pytest

from nlp_lstm.tokenization import Tokenizer, train_tokenizer

KINDS: dict[str, tuple[str, dict[str, object]]] = {
    "character": ("character", {}),
    "character without bytes": ("character", {"byte_fallback": False}),
    "byte": ("byte", {}),
    "word": ("word", {}),
    "word, pretokenized": ("word", {"pretokenized": True}),
    "bpe": ("bpe", {"vocab_size": 400}),
    "sentencepiece-unigram": ("sentencepiece-unigram", {"vocab_size": 340}),
    "sentencepiece-bpe": ("sentencepiece-bpe", {"vocab_size": 340}),
}
_SUBJECTS = ("the ferry", "a heron", "our neighbour's kettle", "nobody", "my café", "the lighthouse-keeper")
_VERBS = ("crossed", "didn't notice", "waited for", "weighed 3.5 kg beside", "sang to", "won (twice!) against")
_OBJECTS = ("the harbour", "a grey morning", '"the long bridge"', "two umbrellas", "<unk> and <eos>", "the tide's edge")


def make_corpus() -> str:
    draw = random.Random(7)
    lines = [f"{draw.choice(_SUBJECTS)} {draw.choice(_VERBS)} {draw.choice(_OBJECTS)}." for _ in range(150)]
    return "\n".join(line[0].upper() + line[1:] for line in lines) + "\n\n  indented,\ttabbed\n"


@pytest.fixture(scope="session")
def corpus() -> str:
    return make_corpus()


@pytest.fixture(scope="session")
def trained(corpus: str) -> dict[str, Tokenizer]:
    return {kind: train_tokenizer(name, [corpus], **options) for kind, (name, options) in KINDS.items()}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def tokenizer(trained: dict[str, Tokenizer], kind: str) -> Tokenizer:
    return trained[kind]


@pytest.fixture
def recipe_of(kind: str) -> tuple[str, dict[str, object]]:
    """The name and options that the tokenizer of this kind was trained with."""
    return KINDS[kind]
