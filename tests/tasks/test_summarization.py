"""Summarization: a translator that reads the beginning of a text, is scored by ROUGE, and is saved as what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from nlp_lstm.data import PairData, PairOptions, PairSplit
from nlp_lstm.decoding import BeamOptions
from nlp_lstm.errors import RunFolderError, UsageError
from nlp_lstm.evaluation import summary_scores
from nlp_lstm.models import EncoderDecoder, EncoderDecoderOptions
from nlp_lstm.tasks import LengthLimits, Summarization, Translation, load, shorten_sources, train_tokenizers

TEXTS = ["one two three four five six", "two three. four five", "six five four three two one seven"]
PAIRS = PairSplit("train", TEXTS, ["two six", "three", "one seven"])
GREEDY = BeamOptions(beam_size=1, max_length=8)


def build(source_words: int = 400, config: dict[str, Any] | None = None) -> Summarization:
    tokenizer, _ = train_tokenizers("word", PAIRS)
    torch.manual_seed(3)
    options = EncoderDecoderOptions(embedding_size=8, encoder_size=6, decoder_size=12, copy=True)
    model = EncoderDecoder(tokenizer.vocab_size, tokenizer.vocab_size, options)
    with torch.no_grad():
        model.output.weight.mul_(8)  # an untrained model's choices are clear then
    return Summarization(model.eval(), tokenizer, tokenizer, config, source_words=source_words)


def test_the_run_folder_gives_it_back(tmp_path: Path) -> None:
    task = build(source_words=3)
    task.limits = LengthLimits(target_ratio=1.5, longest_target=9)
    task.save(tmp_path)
    again = load(tmp_path, device="cpu")
    assert type(again) is Summarization
    assert (again.kind, again.command, again.pipeline_tag) == ("translation", "translate", "summarization")
    assert (again.source_words, again.limits.target_ratio, again.limits.longest_target) == (3, 1.5, 9)
    assert again.translate(TEXTS, GREEDY) == task.translate(TEXTS, GREEDY)
    plain = Translation(task.model, task.source_tokenizer, task.target_tokenizer)
    plain.save(tmp_path / "plain")
    assert type(load(tmp_path / "plain", device="cpu")) is Translation


@pytest.mark.parametrize("value", [0, True, "3", 10**9])
def test_a_folder_with_a_strange_limit_is_refused(tmp_path: Path, value: object) -> None:
    build().save(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["model"]["source_words"] = value
    path.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"source_words is .*must be a whole number"):
        load(tmp_path)


def test_only_the_first_words_are_read() -> None:
    task = build(source_words=3)
    assert task.translate(TEXTS, GREEDY) == task.translate([" ".join(text.split()[:3]) for text in TEXTS], GREEDY)
    assert task.translate(TEXTS, GREEDY) != build().translate(TEXTS, GREEDY)
    (found,) = task.translate_n_best(["", *TEXTS], GREEDY)[1]
    assert found.source_words == ["one", "two", "three"]
    with pytest.raises(UsageError, match="takes a list of texts"):
        task.translate("one two")


def test_sources_are_shortened_and_that_is_noted() -> None:
    texts = ["a b", " a  b\tc ", "a b ", "a b c d", "日本 a"]
    data = PairData(
        {"train": PairSplit("train", texts, list("vwxyz")), "test": PairSplit("test", TEXTS, PAIRS.targets)},
        "made up",
        ["a note"],
    )
    short = shorten_sources(data, 2)
    assert short.split("train").sources == ["a b", " a  b", "a b ", "a b", "日本 a"]
    assert short.split("train").targets == list("vwxyz")
    assert short.split("test").sources == ["one two", "two three.", "six five"]
    assert short.description == "made up"
    assert short.notes == [
        "a note",
        "2 of 5 train texts are read up to their word 2 only.",
        "3 of 3 test texts are read up to their word 2 only.",
    ]
    assert data.notes == ["a note"]
    assert shorten_sources(data, 7) == data
    for words in (0, 1_000_001):
        for call in (lambda words=words: shorten_sources(data, words), lambda words=words: build(source_words=words)):
            with pytest.raises(UsageError, match=f"--source-words is {words}; it must be from 1 to 1,000,000"):
                call()


def test_the_scores_are_those_of_summaries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "pairs.tsv"
    file.write_text("".join(f"one two three four {number}\tfour {number}\n" for number in range(20)))
    own = {"data": str(file), "valid_fraction": 0.2, "test_fraction": 0.4}
    task = build(source_words=4, config={"data": own})
    monkeypatch.setattr(task, "translate", lambda texts: [text.partition(" ")[2] for text in texts])
    hypotheses = [text.partition(" ")[2] for text in TEXTS]
    found = task.score(PAIRS, ["two six"])
    assert found == summary_scores(hypotheses, PAIRS.targets, sources=TEXTS, training_text=["two six"])
    own_test = task.evaluate()
    assert task.evaluate(training_text=[]).by_frequency == ()
    assert own_test.by_frequency  # the summaries that it was trained on are known, and those of other data are none
    assert {len(sentence.source.split()) for sentence in own_test.worst} == {4}
    other = PairOptions(str(file), test_fraction=1.0, valid_fraction=0.0)
    assert task.evaluate(other).by_frequency == ()
    assert task.evaluate(other, training_text=["four 1"]).by_frequency


def test_a_sample_and_an_ensemble_are_of_its_kind() -> None:
    task = build(source_words=3)
    assert [line[:12] for line in task.sample(PAIRS, 1).splitlines()] == [
        "source      ",
        "summary     ",
        "reference   ",
    ]
    together = task.ensemble(build(source_words=3))
    assert type(together) is Summarization
    assert (together.source_words, len(together.others), len(task.others)) == (3, 1, 0)
    assert together.translate(TEXTS, GREEDY) == task.translate(TEXTS, GREEDY)  # the same model twice
