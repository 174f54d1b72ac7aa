"""Language modelling as a user holds it: generation, conversation, scores."""

from __future__ import annotations

import math
from itertools import islice

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nlp_lstm.data import DataOptions, load_text, tokenize
from nlp_lstm.decoding import SamplingOptions
from nlp_lstm.errors import DataError, UsageError
from nlp_lstm.models import LanguageModel, LanguageModelOptions
from nlp_lstm.tasks import LanguageModeling
from nlp_lstm.tasks._conversation import read, start_ids
from nlp_lstm.tokenization import ByteTokenizer, train_tokenizer

TEXT = "Snow fell on the harbour.\nThe boats were still, and the café was shut: “closed”.\n" * 40
GREEDY = SamplingOptions(temperature=0)


def _task(name="character", **options):
    tokenizer = train_tokenizer(name, [TEXT])
    torch.manual_seed(0)
    model = LanguageModel(tokenizer.vocab_size, LanguageModelOptions(embedding_size=5, hidden_size=9, **options))
    if name == "character":
        with torch.no_grad():  # only the characters of the text are written, so that what is said can be read back
            kept = model.output.bias[sorted(set(tokenizer.encode(TEXT)))].clone()
            model.output.bias.fill_(-1e9)
            model.output.bias[sorted(set(tokenizer.encode(TEXT)))] = kept
    return LanguageModeling(model.eval(), tokenizer)


@pytest.fixture
def text_file(tmp_path):
    path = tmp_path / "harbour.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_greedy_text_is_the_argmax_of_the_whole_sequence_each_time():
    task = _task()
    (text,) = task.generate("The ", max_tokens=20, options=GREEDY)
    ids = task.tokenizer.encode("The ")
    for _ in range(20):
        logits, _ = task.model(torch.tensor([ids]))
        ids.append(int(logits[0, -1].argmax()))
    assert text == task.tokenizer.decode(ids[4:])


@pytest.mark.parametrize("name", ["character", "byte", "word", "bpe"])
def test_streamed_pieces_make_the_text_that_is_generated_at_once(name):
    task = _task(name)
    whole = task.generate("Snow", max_tokens=60, seed=5)[0]
    pieces = list(task.stream("Snow", max_tokens=60, seed=5))
    assert "".join(pieces) == whole
    assert whole != task.generate("Snow", max_tokens=60, seed=6)[0]


def test_samples_of_a_batch_differ_and_repeat_with_their_seed():
    task = _task()
    samples = task.generate("T", max_tokens=30, samples=4, seed=1)
    assert len(set(samples)) == 4
    assert samples == task.generate("T", max_tokens=30, samples=4, seed=1)
    assert task.generate("T", max_tokens=30) != task.generate("T", max_tokens=30)


def test_an_empty_prompt_starts_after_a_line_end():
    task = _task()
    assert task.generate("", max_tokens=9, options=GREEDY) == task.generate("\n", max_tokens=9, options=GREEDY)


def test_a_conversation_carries_the_text_from_turn_to_turn():
    task = _task()
    talk = task.conversation()
    first = "".join(talk.stream("The boats ", max_tokens=7, options=GREEDY))
    second = "".join(talk.stream("and ", max_tokens=7, options=GREEDY))
    third = "".join(talk.stream(max_tokens=7, options=GREEDY))
    assert second == task.generate("The boats " + first + "and ", max_tokens=7, options=GREEDY)[0]
    assert third == task.generate("The boats " + first + "and " + second, max_tokens=7, options=GREEDY)[0]
    talk.reset()
    assert first == "".join(talk.stream("The boats ", max_tokens=7, options=GREEDY))


def test_a_turn_that_is_broken_off_keeps_what_was_said():
    task = _task()
    talk = task.conversation()
    turn = talk.stream("The boats ", options=GREEDY)
    said = "".join(islice(turn, 5))
    turn.close()
    rest = "".join(talk.stream(max_tokens=5, options=GREEDY))
    assert said + rest == task.generate("The boats ", max_tokens=10, options=GREEDY)[0]


def test_repetition_penalty_sees_the_prompt():
    task = _task()
    options = SamplingOptions(temperature=0, repetition_penalty=1e6)
    text = task.generate("Snow fel", max_tokens=10, options=options)[0]
    assert not set(text) & set("Snow fel")
    assert len(set(text)) == len(text)


def test_the_state_does_not_grow_with_the_text():
    talk = _task().conversation()
    turn = talk.stream("S", seed=0)
    list(islice(turn, 10))
    text = talk._text
    sizes = [tensor.shape for tensor in text.state[0]]
    list(islice(turn, 5000))
    assert [tensor.shape for tensor in text.state[0]] == sizes
    assert len(text.history) == text.history.maxlen


