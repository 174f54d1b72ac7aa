"""Comparing two runs: the right test on the same data, and what is said where the data or the tasks differ."""

from __future__ import annotations

import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nlp_lstm.data import DataOptions, load_text, tokenize
from nlp_lstm.errors import DataError, UsageError
from nlp_lstm.evaluation import compare_classifications, compare_summaries, compare_translations
from nlp_lstm.models import LanguageModel, LanguageModelOptions
from nlp_lstm.tasks import LanguageModeling, Summarization, compare
from nlp_lstm.tasks._compare import _sums, _tokenize_spans
from nlp_lstm.tokenization import train_tokenizer

TEXT = "".join(
    f"Line {i} of the log:  the café opened at {i % 24}:00,\n\n and\tclosed at {i % 7} sharp — “so late”.\r\n"
    for i in range(120)
)
TOKENIZERS = ["character", "byte", "word", "bpe", "sentencepiece-bpe", "sentencepiece-unigram"]


@pytest.fixture
def text_file(tmp_path):
    path = tmp_path / "log.txt"
    path.write_bytes(TEXT.encode())
    return path


def whole(path):
    return DataOptions(str(path), valid_fraction=0, test_fraction=1)


def language_model(name, path, seed=0, hidden_size=9):
    tokenizer = train_tokenizer(name, [TEXT], vocab_size=None if name in {"character", "byte", "word"} else 340)
    torch.manual_seed(seed)
    model = LanguageModel(tokenizer.vocab_size, LanguageModelOptions(embedding_size=5, hidden_size=hidden_size))
    data = {"data": str(path), "valid_fraction": 0, "test_fraction": 1}
    return LanguageModeling(model.eval(), tokenizer, {"data": data})


@pytest.mark.parametrize("name", TOKENIZERS)
def test_spans_have_the_tokens_of_the_whole_text(name, text_file, tmp_path):
    tokenizer = language_model(name, text_file).tokenizer
    source = load_text(whole(text_file)).split("test")
    text, tokens = _tokenize_spans(source, tokenizer)
    expected = tokenize(source, tokenizer, tmp_path)
    np.testing.assert_array_equal(text.ids, expected.ids)
    assert text.characters == expected.characters == len(TEXT)
    assert text.unknown == expected.unknown
    assert tokens.sum() == len(text.ids)
    assert len(tokens) > 50


