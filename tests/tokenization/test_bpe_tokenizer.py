"""Byte-level BPE, against the tokenizers library's own splitter and decoder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import tokenizers
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nlp_lstm.errors import DataError, RunFolderError, UsageError
from nlp_lstm.tokenization import BytePairTokenizer, Tokenizer
from nlp_lstm.tokenization._bpe import _PIECE, _byte_of_character

PARTS = [
    "heron",
    "'s",
    " ",
    "  ",
    "\n",
    "\t",
    "\r\n",
    "\x1c",
    "\x85",
    "\xa0",
    "\u3000",
    "\u2028",
    "!",
    "<eos>",
    "12",
    "é",
]
TEXTS = st.lists(st.sampled_from(PARTS) | st.characters(codec="utf-8"), max_size=25).map("".join)


def test_the_alphabet_is_the_librarys() -> None:
    byte_of = _byte_of_character()
    assert set(byte_of) == set(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    assert sorted(byte_of.values()) == list(range(256))


@settings(max_examples=60, deadline=None)
@given(text=TEXTS)
def test_the_library_decodes_alike(trained: dict[str, Tokenizer], text: str) -> None:
    bpe = trained["bpe"]
    assert bpe._library.decode(bpe.encode(text), skip_special_tokens=False) == bpe.decode(bpe.encode(text)) == text  # type: ignore[attr-defined]


@settings(max_examples=60, deadline=None)
@given(text=TEXTS)
@example(text="!\x1c a\u3000\u3000  b\x1c")
@example(text="a\x85 \x1c b \u3000\n")
def test_pieces_end_where_the_librarys_words_end(text: str) -> None:
    pieces = _PIECE.findall(text)
    splitter = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    whole = [word for word, _ in splitter.pre_tokenize_str(text)]
    assert "".join(pieces) == text
    assert [word for piece in pieces for word, _ in splitter.pre_tokenize_str(piece)] == whole


def test_ordinary_text_has_many_pieces() -> None:
    assert _PIECE.findall("two words\n  and more ") == ["two", " words", "\n  and", " more", " "]


def test_the_saved_file_types_no_special_token(trained: dict[str, Tokenizer], tmp_path: Path) -> None:
    trained["bpe"].save(tmp_path)
    library = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    text = "a <eos> <pad><bos> <unk>"
    assert library.encode(text).ids == trained["bpe"].encode(text)
    assert min(library.encode(text).ids) > 3
    assert [library.token_to_id(token) for token in ("<pad>", "<unk>", "<bos>", "<eos>")] == [0, 1, 2, 3]


def test_merges_are_learnt_by_hand_count() -> None:
    """ "ab" occurs four times, then "ab"+"c" three; " d" once, below the least frequency."""
    tokenizer = BytePairTokenizer.train(["abc", "abc", "abc", "ab d"])
    assert [tokenizer.id_to_token(token_id) for token_id in range(260, tokenizer.vocab_size)] == ["ab", "abc"]
    assert tokenizer.encode("abcab") == [261, 260]
    assert BytePairTokenizer.train(["abc", "abc", "abc", "ab d"], min_frequency=1).vocab_size == 263
    assert BytePairTokenizer.train(["abc", "abc", "abc", "ab d"], 261).vocab_size == 261


def test_special_tokens_decode_to_nothing_and_the_unknown_to_its_sign() -> None:
    assert BytePairTokenizer.train(["abc"], 260).decode([0, 2, 3, 1]) == "\ufffd"


def test_too_small_a_size_is_refused() -> None:
    with pytest.raises(UsageError, match="--vocab-size 259 is too small: the bpe tokenizer needs at least 260 ids"):
        BytePairTokenizer.train(["abc"], 259)


def test_a_fault_of_the_texts_comes_through() -> None:
    def texts() -> Iterator[str]:
        yield "abc"
        raise DataError("line 7 is broken")

    with pytest.raises(DataError, match="line 7 is broken"):
        BytePairTokenizer.train(texts())


def test_a_file_without_all_bytes_is_refused(trained: dict[str, Tokenizer], tmp_path: Path) -> None:
    trained["bpe"].save(tmp_path)
    specials = {token: token_id for token_id, token in enumerate(("<pad>", "<unk>", "<bos>", "<eos>"))}
    for extra in ({"a": 4}, dict(zip(_byte_of_character(), range(4, 260), strict=True)) | {"漢": 260}):
        model = tokenizers.models.BPE(specials | extra, [])
        tokenizers.Tokenizer(model).save(str(tmp_path / "tokenizer.json"))
        with pytest.raises(RunFolderError, match=r"tokenizer\.json is not byte-level"):
            BytePairTokenizer.load(tmp_path)
