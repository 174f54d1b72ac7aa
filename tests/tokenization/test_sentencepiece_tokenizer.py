"""The two SentencePiece tokenizers, against the library's own calls on whole lines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sentencepiece

from nlp_lstm.errors import DataError, TokenizerError, UsageError
from nlp_lstm.tokenization import SentencePieceBPETokenizer, SentencePieceUnigramTokenizer, Tokenizer, _sentencepiece

CLASSES = [SentencePieceUnigramTokenizer, SentencePieceBPETokenizer]
either = pytest.mark.parametrize("tokenizer_class", CLASSES, ids=lambda found: found.name)
Class = type[SentencePieceUnigramTokenizer] | type[SentencePieceBPETokenizer]


@pytest.mark.parametrize("kind", ["sentencepiece-unigram", "sentencepiece-bpe"])
def test_the_library_encodes_whole_lines_alike(trained: dict[str, Tokenizer], corpus: str, kind: str) -> None:
    tokenizer = trained[kind]
    library = sentencepiece.SentencePieceProcessor(model_proto=tokenizer._model)  # type: ignore[attr-defined]
    for line in corpus.splitlines():
        assert tokenizer.encode(line) == library.encode(line)
        assert library.decode(tokenizer.encode(line)) == line
    assert tokenizer.encode("a\n\nb") == [*library.encode("a"), 4, 4, *library.encode("b")]


@pytest.mark.parametrize("kind", ["sentencepiece-unigram", "sentencepiece-bpe"])
def test_the_vocabulary_begins_alike(trained: dict[str, Tokenizer], kind: str) -> None:
    names = [trained[kind].id_to_token(token_id) for token_id in range(261)]
    assert names[4:7] == ["\n", "<0x00>", "<0x01>"]
    assert names[260] == "<0xFF>"
    assert 262 < trained[kind].vocab_size <= 340
    assert trained[kind].encode("\u2581") == [5 + byte for byte in b"\xe2\x96\x81"]


@either
@pytest.mark.parametrize("text", ["a", "ab", " ", "\t", "a\0b", "<eos> <0x41> <pad> <unk>", "\u2581x\u2585"])
def test_a_small_corpus_gives_a_small_vocabulary(tokenizer_class: Class, text: str) -> None:
    tokenizer = tokenizer_class.train([text])
    assert 262 <= tokenizer.vocab_size < 300
    assert tokenizer.decode(tokenizer.encode(text + "é")) == text + "é"


@either
def test_too_small_a_size_is_refused(tokenizer_class: Class) -> None:
    with pytest.raises(UsageError, match=r"--vocab-size 261 is too small: .* needs at least 262 ids"):
        tokenizer_class.train(["abc"], 261)
    with pytest.raises(
        TokenizerError, match=r"--vocab-size 262 is too small for this text: .* at least --vocab-size 264"
    ):
        tokenizer_class.train(["abc"], 262)
    assert tokenizer_class.train(["abc"], 264).vocab_size == 264


@either
@pytest.mark.parametrize("texts", [["\n\n"], ["\u2581"]])
def test_lines_with_nothing_to_learn_are_refused(tokenizer_class: Class, texts: list[str]) -> None:
    with pytest.raises(TokenizerError, match=f"no text to train the {tokenizer_class.name} tokenizer on"):
        tokenizer_class.train(texts)


@either
def test_a_fault_of_the_texts_comes_through(tokenizer_class: Class) -> None:
    def texts() -> Iterator[str]:
        yield "abc"
        raise DataError("line 7 is broken")

    with pytest.raises(DataError, match="line 7 is broken"):
        tokenizer_class.train(texts())


@either
def test_other_faults_of_the_library_are_told(tokenizer_class: Class, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**options: object) -> None:
        raise RuntimeError("something else ")

    monkeypatch.setattr(sentencepiece.SentencePieceTrainer, "train", fail)
    with pytest.raises(TokenizerError, match=f"could not train the {tokenizer_class.name} tokenizer: something else$"):
        tokenizer_class.train(["abc"])


@either
def test_one_long_line_is_learnt_from(tokenizer_class: Class) -> None:
    words = "the tide turns and the ferry waits " * 300
    tokenizer = tokenizer_class.train([words + "x" * 1500])
    assert tokenizer.id_to_token(tokenizer.encode("the ferry waits")[-1]) == "\u2581waits"


@either
def test_the_draw_of_lines_is_the_same_each_time(
    tokenizer_class: Class, corpus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tokenizer_class.train([corpus], 340)
    monkeypatch.setattr(_sentencepiece, "_SAMPLED_LINES", 101)  # the library takes no smaller draw
    drawn = [tokenizer_class.train([corpus], 340).fingerprint() for _ in range(2)]
    assert drawn[0] == drawn[1] != whole.fingerprint()


@either
def test_training_is_quiet(tokenizer_class: Class, corpus: str, capfd: pytest.CaptureFixture[str]) -> None:
    tokenizer_class.train([corpus], 340)
    assert capfd.readouterr() == ("", "")