@pytest.mark.parametrize("name", ["character", "word"])
def test_records_end_as_they_do_in_training(name, tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text("".join(f'{{"text": "the log number {i} " }}\n' for i in range(9)) + '{"text": "a\\n"}\n')
    tokenizer = train_tokenizer(name, [TEXT])
    source = load_text(whole(path)).split("test")
    assert source.ends_with_eos
    text, tokens = _tokenize_spans(source, tokenizer)
    np.testing.assert_array_equal(text.ids, tokenize(source, tokenizer, tmp_path).ids)
    assert len(tokens) == 10


def test_language_models_with_one_tokenizer_are_compared_token_by_token(text_file):
    a, b = (language_model("character", text_file, seed=seed) for seed in (1, 2))
    found = compare(a, b)
    (bits,) = found.differences
    assert bits.a == pytest.approx(a.evaluate().to_json()["bits_per_char"], rel=1e-5)
    assert bits.b == pytest.approx(b.evaluate().to_json()["bits_per_char"], rel=1e-5)
    assert found.n == len(TEXT)
    assert "|span:token|" in found.signature
    same = compare(a, a, whole(text_file))
    assert (same.differences[0].difference, same.differences[0].p_values["paired_block_bootstrap"]) == (0.0, 1.0)


def test_language_models_with_two_tokenizers_are_compared_by_stretches_of_text(text_file):
    a, b = language_model("character", text_file), language_model("bpe", text_file)
    found = compare(a, b, whole(text_file))
    (bits,) = found.differences
    assert bits.a == pytest.approx(a.evaluate().to_json()["bits_per_char"], rel=1e-5)
    assert bits.b == pytest.approx(b.evaluate().to_json()["bits_per_char"], rel=1e-5)
    assert "|span:128-characters|" in found.signature
    assert 50 < found.n <= math.ceil(len(TEXT) / 128)


def test_sums_of_runs():
    assert _sums(np.array([1.0, 2.0, 4.0, 8.0]), np.array([2, 0, 1, 1])).tolist() == [3.0, 0.0, 4.0, 8.0]


def test_own_test_texts_that_differ_are_refused(text_file, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text(TEXT.replace("café", "cafe"))
    a, b = language_model("character", text_file), language_model("character", other)
    with pytest.raises(DataError, match=r"test splits of the runs' own data differ.*--data"):
        compare(a, b)
    assert compare(a, b, whole(text_file)).n == len(TEXT)


def test_an_empty_split_is_refused(text_file, monkeypatch):
    from nlp_lstm.data import TextSource

    with pytest.raises(DataError, match=r"nothing\.txt is empty"):
        _tokenize_spans(TextSource("nothing.txt", False, lambda: iter(())), train_tokenizer("byte", ["a"]))


def fake_translation(hypotheses, references, sources=("ein", "zwei", "drei")):
    asked = []

    def outputs(data, split):
        asked.append((data, split))
        return list(sources), hypotheses, references

    return SimpleNamespace(kind="translation", outputs=outputs, asked=asked)


def test_translations():
    references = ["one is here", "two are here", "three are here"]
    a = fake_translation(["one is there", "two are here", "three is here"], references)
    b = fake_translation(references, references)
    expected = compare_translations(a.outputs(None, "")[1], references, references)
    assert compare(a, b, "the data", "valid") == expected
    assert a.asked[-1] == b.asked[-1] == ("the data", "valid")
    for changed in (fake_translation(references, references[::-1]), fake_translation(references, references, "abc")):
        with pytest.raises(DataError, match="valid splits of the runs' own data differ"):
            compare(a, changed, None, "valid")


class FakeSummarization(Summarization):
    """A summarizer that has written already."""

    def __init__(self, hypotheses, references):
        self.written = ["a", "b", "c"], hypotheses, references

    def outputs(self, data=None, split="test"):
        return self.written


def test_summarizers_are_compared_by_rouge(monkeypatch):
    pytest.importorskip("rouge_score")
    references = ["one is here", "two are here", "three are here"]
    given = ["one is there", "two are here", "three is here"]
    a, b = FakeSummarization(given, references), FakeSummarization(references, references)
    expected = compare_summaries(given, references, references)
    assert compare(a, b) == compare(a, fake_translation(references, references, "abc")) == expected
    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)
    for one in (a, b):
        monkeypatch.setattr(one, "written", None)
    with pytest.raises(UsageError, match=r"pip install 'nlp-lstm\[rouge\]'"):  # before anything is written
        compare(a, b)


def fake_classification(probabilities, gold, labels, several=False, texts=("x", "y", "z")):
    return SimpleNamespace(
        kind="classification",
        labels=labels,
        several=several,
        outputs=lambda data, split: (list(texts), np.array(probabilities), gold),
    )


def test_classifications_with_their_labels_in_any_order():
    gold = [("good",), ("bad",), ("good",)]
    a = fake_classification([[0.1, 0.9], [0.2, 0.8], [0.6, 0.4]], gold, ("bad", "good"))
    b = fake_classification([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], gold, ("good", "bad"))
    assert compare(a, b) == compare_classifications([True, False, False], [True, True, True])
    with pytest.raises(DataError, match="test splits"):
        compare(a, fake_classification([[1, 0]] * 3, [("bad",)] * 3, ("bad", "good")))
    with pytest.raises(DataError, match="test splits"):
        compare(a, fake_classification([[1, 0]] * 3, gold, ("bad", "good"), texts=("x", "y", "w")))


def test_several_labels_must_all_be_right():
    gold = [("a", "b"), (), ("b",)]
    a = fake_classification([[0.9, 0.9], [0.1, 0.1], [0.9, 0.9]], gold, ("a", "b"), several=True)
    b = fake_classification([[0.9, 0.1], [0.1, 0.1], [0.1, 0.9]], gold, ("a", "b"), several=True)
    assert compare(a, b) == compare_classifications([True, True, False], [False, True, True])


def test_runs_of_two_tasks_are_refused():
    a = fake_translation([], [])
    b = fake_classification([], [], ())
    with pytest.raises(
        UsageError, match=r"Run A is for translation and run B for classification.*two runs of one task"
    ):
        compare(a, b)
