"""The word tokenizer: where words end, what is lost, and equality with the tokenizers library."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import tokenizers
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nlp_lstm.errors import RunFolderError, TokenizerError, UsageError
from nlp_lstm.tokenization import Tokenizer, WordTokenizer, _pieces
from nlp_lstm.tokenization._words import WordClasses

PARTS = [
    "heron",
    "didn't",
    "3.5",
    "1,000",
    " ",
    "\n",
    "\r\n",
    "\r",
    "\t",
    "'",
    "’",
    ".",
    "e\u0301",
    "\u0301",
    "<unk>",
    "_",
    "\x1c",
]
TEXTS = st.lists(st.sampled_from(PARTS) | st.characters(codec="utf-8"), max_size=25).map("".join)


def words_of(tokenizer: WordTokenizer, text: str) -> list[str]:
    return [tokenizer.id_to_token(token_id) for token_id in tokenizer.encode(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop, it's 5 o’clock!", ["Don't", "stop", ",", "it's", "5", "o’clock", "!"]),
        ("the 'quoted' dogs' tails", ["the", "'", "quoted", "'", "dogs", "'", "tails"]),
        ("well-known (sic)...", ["well", "-", "known", "(", "sic", ")", ".", ".", "."]),
        ("3.14, 1,000,000. and v1.2", ["3.14", ",", "1,000,000", ".", "and", "v1.2"]),
        ("e.g. a,b", ["e", ".", "g", ".", "a", ",", "b"]),
        ("snake_case __init__", ["snake_case", "__init__"]),
        ("cafe\u0301 हिन्दी", ["cafe\u0301", "हिन्दी"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("漢字かな。次", ["漢字かな", "。", "次"]),
        ("❤\ufe0f👍🏽 x", ["❤\ufe0f", "👍", "🏽", "x"]),
        ("<eos> <unk>", ["<", "eos", ">", "<", "unk", ">"]),
        ("a\tb\xa0c\u3000d\u2028e", ["a", "b", "c", "d", "e"]),
        ("x\n\n y\r\nz", ["x", "<eos>", "<eos>", "y", "<eos>", "z"]),
        ("\x00a\x1c", ["\x00", "a", "\x1c"]),
        ("", []),
    ],
)
def test_running_text_is_split_into_words(text: str, words: list[str]) -> None:
    tokenizer = WordTokenizer.train([text or "x"])
    assert words_of(tokenizer, text) == words
    assert tokenizer.encode(text).count(tokenizer.unk_id) == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("the <unk> n't N ,", ["the", "<unk>", "n't", "N", ","]),
        (" a  b \n c\n", ["a", "b", "<eos>", "c", "<eos>"]),
        ("a\tb don't.", ["a\tb", "don't."]),
        ("x\r\ny\rz", ["x", "<eos>", "y\rz"]),
    ],
)
def test_pretokenized_text_is_split_at_spaces_alone(text: str, words: list[str]) -> None:
    tokenizer = WordTokenizer.train([text], pretokenized=True)
    assert words_of(tokenizer, text) == words
    assert ("<unk>" in words) == (tokenizer.unk_id in tokenizer.encode(text))


def test_pretokenized_special_words_are_words_but_for_the_unknown() -> None:
    tokenizer = WordTokenizer.train(["<pad> <bos> <eos> <unk> <unk>"], pretokenized=True)
    assert tokenizer.vocab_size == 4 + 3
    assert sorted(tokenizer.encode("<pad> <bos> <eos>")) == [4, 5, 6]
    assert tokenizer.encode("<unk> other") == [1, 1]
    assert tokenizer.decode(tokenizer.encode("<eos> <unk>\n<pad>")) == "<eos> <unk>\n<pad>"


@pytest.mark.parametrize("kind", ["word", "word, pretokenized"])
@settings(max_examples=60, deadline=None)
@given(text=TEXTS)
@example(text="a'b''c'\n'd 1.2.3,4. .5 ५.५ ²,²")
def test_the_library_encodes_alike(
    trained: dict[str, Tokenizer], libraries: dict[str, tokenizers.Tokenizer], kind: str, text: str
) -> None:
    assert trained[kind].encode_array(text).tolist() == libraries[kind].encode(text).ids


@pytest.mark.parametrize("pretokenized", [False, True])
def test_the_library_finds_the_same_words_in_all_of_unicode(pretokenized: bool, seed: int, tmp_path: Path) -> None:
    """Every code point once, in random order with letters between, so that each class is met on both sides."""
    draw = random.Random(seed)
    codes = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000 and draw.random() < 0.1]
    draw.shuffle(codes)
    text = "".join(chr(code) + draw.choice(["", "", "a", " ", "'", "1"]) for code in codes)
    tokenizer = WordTokenizer.train([text], pretokenized=pretokenized)
    tokenizer.save(tmp_path)
    library = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    ids = tokenizer.encode_array(text).tolist()
    assert ids == library.encode(text).ids
    assert tokenizer.unk_id not in ids


@pytest.fixture(scope="module")
def libraries(
    trained: dict[str, Tokenizer], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tokenizers.Tokenizer]:
    found = {}
    for kind in ("word", "word, pretokenized"):
        folder = tmp_path_factory.mktemp("tokenizer")
        trained[kind].save(folder)
        found[kind] = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    return found


@pytest.mark.parametrize(
    "text",
    [
        "Hello, world! It's (really) 3.5% off; see a/b.",
        'She said "yes" and "no".\n"New line" is fresh.',
        "¿Qué? «oui» “so” [x] {y} $5 state-of-the-art",
        'An open " quote\nends "there".',
        "\n\nblank lines\n\nstay\n",
    ],
)
def test_decoding_glues_punctuation(text: str) -> None:
    tokenizer = WordTokenizer.train([text])
    expected = text.replace('open " quote', 'open "quote')
    assert tokenizer.decode(tokenizer.encode(text)) == expected


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters=" \n\r"), min_size=1), max_size=4), max_size=4
    )
)
def test_pretokenized_text_with_single_spaces_comes_back(lines: list[list[str]]) -> None:
    text = "\n".join(" ".join(line) for line in lines)
    tokenizer = WordTokenizer.train([text, "x"], pretokenized=True)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_what_decoding_loses_is_lost_once(trained: dict[str, Tokenizer], corpus: str) -> None:
    for kind in ("word", "word, pretokenized"):
        once = trained[kind].decode(trained[kind].encode(corpus))
        assert trained[kind].encode(once) == trained[kind].encode(corpus)


def test_ids_go_by_frequency_then_code_point() -> None:
    tokenizer = WordTokenizer.train(["b a\n", "c b . ."])
    assert [tokenizer.id_to_token(token_id) for token_id in range(4, 8)] == [".", "b", "a", "c"]


def test_the_size_and_the_frequency_cap_the_vocabulary() -> None:
    text = ["x x x y y z"]
    assert WordTokenizer.train(text, 6).encode("x y z w") == [4, 5, 1, 1]
    assert WordTokenizer.train(text, min_frequency=3).encode("x y z") == [4, 1, 1]
    with pytest.raises(UsageError, match="--vocab-size 4 is too small: the word tokenizer needs at least 5 ids"):
        WordTokenizer.train(text, 4)


def test_unknown_words_are_written_out() -> None:
    tokenizer = WordTokenizer.train(["known ."])
    assert tokenizer.decode(tokenizer.encode("known unheard.")) == "known <unk>."


@pytest.mark.parametrize(("text", "pretokenized"), [(" \n \t", False), ("  \n ", True), ("<unk> <unk>", True)])
def test_text_without_words_is_refused(text: str, pretokenized: bool) -> None:
    with pytest.raises(TokenizerError, match="no text to train the word tokenizer on: check what --data points to"):
        WordTokenizer.train([text], pretokenized=pretokenized)


def test_a_full_memory_of_pieces_changes_nothing(trained: dict[str, Tokenizer], corpus: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_pieces, "MAX_PIECES", 5)
        tokenizer = WordTokenizer.train([corpus])
        for line in corpus.splitlines():
            assert tokenizer.encode(line) == trained["word"].encode(line)
            assert len(tokenizer._cache._known) <= 5 + len(line.split())


def test_the_saved_classes_decide_and_not_those_of_this_python(tmp_path: Path) -> None:
    older = WordTokenizer(["ab", "a", "b"], classes=WordClasses(word="a-a", mark="\u0301-\u0301", digit="0-9"))
    assert older.encode("ab") == [5, 6]
    older.save(tmp_path)
    loaded = WordTokenizer.load(tmp_path)
    assert loaded.encode("ab") == [5, 6]
    assert loaded.fingerprint() == older.fingerprint() != WordTokenizer(["ab", "a", "b"]).fingerprint()


@pytest.mark.parametrize("pattern", ["(a+)+$", None, {"String": " "}, "reversed"])
def test_a_splitting_rule_of_others_is_refused(tmp_path: Path, pattern: object) -> None:
    WordTokenizer.train(["some words"]).save(tmp_path)
    path = tmp_path / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    if pattern is None:
        content["pre_tokenizer"] = None
    elif isinstance(pattern, dict):
        content["pre_tokenizer"]["pattern"] = pattern
    elif pattern == "reversed":
        content["pre_tokenizer"]["pattern"]["Regex"] = WordClasses("a-b", "b-b", "9-0").pattern
    else:
        content["pre_tokenizer"]["pattern"]["Regex"] = pattern
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"tokenizer\.json (splits words by a rule|is damaged)"):
        WordTokenizer.load(tmp_path)


def test_a_reversed_range_is_refused() -> None:
    with pytest.raises(ValueError, match="the splitting pattern is damaged: bad character range"):
        WordClasses.from_pattern(WordClasses("a-b", "b-b", "9-0").pattern)