@pytest.mark.parametrize("arguments", [{"max_tokens": 0}, {"samples": 0}])
def test_nothing_to_generate_is_refused(arguments):
    with pytest.raises(UsageError, match="at least 1"):
        _task().generate("a", **arguments)
    with pytest.raises(UsageError, match="--max-tokens 0"):
        _task().stream("a", max_tokens=0)


def test_model_and_tokenizer_must_fit():
    with pytest.raises(UsageError, match="must come from one run"):
        LanguageModeling(LanguageModel(7, LanguageModelOptions()), ByteTokenizer())


@pytest.mark.parametrize("rows", [1, 5])
def test_token_losses_are_those_of_one_pass_in_the_order_of_the_text(tmp_path, text_file, monkeypatch, rows):
    from nlp_lstm.tasks import _language_model_reading, _language_modeling

    monkeypatch.setattr(_language_model_reading, "rows_of", lambda tokens: rows)
    # Context as long as the text: every row then has read all that stands before it.
    monkeypatch.setattr(_language_modeling, "CONTEXT", 10**6)
    task = _task()
    data = load_text(DataOptions(str(text_file), valid_fraction=0, test_fraction=0))
    text = tokenize(data.split("train"), task.tokenizer, tmp_path)
    start = task.tokenizer.encode("\n")
    ids = torch.from_numpy(np.concatenate([start, np.asarray(text.ids).astype(np.int64)]))[None]
    logits, _ = task.model(ids[:, :-1])
    expected = F.cross_entropy(logits[0], ids[0, 1:], reduction="none")
    np.testing.assert_allclose(task.token_losses(text), expected.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary(text_file):
    task = _task()
    with torch.no_grad():
        task.model.output.weight.zero_()
        task.model.output.bias.zero_()
    scores = task.evaluate(DataOptions(str(text_file), valid_fraction=0, test_fraction=1)).to_json()
    size = task.tokenizer.vocab_size
    assert scores["perplexity"] == pytest.approx(size, rel=1e-5)
    assert scores["bits_per_char"] == pytest.approx(math.log2(size), rel=1e-5)
    # é and the quotation marks have two and three bytes.
    share = len(TEXT) / len(TEXT.encode())
    assert scores["bits_per_byte"] == pytest.approx(math.log2(size) * share, rel=1e-5)
    assert scores["word_perplexity"] == pytest.approx(
        math.exp(math.log(size) * len(TEXT) / len(TEXT.split())), rel=1e-4
    )
    assert scores["unknown_rate"] == 0
    assert scores["tokens"] == len(TEXT)
    assert "carried" in scores["signature"]


def test_evaluating_without_data_needs_the_runs_own(text_file):
    with pytest.raises(DataError, match="--data"):
        _task().evaluate()
    task = _task()
    task.config["data"] = {"data": str(text_file), "valid_fraction": 0.1, "test_fraction": 0.1}
    assert task.evaluate().to_json()["tokens"] == pytest.approx(len(TEXT) / 10, abs=2)
    task.config["data"] = {"path": "x"}
    with pytest.raises(DataError, match="--data"):
        task.evaluate()


def test_a_text_of_one_unknown_word_is_scored(tmp_path):
    task = _task("word")
    path = tmp_path / "unknown.txt"
    path.write_text("zzz")
    scores = task.evaluate(DataOptions(str(path), valid_fraction=0, test_fraction=1)).to_json()
    assert (scores["tokens"], scores["unknown_rate"]) == (1, 1.0)


def test_where_records_end_a_line_ends():
    task = _task()
    ids = [*task.tokenizer.encode("Snow"), task.tokenizer.eos_id, *task.tokenizer.encode("fell")]
    assert read(task.tokenizer, ids) == "Snow\nfell"
    with torch.no_grad():
        task.model.output.weight.zero_()
        task.model.output.bias[task.tokenizer.eos_id] = 1e9
    assert task.generate("S", max_tokens=3) == ["\n\n\n"]
    assert "".join(task.stream("S", max_tokens=3)) == "\n\n\n"


def test_a_text_without_line_ends_starts_after_the_end_of_a_text():
    tokenizer = train_tokenizer("character", ["no line end"], byte_fallback=False)
    assert start_ids(tokenizer, "") == [tokenizer.eos_id]
    assert start_ids(tokenizer, "no") == tokenizer.encode("no")
    assert start_ids(train_tokenizer("character", ["a\nb"]), "") == train_tokenizer("character", ["a\nb"]).encode("\n")
