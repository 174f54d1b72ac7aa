"""What every tokenizer keeps to, whatever its kind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nlp_lstm.errors import TokenizerError
from nlp_lstm.tokenization import SPECIAL_TOKENS, TOKENIZERS, Tokenizer, _base, load_tokenizer, train_tokenizer

SNIPPETS = [
    "the heron",
    "didn't",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t",
    "\x1c",
    "\x00",
    "\xa0",
    "\u3000",
    "\u2581",
    "\u2585",
    "\u200b",
    "\ufeff",
    "<eos>",
    "<pad>",
    "<bos>",
    "<unk>",
    "<0x41>",
    "'s",
    "3,5.",
    "e\u0301",
    "ก็",
    "漢字",
    "👩\u200d🚀",
    "❤\ufe0f",
    "ﬁ",
    "\U0010ffff",
]
TEXTS = st.one_of(
    st.text(max_size=40), st.lists(st.sampled_from(SNIPPETS) | st.characters(codec="utf-8"), max_size=12).map("".join)
)
PROPERTY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@PROPERTY
@given(text=TEXTS)
@example(text="")
@example(text="\u2581 \u2585\n\n \r\n")
@example(text="!\x1c a\u3000\u3000  b\x1c")
def test_nothing_is_lost(tokenizer: Tokenizer, text: str) -> None:
    if tokenizer.lossless:
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_only_word_and_unknown_characters_lose(trained: dict[str, Tokenizer]) -> None:
    lossy = {kind for kind, tokenizer in trained.items() if not tokenizer.lossless}
    assert lossy == {"character without bytes", "word", "word, pretokenized"}


@PROPERTY
@given(text=TEXTS)
@example(text="!\x1c a\u3000\u3000  b\x1c")
@example(text="a\x85 b\u2028\n c")
def test_the_array_is_the_list(tokenizer: Tokenizer, text: str) -> None:
    array = tokenizer.encode_array(text)
    assert array.ndim == 1
    assert array.dtype == (np.uint8 if tokenizer.vocab_size <= 256 else np.uint16)
    assert array.tolist() == tokenizer.encode(text)


@PROPERTY
@given(text=TEXTS)
def test_a_long_text_is_encoded_in_spans_that_change_nothing(tokenizer: Tokenizer, text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        whole = tokenizer.encode_array(text).tolist()
        patch.setattr(_base, "SPAN_CHARACTERS", 3)
        assert tokenizer.encode_array(text).tolist() == whole


def test_spans_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_base, "SPAN_CHARACTERS", 3)
    assert list(_base._spans("abcdef gh  ij\r\nkl m")) == ["abcdef", " gh", "  ij\r\nkl", " m"]


@PROPERTY
@given(texts=st.lists(TEXTS, max_size=4))
def test_a_batch_is_its_texts(tokenizer: Tokenizer, texts: list[str]) -> None:
    assert tokenizer.encode_batch(iter(texts)) == [tokenizer.encode(text) for text in texts]


@PROPERTY
@given(text=TEXTS)
def test_text_never_yields_special_ids(tokenizer: Tokenizer, text: str) -> None:
    allowed: set[int] = set()
    if tokenizer.name == "word":
        allowed = {tokenizer.unk_id, tokenizer.eos_id} if "\n" in text else {tokenizer.unk_id}
    elif not tokenizer.lossless:
        allowed = {tokenizer.unk_id}
    assert {token_id for token_id in tokenizer.encode(text) if token_id < 4} <= allowed


@PROPERTY
@given(data=st.data())
def test_stream_decoding_is_decoding(tokenizer: Tokenizer, data: st.DataObject) -> None:
    any_ids = st.lists(st.integers(0, tokenizer.vocab_size - 1) | st.integers(0, 3), max_size=30)
    low_ids = st.lists(st.integers(0, min(tokenizer.vocab_size, 262) - 1), max_size=30)  # mostly bytes
    ids = data.draw(st.one_of(any_ids, low_ids, TEXTS.map(tokenizer.encode)))
    decoder = tokenizer.stream_decoder()
    first = [decoder.feed(token_id) for token_id in ids] + [decoder.flush()]
    again = [decoder.feed(token_id) for token_id in ids] + [decoder.flush()]
    assert "".join(first) == tokenizer.decode(ids)
    assert again == first


@PROPERTY
@given(text=TEXTS)
def test_stream_decoding_waits_for_the_whole_character(tokenizer: Tokenizer, text: str) -> None:
    if tokenizer.lossless:
        decoder = tokenizer.stream_decoder()
        so_far = ""
        for token_id in tokenizer.encode(text):
            so_far += decoder.feed(token_id)
            assert text.startswith(so_far)
        assert so_far == text
        assert decoder.flush() == ""


def test_the_special_tokens_have_the_same_ids_everywhere(tokenizer: Tokenizer) -> None:
    ids = (tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id)
    assert ids == (0, 1, 2, 3)
    assert tuple(map(tokenizer.id_to_token, ids)) == SPECIAL_TOKENS == ("<pad>", "<unk>", "<bos>", "<eos>")


def test_padding_and_the_beginning_vanish(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("the heron")
    assert tokenizer.decode([2, *ids[:1], 0, *ids[1:], 3, 0]) == "the heron" + "\n" * tokenizer.line_end_is_eos
    assert tokenizer.decode(np.array(ids)) == tokenizer.decode(tuple(ids)) == "the heron"
    assert tokenizer.decode([]) == ""


def test_line_ends_are_eos_at_word_level_alone(tokenizer: Tokenizer) -> None:
    assert tokenizer.line_end_is_eos == (tokenizer.name == "word")
    assert (tokenizer.eos_id in tokenizer.encode("the heron\n")) == tokenizer.line_end_is_eos


@pytest.mark.parametrize("beyond", [-1, 0])
def test_an_id_of_another_vocabulary_is_refused(tokenizer: Tokenizer, beyond: int) -> None:
    wrong = -1 if beyond else tokenizer.vocab_size
    message = f"Token id {wrong} is not in the {tokenizer.name} vocabulary: its {tokenizer.vocab_size} ids are 0 to"
    with pytest.raises(TokenizerError, match=message):
        tokenizer.decode([5, wrong])
    with pytest.raises(TokenizerError, match=message):
        tokenizer.id_to_token(wrong)
    with pytest.raises(TokenizerError, match=message):
        tokenizer.stream_decoder().feed(wrong)


def test_tokens_are_named_apart(tokenizer: Tokenizer) -> None:
    assert len(set(map(tokenizer.id_to_token, range(tokenizer.vocab_size)))) == tokenizer.vocab_size


def test_a_lone_surrogate_is_refused(tokenizer: Tokenizer) -> None:
    for encode in (tokenizer.encode, tokenizer.encode_array, lambda text: tokenizer.encode_batch([text])):
        with pytest.raises(TokenizerError, match=r"lone surrogate U\+D83D before 'def'.* errors='replace'"):
            encode("abc \ud83ddef")


def test_a_lone_surrogate_is_refused_in_training(recipe_of: tuple[str, dict[str, object]]) -> None:
    name, options = recipe_of
    if name != "byte":
        with pytest.raises(TokenizerError, match=r"lone surrogate U\+DC80"):
            train_tokenizer(name, ["fine", "not \udc80"], **options)


def test_saving_and_loading_changes_nothing(tokenizer: Tokenizer, corpus: str, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "new" / "folder")
    for loaded in (load_tokenizer(tmp_path / "new" / "folder"), type(tokenizer).load(str(tmp_path / "new" / "folder"))):
        assert type(loaded) is type(tokenizer)
        assert loaded.fingerprint() == tokenizer.fingerprint()
        assert (loaded.vocab_size, loaded.lossless) == (tokenizer.vocab_size, tokenizer.lossless)
        ids = range(tokenizer.vocab_size)
        assert list(map(loaded.id_to_token, ids)) == list(map(tokenizer.id_to_token, ids))
        text = corpus + "".join(SNIPPETS)
        assert loaded.encode(text) == loaded.encode_array(text).tolist() == tokenizer.encode(text)
        assert loaded.decode(ids) == tokenizer.decode(ids)
    library_file = "tokenizer.model" if tokenizer.name.startswith("sentencepiece") else "tokenizer.json"
    files = sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    assert files == sorted([library_file, "tokenizer_config.json"])


def test_fingerprints_tell_tokenizers_apart(trained: dict[str, Tokenizer], corpus: str) -> None:
    others = [train_tokenizer(name, [corpus + "ж ж"], None) for name in TOKENIZERS if name != "byte"]
    prints = [tokenizer.fingerprint() for tokenizer in [*trained.values(), *others]]
    assert len(set(prints)) == len(prints)
    assert all(len(digest) == 64 and int(digest, 16) >= 0 for digest in prints)


def test_training_depends_on_the_text_alone(trained: dict[str, Tokenizer], tmp_path: Path) -> None:
    """Another process, whose strings hash otherwise, learns the same from the same text in other pieces."""
    program = """
import runpy, sys
space = runpy.run_path(sys.argv[1])
from nlp_lstm.tokenization import train_tokenizer
for name, options in space["KINDS"].values():
    print(train_tokenizer(name, iter(space["make_corpus"]().splitlines(keepends=True)), **options).fingerprint())
"""
    here = Path(__file__).parent / "conftest.py"
    environment = os.environ | {"PYTHONHASHSEED": "12345", "PYTHONPATH": str(here.parents[2])}
    result = subprocess.run(
        [sys.executable, "-c", program, str(here)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split() == [tokenizer.fingerprint() for tokenizer in trained.values()]
