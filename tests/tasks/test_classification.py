"""Classification as a user holds it: probabilities, reading, saving, calibration, scores, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nlp_lstm.data import LabelledOptions, LabelledSplit, TextSource
from nlp_lstm.errors import DataError, RunFolderError, UsageError
from nlp_lstm.models import Classifier, ClassifierOptions, LanguageModelOptions
from nlp_lstm.tasks import Classification, LanguageModeling, Reading, balancing_weights, label_names, load, pad
from nlp_lstm.tasks._classification_labels import label_targets
from nlp_lstm.tasks._classification_reading import length_batches, sentence_ends
from nlp_lstm.tokenization import Tokenizer, train_tokenizer

TEXT = "The harbour was calm. The boats were loud!\nNobody swam, and the café stayed open? Yes.\n"
TEXTS = ["The boats were loud!", "calm", "Nobody swam, and the café stayed open?", "", "unseen words only"]
BREAKS = "Calm.<br /><br />The boats <BR>  were<br/>loud <br   /> a > b, x <br y <br"
SIZES = {"embedding_size": 5, "hidden_size": 4}

Build = Callable[..., Classification]


def split(texts: list[str], labels: list[str | tuple[str, ...]], name: str = "train") -> LabelledSplit:
    tuples = [(label,) if isinstance(label, str) else label for label in labels]
    return LabelledSplit(name, texts, tuples, [f"{name}.csv, line {number}" for number, _ in enumerate(texts, 2)])


@pytest.fixture
def build(seed: int) -> Build:
    def make(
        labels: tuple[str, ...] = ("bad", "good", "so-so"),
        tokenizer: str = "word",
        reading: Reading | None = None,
        temperature: float = 1.0,
        **options: Any,
    ) -> Classification:
        torch.manual_seed(seed)
        trained = train_tokenizer(tokenizer, [TEXT, TEXT.lower()])
        task = Classification.build(trained, labels, ClassifierOptions(**{**SIZES, **options}), reading=reading)
        with torch.no_grad():  # so far from 0 that texts differ
            for parameter in task.model.parameters():
                parameter.mul_(3)
        task.temperature = temperature
        return task

    return make


def test_probabilities_are_those_of_the_model_and_the_likeliest_comes_first(build: Build) -> None:
    task = build(temperature=1.7)
    for text, table in zip(TEXTS, task.classify(TEXTS), strict=True):
        ids = task.tokenizer.encode(text) or [task.tokenizer.eos_id]
        logits = task.model.eval()(torch.tensor([ids]), torch.tensor([len(ids)]))[0] / 1.7
        expected = dict(zip(task.labels, logits.softmax(0).tolist(), strict=True))
        assert table == pytest.approx(expected, abs=1e-5)
        assert list(table.values()) == sorted(table.values(), reverse=True)
    assert len({next(iter(table)) for table in task.classify(TEXTS)}) > 1


def test_several_labels_have_a_probability_each(build: Build) -> None:
    task = build(output="sigmoid", temperature=2.0)
    (table,) = task.classify(TEXTS[:1])
    expected = 1 / (1 + np.exp(-task.logits(TEXTS[:1])[0] / 2))
    assert table == pytest.approx(dict(zip(task.labels, expected.tolist(), strict=True)), abs=1e-6)
    assert task.several


def test_many_texts_at_once_are_as_each_alone_and_training_goes_on_as_it_was(build: Build, seed: int) -> None:
    task = build(output_dropout=0.5)
    chance = np.random.default_rng(seed)
    texts = [" ".join(chance.choice(TEXT.split(), size)) for size in chance.integers(1, 60, 700)]
    task.model.train()
    together = task.logits(texts)
    assert task.model.training
    for number in range(0, 700, 100):
        np.testing.assert_allclose(task.logits([texts[number]])[0], together[number], atol=1e-4)


def test_a_text_of_100_000_words_is_read(build: Build) -> None:
    (table,) = build().classify(["calm " * 100_000])
    assert sum(table.values()) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("name", ["word", "character", "byte", "bpe"])
@pytest.mark.parametrize("text", [*TEXTS, TEXT, "  a \t b\n\n c", "x\u00a0y Straße İİ", BREAKS])
def test_words_are_the_text_and_their_ids_those_of_the_whole(name: str, text: str, build: Build) -> None:
    task = build(tokenizer=name)
    readings = [Reading(), Reading(lowercase=True), Reading(max_words=5), Reading(True, html_line_breaks=True)]
    for reading in (*readings, Reading(max_words=5, boundaries=True), Reading(boundaries=True)):
        words, ids, numbers = reading.words(text, task.tokenizer)
        assert "".join(words) == text
        assert ids.tolist() == reading.ids(text, task.tokenizer).tolist()
        assert len(numbers) == len(ids)
        inner = numbers[1:-1] if reading.boundaries else numbers
        assert (np.diff(inner) >= 0).all()
        assert set(inner) <= set(range(len(words)))
        assert set(numbers) - set(inner) == ({-1} if reading.boundaries else set())
    whole = task.tokenizer.encode(text) or [task.tokenizer.eos_id]
    assert Reading().ids(text, task.tokenizer).tolist() == whole


def test_boundaries_are_what_a_language_model_meets_around_a_record() -> None:
    tokenizer = train_tokenizer("word", [TEXT])
    records = TextSource("records", True, lambda: iter(["The boats", "calm, and", "loud"]))
    for pretrained in (language_model(tokenizer), language_model(tokenizer, backward=True)):
        stream = pretrained.tokenize(records).ids.tolist()[:: -1 if pretrained.backward else 1]
        ids = Reading(boundaries=True).ids("calm, and", tokenizer).tolist()
        assert [stream[start : start + 5] for start in range(len(stream) - 4)].count(ids) == 1
    assert Reading(max_words=2, boundaries=True).ids("calm, and", tokenizer).tolist() == [ids[0], ids[1], *ids[3:]]
    assert Reading(boundaries=True).ids("", tokenizer).tolist() == [tokenizer.eos_id] * 2


def test_a_long_text_is_read_at_both_ends(build: Build) -> None:
    tokenizer = build().tokenizer
    whole = tokenizer.encode(TEXT)
    assert Reading(max_words=5).ids(TEXT, tokenizer).tolist() == whole[:3] + whole[-2:]
    assert Reading(max_words=len(whole)).ids(TEXT, tokenizer).tolist() == whole
    assert Reading(max_words=5).note() == "Of longer texts the first 3 and the last 2 words are read."
    assert Reading().note() is None
    with pytest.raises(UsageError, match="--max-words 1 must be at least 2"):
        Reading(max_words=1)


def test_line_breaks_of_html_end_lines_where_asked(build: Build) -> None:
    tokenizer = build().tokenizer
    ids = Reading(html_line_breaks=True).ids("calm.<br /><br>The boats<BR/>", tokenizer)
    assert ids.tolist() == tokenizer.encode("calm.\n\nThe boats\n")
    assert Reading().ids("calm<br />", tokenizer).tolist() == tokenizer.encode("calm<br />")


class Counting:
    """A tokenizer that notes what it encodes."""

    def __init__(self, tokenizer: Tokenizer, encoded: list[str]) -> None:
        self.tokenizer, self.encoded = tokenizer, encoded

    def encode_array(self, text: str) -> np.ndarray:
        self.encoded.append(text)
        return self.tokenizer.encode_array(text)


def test_texts_that_are_longer_than_is_read_are_counted(build: Build) -> None:
    texts = ["calm", "calm boats", "calm, boats", TEXT]
    for reading, expected in ((Reading(max_words=2), 2), (Reading(max_words=2, boundaries=True), 2), (Reading(), 0)):
        task = build(reading=reading)
        encoded: list[str] = []
        inner, task.tokenizer = task.tokenizer, Counting(task.tokenizer, encoded)
        assert task.classify_and_count(texts)[1] == expected
        assert encoded == texts, "each text is encoded once"
        task.tokenizer = inner
        assert task.classify_and_count(texts)[0] == task.classify(texts)


def test_products_are_in_the_precision_of_the_run(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    task = build()
    plain = task.logits(TEXTS)
    seen: list[bool] = []
    task.model.register_forward_pre_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    for fast, precision, expected in [(True, "fp32", False), (False, "bf16", False), (True, "bf16", True)]:
        monkeypatch.setattr("nlp_lstm.tasks._task.has_fast_bf16", lambda device, fast=fast: fast)
        task.config["precision"] = precision
        seen.clear()
        logits = task.logits(TEXTS)
        assert set(seen) == {expected}
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits, plain, atol=0.3 if expected else 1e-6)
    assert not np.array_equal(logits, plain), "bf16 rounds"


def test_small_letters_are_read_where_asked(build: Build) -> None:
    task = build(reading=Reading(lowercase=True))
    assert task.classify(["THE BOATS were LOUD!"]) == task.classify(["the boats were loud!"])


@pytest.mark.parametrize("name", ["word", "character", "bpe"])
def test_sentences_end_at_marks_and_line_ends(name: str, build: Build) -> None:
    tokenizer = build(tokenizer=name).tokenizer
    ends = sentence_ends(tokenizer)
    assert tokenizer.eos_id in ends
    assert {tokenizer.encode("loud!")[-1], tokenizer.encode("calm.")[-1], tokenizer.encode("open?")[-1]} <= set(ends)
    assert tokenizer.encode("calm,")[-1] not in ends


def test_batches_hold_each_text_once_and_bounded_tokens(seed: int) -> None:
    lengths = [*np.random.default_rng(seed).integers(1, 3000, 300).tolist(), 50_000]
    batches = list(length_batches(lengths))
    assert sorted(np.concatenate(batches).tolist()) == list(range(301))
    for places in batches:
        assert len(places) == 1 or len(places) * max(lengths[place] for place in places) <= 16_384
    assert max(map(len, batches)) > 1
    assert list(length_batches([])) == []


def test_padding_is_laid_out_in_rows() -> None:
    rows, lengths = pad([np.array([5, 6]), np.array([7])])
    assert rows.tolist() == [[5, 6], [7, 0]]
    assert lengths.tolist() == [2, 1]


@pytest.mark.parametrize(
    "options",
    [
        {"pooling": "attention+last", "num_layers": 2},
        {"hierarchical": True, "bidirectional": False},
        {"output": "ordinal", "cell": "minlstm"},
        {"output": "sigmoid"},
    ],
)
def test_what_is_saved_is_what_is_loaded(options: dict[str, Any], build: Build, tmp_path: Path) -> None:
    reading = Reading(lowercase=True, max_words=7, html_line_breaks=True, boundaries=True)
    task = build(reading=reading, temperature=1.3, **options)
    task.config["data"] = {"data": "reviews"}
    task.save(tmp_path / "run")
    again = load(tmp_path / "run", device="cpu")
    assert isinstance(again, Classification)
    assert again.classify(TEXTS) == task.classify(TEXTS)
    assert (again.labels, again.temperature, again.reading) == (task.labels, 1.3, task.reading)
    assert again.config["data"] == {"data": "reviews"}
    assert again.parameter_count == sum(one.numel() for one in task.model.parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["a", "b"]}, "does not fit config.json"),
        ({"labels": ["a", "a", "b"]}, "a label stands there twice"),
        ({"labels": "abc"}, "labels must be names"),
        ({"temperature": 0.0}, "temperature 0.0"),
        ({"temperature": "warm"}, "temperature 'warm'"),
        ({"vocab_size": 5}, "vocab_size 5 for"),
        ({"num_layers": 10**9}, "num_layers is 1000000000"),
        ({"hidden_size": 5}, "does not fit config.json"),
        ({"colour": "red"}, "describes no classifier"),
        ({"pooling": "median"}, "no --pooling named 'median'"),
        ({"temperature": None, "drop": "labels"}, "describes no classifier"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(
    changes: dict[str, Any], message: str, build: Build, tmp_path: Path
) -> None:
    build().save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["model"].pop(changes.pop("drop", ""), None)
    config["model"] |= changes
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunFolderError, match=message):
        load(tmp_path)


def test_a_folder_from_before_html_line_breaks_and_boundaries_loads(build: Build, tmp_path: Path) -> None:
    build().save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["model"]["html_line_breaks"]
    del config["model"]["boundaries"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert load(tmp_path).reading == Reading()


def test_a_temperature_is_the_likeliest_and_changes_no_label(build: Build, seed: int) -> None:
    task = build()
    labels = np.random.default_rng(seed).choice(task.labels, len(TEXTS)).tolist()
    labels[0] = next(label for label in task.labels if label != next(iter(task.classify(TEXTS[:1])[0])))
    valid = split(TEXTS, labels, "valid")
    before = [next(iter(table)) for table in task.classify(TEXTS)]
    temperature = task.calibrate(valid)

    def nats(t: float) -> float:
        logits = torch.from_numpy(task.logits(TEXTS)) / t
        return float(torch.nn.functional.cross_entropy(logits, torch.from_numpy(task.targets(valid))))

    assert nats(temperature) <= min(nats(temperature * 1.02), nats(temperature / 1.02))
    assert task.temperature == temperature
    assert [next(iter(table)) for table in task.classify(TEXTS)] == before


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_with_all_labels_right_there_is_no_temperature_to_fit(output: str, build: Build) -> None:
    task = build(output=output, temperature=3.0)
    tables = task.classify(TEXTS)
    right = [
        tuple(label for label, p in table.items() if p >= 0.5) if task.several else (next(iter(table)),)
        for table in tables
    ]
    assert task.calibrate(split(TEXTS, right)) == task.temperature == 1.0


def test_scores_are_those_of_the_probabilities(build: Build, tmp_path: Path) -> None:
    task = build(labels=("negative", "positive"))
    rows = [(text or "x", label) for text, label in zip(TEXTS, ["positive", "negative"] * 3, strict=False)]
    path = tmp_path / "test.tsv"
    path.write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))
    whole = {"valid_fraction": 0.0, "test_fraction": 0.0}
    texts, probabilities, gold = task.outputs(LabelledOptions(str(path), **whole), "train")
    assert texts == [text for text, _ in rows]
    assert gold == [(label,) for _, label in rows]
    predicted = [task.labels[column] for column in probabilities.argmax(axis=1)]
    right = np.mean([one == label for one, (label,) in zip(predicted, gold, strict=True)])
    scores = task.evaluate(LabelledOptions(str(path), **whole), "train")
    assert {score.name: score.value for score in scores.scores}["accuracy"] == pytest.approx(right)
    assert f"tokenizer:word-{task.tokenizer.vocab_size}" in scores.signature
    task.config["data"] = {"data": str(path), **whole, "stream": False}  # of a version with an option more
    assert task.evaluate(split="train").text() == scores.text()


def test_a_run_without_data_says_so(build: Build) -> None:
    with pytest.raises(DataError, match="Name some with --data"):
        build().evaluate()


def test_labels_are_in_order_and_numbers_by_value() -> None:
    assert label_names(split(["a", "b", "c"], ["10", "9", "-1.5"])) == ("-1.5", "9", "10")
    assert label_names(split(["a", "b"], ["good", "bad"])) == ("bad", "good")
    assert label_names(split(["a", "b"], [("x", "y"), ()])) == ("x", "y")
    equal = ["1.000", "1.0", "1", "01", "1.00", "001", "1e0", "10e-1"]  # a set has them in another order each time
    assert label_names(split(["a"] * 9, [*equal, "0.5"])) == ("0.5", *sorted(equal))
    assert label_names(split(["a"] * 4, ["nan", "9", "10", "NaN"])) == ("10", "9", "NaN", "nan")
    with pytest.raises(DataError, match="All 2 training texts have the label 'x'"):
        label_names(split(["a", "b"], ["x", "x"]))


def test_targets_are_columns_or_a_table() -> None:
    assert label_targets(split(["a", "b"], ["y", "x"]), ["x", "y"], False).tolist() == [1, 0]
    several = split(["a", "b"], [("y", "x"), ()])
    assert label_targets(several, ["x", "y"], True).tolist() == [[1, 1], [0, 0]]
    with pytest.raises(DataError, match=r"train.csv, line 2 has 2 labels \(y, x\)\. .* --output sigmoid"):
        label_targets(several, ["x", "y"], False)
    with pytest.raises(DataError, match=r"train.csv, line 3 has the label 'z'.* Known: x, y"):
        label_targets(split(["a", "b"], ["x", "z"]), ["x", "y"], False)


def test_weights_balance_what_is_rare() -> None:
    assert balancing_weights(np.array([0, 0, 0, 1]), 2).tolist() == pytest.approx([4 / 6, 2.0])
    table = np.array([[1, 0], [1, 0], [1, 1], [0, 0]])
    assert balancing_weights(table, 2).tolist() == pytest.approx([1 / 3, 3.0])


def language_model(
    tokenizer: Tokenizer, backward: bool = False, lowercase: bool = False, html: bool = False, **options: Any
) -> LanguageModeling:
    sizes = LanguageModelOptions(**{"embedding_size": 6, "hidden_size": 7, "num_layers": 2, **options})
    reads = {"backward": backward, "lowercase": lowercase, "html_line_breaks": html}
    task = LanguageModeling.build(tokenizer, sizes, **reads)
    task.model.eval()
    return task


@pytest.mark.parametrize("options", [{}, {"tied": True}, {"cell": "mingru", "num_layers": 1}])
def test_a_language_model_gives_its_embedding_and_layers(options: dict[str, Any]) -> None:
    tokenizer = train_tokenizer("word", [TEXT])
    pretrained = language_model(tokenizer, **options)
    task = Classification.build(tokenizer, ["x", "y"], ClassifierOptions(pooling="last"), language_model=pretrained)
    ids = torch.tensor([tokenizer.encode(TEXT)])
    features, _ = pretrained.model.hidden(ids)
    length = torch.tensor([ids.shape[1]])
    assert torch.allclose(task.model.eval().encoder(task.model.embedding[ids], length), features[:, -1], atol=1e-6)
    assert not task.model.options.bidirectional


@pytest.mark.parametrize("options", [{}, {"tied": True}])
def test_two_language_models_give_a_direction_each(options: dict[str, Any], tmp_path: Path) -> None:
    tokenizer = train_tokenizer("word", [TEXT])
    ahead, back = language_model(tokenizer, **options), language_model(tokenizer, backward=True, **options)
    given = ClassifierOptions(pooling="last", embedding_size=5)
    task = Classification.build(tokenizer, ["x", "y"], given, language_model=ahead, backward_language_model=back)
    ids = torch.tensor([tokenizer.encode(TEXT)])
    expected = torch.cat([ahead.model.hidden(ids)[0][:, -1], back.model.hidden(ids.flip(1))[0][:, -1]], dim=1)
    length = torch.tensor([ids.shape[1]])
    assert torch.allclose(task.model.eval().encoder(task.model.embedding[ids], length), expected, atol=1e-6)
    task.save(tmp_path)
    assert load(tmp_path, device="cpu").classify(TEXTS) == task.classify(TEXTS)


@pytest.mark.parametrize(
    ("ahead", "back", "message"),
    [
        ({"backward": True}, None, "--pretrained takes a language model that reads forward"),
        ({}, {}, "--pretrained-backward takes a language model that reads backward"),
        ({}, {"backward": True, "hidden_size": 5, "tied": True}, "differ in --hidden-size, --tied. Train both alike"),
        ({}, {"backward": True, "lowercase": True}, "differ in --lowercase"),
        ({}, {"backward": True, "html": True}, "differ in --html-line-breaks"),
        ({"cell": "transformer"}, None, "of --cell transformer has no recurrent layers, and so it cannot start"),
        (None, {"backward": True}, "--pretrained-backward is for a second direction"),
    ],
)
def test_directions_that_do_not_fit_are_refused(ahead: Any, back: Any, message: str) -> None:
    tokenizer = train_tokenizer("word", [TEXT])
    models = [None if options is None else language_model(tokenizer, **options) for options in (ahead, back)]
    with pytest.raises(UsageError, match=message):
        Classification.build(
            tokenizer,
            ["x", "y"],
            ClassifierOptions(),
            language_model=models[0],
            backward_language_model=models[1],
        )


def test_a_second_language_model_with_another_tokenizer_is_refused() -> None:
    tokenizer = train_tokenizer("word", [TEXT])
    other = language_model(train_tokenizer("word", [TEXT + " more"]), backward=True)
    with pytest.raises(UsageError, match="on the same text with the same --vocab-size"):
        Classification.build(
            tokenizer,
            ["x", "y"],
            ClassifierOptions(),
            language_model=language_model(tokenizer),
            backward_language_model=other,
        )


def test_a_language_model_with_another_tokenizer_is_refused() -> None:
    pretrained = language_model(train_tokenizer("word", [TEXT]))
    other = train_tokenizer("word", [TEXT + " more"])
    with pytest.raises(UsageError, match="not that of the language model"):
        Classification.build(other, ["x", "y"], ClassifierOptions(), language_model=pretrained)


def test_word_vectors_fill_the_embedding(tmp_path: Path) -> None:
    tokenizer = train_tokenizer("word", [TEXT])
    (tmp_path / "vectors.txt").write_text("harbour 1 2 3 4 5\n")
    task = Classification.build(
        tokenizer, ["x", "y"], ClassifierOptions(**SIZES), word_vectors=tmp_path / "vectors.txt"
    )
    (row,) = tokenizer.encode("harbour")
    assert task.model.embedding[row].tolist() == [1, 2, 3, 4, 5]
    with pytest.raises(UsageError, match="--word-vectors and --pretrained both fill the embedding"):
        Classification.build(
            tokenizer,
            ["x", "y"],
            ClassifierOptions(**SIZES),
            word_vectors=tmp_path / "vectors.txt",
            language_model=language_model(tokenizer),
        )


def test_parts_of_two_runs_are_refused() -> None:
    tokenizer = train_tokenizer("word", [TEXT])
    model = Classifier(tokenizer.vocab_size, 2, ClassifierOptions(**SIZES))
    with pytest.raises(UsageError, match="and there are 3 labels"):
        Classification(model, tokenizer, ["a", "b", "c"])
    with pytest.raises(UsageError, match="must come from one run"):
        Classification(model, train_tokenizer("word", ["a b"]), ["a", "b"])
