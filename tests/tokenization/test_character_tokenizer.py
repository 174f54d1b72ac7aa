"""The character tokenizer and the byte tokenizer, against the tokenizers library and against Python's own UTF-8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from nlp_lstm.errors import RunFolderError, UsageError
from nlp_lstm.tokenization import ByteTokenizer, CharacterTokenizer, Tokenizer

TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from("the heron.\n<>"), max_size=60)
KINDS = ["character", "character without bytes", "byte"]


@pytest.fixture(scope="module")
def libraries(
    trained: dict[str, Tokenizer], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tokenizers.Tokenizer]:
    """The saved files as the tokenizers library alone reads them."""
    found = {}
    for kind in KINDS:
        folder = tmp_path_factory.mktemp("tokenizer")
        trained[kind].save(folder)
        found[kind] = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    return found


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(text=TEXTS)
def test_the_library_encodes_alike(
    trained: dict[str, Tokenizer], libraries: dict[str, tokenizers.Tokenizer], kind: str, text: str
) -> None:
    ids = libraries[kind].encode(text).ids
    assert trained[kind].encode_array(text).tolist() == ids
    if trained[kind].lossless:
        assert libraries[kind].decode(ids, skip_special_tokens=False) == text


def test_the_library_encodes_the_corpus_alike(
    trained: dict[str, Tokenizer], libraries: dict[str, tokenizers.Tokenizer], corpus: str
) -> None:
    for kind in KINDS:
        assert trained[kind].encode_array(corpus).tolist() == libraries[kind].encode(corpus).ids


def test_ids_go_by_frequency_then_code_point() -> None:
    tokenizer = CharacterTokenizer.train(["ccb", "", "ab\n"])
    assert [tokenizer.id_to_token(token_id) for token_id in range(260, 264)] == ["b", "c", "\n", "a"]
    assert tokenizer.vocab_size == 264
    assert tokenizer.id_to_token(4) == "<0x00>"
    assert tokenizer.id_to_token(259) == "<0xFF>"


def test_unseen_characters_become_their_bytes_in_place() -> None:
    tokenizer = CharacterTokenizer.train(["ab"])
    expected = [260, *(4 + byte for byte in "é€𝄞".encode()), 261, 4 + ord("c")]
    assert tokenizer.encode("aé€𝄞bc") == expected
    assert tokenizer.decode(expected) == "aé€𝄞bc"


def test_without_bytes_unseen_characters_are_unknown() -> None:
    tokenizer = CharacterTokenizer.train(["ab"], byte_fallback=False)
    assert tokenizer.encode("a\U0001d11eb") == [4, 1, 5]
    assert tokenizer.decode([4, 1, 5]) == "a\ufffdb"
    assert tokenizer.vocab_size == 6


def test_the_size_keeps_the_most_frequent() -> None:
    assert CharacterTokenizer.train(["aaabbc"], 262).encode("abc") == [260, 261, 4 + ord("c")]
    assert CharacterTokenizer.train(["aaabbc"], 6, byte_fallback=False).encode("abc") == [4, 5, 1]


def test_rare_characters_get_no_id() -> None:
    assert CharacterTokenizer.train(["aaabbc"], byte_fallback=False, min_frequency=2).vocab_size == 6


@pytest.mark.parametrize(("size", "byte_fallback", "least"), [(260, True, 261), (4, False, 5)])
def test_too_small_a_size_is_refused(size: int, byte_fallback: bool, least: int) -> None:
    with pytest.raises(UsageError, match=rf"--vocab-size {size} is too small: .* at least {least} ids"):
        CharacterTokenizer.train(["abc"], size, byte_fallback=byte_fallback)
    assert CharacterTokenizer.train(["abc"], least, byte_fallback=byte_fallback).vocab_size == least


@pytest.mark.parametrize(("count", "dtype"), [(252, np.uint8), (253, np.uint16), (65532, np.uint16), (65533, np.int32)])
def test_the_dtype_just_holds_the_vocabulary(count: int, dtype: type[np.generic]) -> None:
    characters = [chr(0x10000 + place) for place in range(count)]
    tokenizer = CharacterTokenizer(characters, byte_fallback=False)
    array = tokenizer.encode_array(characters[-1] + "?")
    assert array.dtype == dtype
    assert array.tolist() == [count + 3, 1]


def test_another_tokenizers_file_is_refused(trained: dict[str, Tokenizer], tmp_path: Path) -> None:
    trained["character"].save(tmp_path)
    trained["bpe"]._library.save(str(tmp_path / "tokenizer.json"))  # type: ignore[attr-defined]
    with pytest.raises(RunFolderError, match=r"ids 0 to 3 are"):
        CharacterTokenizer.load(tmp_path)


def test_a_file_with_bytes_is_no_file_without(trained: dict[str, Tokenizer], tmp_path: Path) -> None:
    trained["character"].save(tmp_path)
    config = tmp_path / "tokenizer_config.json"
    config.write_text(config.read_text().replace("true", "false"))
    with pytest.raises(RunFolderError, match=r"tokenizer\.json: a token is longer than one character"):
        CharacterTokenizer.load(tmp_path)


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=20))
def test_bytes_decode_as_python_decodes_them(data: bytes) -> None:
    tokenizer = ByteTokenizer.train()
    ids = [4 + byte for byte in data]
    assert tokenizer.decode(ids) == data.decode("utf-8", errors="replace")
    assert tokenizer.encode(tokenizer.decode(ids)) == [4 + byte for byte in tokenizer.decode(ids).encode()]
    decoder = tokenizer.stream_decoder()
    assert "".join([*map(decoder.feed, ids), decoder.flush()]) == data.decode("utf-8", errors="replace")


def test_incomplete_bytes_are_held_back() -> None:
    decoder = ByteTokenizer.train().stream_decoder()
    assert [decoder.feed(4 + byte) for byte in "€a".encode()] == ["", "", "€", "a"]
    assert [decoder.feed(4 + 0xE2), decoder.flush(), decoder.flush()] == ["", "\ufffd", ""]


def test_the_byte_tokenizer_has_one_size() -> None:
    assert ByteTokenizer.train(["text"], 260).vocab_size == 260
    with pytest.raises(UsageError, match="--vocab-size 300 is not possible: the byte tokenizer has 260 ids"):
        ByteTokenizer.train(["text"], 300)
