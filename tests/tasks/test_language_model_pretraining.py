"""Language models that others start from: small letters, text from its end, and training that goes on from a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nlp_lstm.data import DataOptions, StreamedSource, TextSource, load_text
from nlp_lstm.decoding import SamplingOptions
from nlp_lstm.errors import RunFolderError, UsageError
from nlp_lstm.models import ClassifierOptions, LanguageModelOptions
from nlp_lstm.tasks import Classification, LanguageModeling, Reading, compare, load, load_language_model, resume_task
from nlp_lstm.tasks._conversation import Continuation, read, start_ids
from nlp_lstm.tasks._language_model_text import Preparation, back_to_front
from nlp_lstm.tokenization import Tokenizer, train_tokenizer

TEXT = "Snow fell on the Harbour.\nThe boats were still, and the shop was SHUT.\n" * 40
GREEDY = SamplingOptions(temperature=0)


@pytest.fixture
def tokenizer() -> Tokenizer:
    return train_tokenizer("word", [TEXT.lower()])


@pytest.fixture
def data(tmp_path: Path) -> DataOptions:
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    return DataOptions(str(tmp_path / "text.txt"))


def build(tokenizer: Tokenizer, seed: int = 0, **given: Any) -> LanguageModeling:
    torch.manual_seed(seed)
    sizes = LanguageModelOptions(embedding_size=5, hidden_size=9)
    task = LanguageModeling.build(tokenizer, sizes, given.pop("config", None), **given)
    with torch.no_grad():
        for parameter in task.model.parameters():
            parameter.mul_(3)
    task.model.eval()
    return task


def test_small_letters_are_read_everywhere_and_kept_in_the_folder(
    tokenizer: Tokenizer, data: DataOptions, tmp_path: Path
) -> None:
    build(tokenizer, lowercase=True).save(tmp_path / "run")
    small, plain = load(tmp_path / "run", device="cpu"), build(tokenizer)
    assert (small.lowercase, plain.lowercase) == (True, False)
    lowered = tmp_path / "lowered.txt"
    lowered.write_text(TEXT.lower(), encoding="utf-8")
    scores, expected = small.evaluate(data), plain.evaluate(DataOptions(str(lowered)))
    assert scores.scores[0].value == expected.scores[0].value
    assert plain.evaluate(data).scores[0].value != expected.scores[0].value
    assert "lowercase:true" in scores.signature
    for texts in (
        [task.generate(prompt, max_tokens=9, options=GREEDY)[0] for task, prompt in ((small, "SHUT"), (plain, "shut"))],
        ["".join(task.stream(p, max_tokens=9, options=GREEDY)) for task, p in ((small, "SHUT"), (plain, "shut"))],
    ):
        assert texts[0] == texts[1]


def test_a_backward_model_reads_each_text_from_its_end(tokenizer: Tokenizer, data: DataOptions) -> None:
    back, ahead = build(tokenizer, backward=True), build(tokenizer)
    source = load_text(data).split("train")
    ids = ahead.tokenize(source).ids
    assert np.array_equal(back.tokenize(source).ids, ids[::-1])
    splits = back.tokenize_splits(load_text(data))
    assert np.array_equal(splits["train"].ids, ids[::-1])
    losses = back.token_losses(splits["valid"])
    start = torch.tensor([start_ids(tokenizer, "")[-1:] + splits["valid"].ids[:-1].tolist()])
    logits, _ = back.model(start)
    nats = -logits[0].log_softmax(dim=1).gather(1, torch.from_numpy(splits["valid"].ids.astype(np.int64))[:, None])
    np.testing.assert_allclose(losses, nats[:, 0].detach().numpy(), atol=1e-4)
    assert "backward:true" in back.score(splits["valid"]).signature


def test_a_backward_model_continues_nothing_and_its_sample_is_turned_round(tokenizer: Tokenizer) -> None:
    back, ahead = build(tokenizer, backward=True), build(tokenizer)
    for call in (lambda: back.generate("x"), lambda: back.stream("x"), back.conversation):
        with pytest.raises(UsageError, match="reads backward, from the end of a text"):
            call()
    ids = Continuation(ahead.model, start_ids(tokenizer, "")).take(60, seed=3)[0].tolist()
    assert back.sample(3) == read(tokenizer, ids[::-1]).strip("\n")
    assert ahead.sample(3) == ahead.generate(max_tokens=60, seed=3)[0].strip("\n")


def test_training_goes_on_from_the_weights_of_another_run(tokenizer: Tokenizer) -> None:
    first = build(tokenizer, 1, lowercase=True, backward=True)
    options = LanguageModelOptions(embedding_size=8, hidden_size=4, num_layers=3, output_dropout=0.4)
    second = LanguageModeling.build(tokenizer, options, {"seed": 5}, pretrained=first)
    assert second.model.options == LanguageModelOptions(embedding_size=5, hidden_size=9, output_dropout=0.4)
    assert (second.lowercase, second.backward, second.config["seed"]) == (True, True, 5)
    assert not second.html_line_breaks
    weights = first.model.state_dict()
    for name, value in second.model.state_dict().items():
        assert torch.equal(value, weights[name])
        assert value.data_ptr() != weights[name].data_ptr()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lowercase": True}, "--lowercase true: the pretrained run was trained without"),
        ({"backward": True}, "--backward true: the pretrained run was trained without"),
        ({"html_line_breaks": True}, "--html-line-breaks true: the pretrained run was trained without"),
    ],
)
def test_another_reading_than_that_of_the_pretrained_run_is_refused(
    given: dict[str, bool], message: str, tokenizer: Tokenizer
) -> None:
    with pytest.raises(UsageError, match=message):
        build(tokenizer, pretrained=build(tokenizer), **given)


def test_another_tokenizer_than_that_of_the_pretrained_run_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(UsageError, match="tokenizer is not that of the pretrained run"):
        build(train_tokenizer("word", ["other words"]), pretrained=build(tokenizer))


def test_a_run_of_another_task_is_no_language_model(tokenizer: Tokenizer, tmp_path: Path) -> None:
    build(tokenizer).save(tmp_path / "model")
    assert load_language_model(tmp_path / "model").kind == "language_modeling"
    sizes = ClassifierOptions(embedding_size=2, hidden_size=2)
    Classification.build(tokenizer, ["a", "b"], sizes).save(tmp_path / "classifier")
    with pytest.raises(UsageError, match=r"holds a model for classification\. Give a run of a language model"):
        load_language_model(tmp_path / "classifier")


BROKEN = "Snow fell.<br /><br>The <b>boats <BR\n/>were still, x <br y<br"


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize("lowercase", [False, True])
def test_line_breaks_of_html_end_lines_wherever_pieces_end(size: int, lowercase: bool) -> None:
    pieces = [BROKEN[start : start + size] for start in range(0, len(BROKEN), size)]
    preparation = Preparation(lowercase, html_line_breaks=True)
    expected = "Snow fell.\n\nThe <b>boats \nwere still, x <br y<br"
    read = list(preparation.source(TextSource("text", False, lambda: iter(pieces))))
    assert "".join(read) == (expected.lower() if lowercase else expected)
    assert preparation.text(BROKEN) == Reading(lowercase, html_line_breaks=True).prepare(BROKEN) == "".join(read)
    assert len(read) > 1 or size == 1000
    records = list(preparation.source(TextSource("records", True, lambda: iter(["a<br", "/>b<br/>"]))))
    assert records == ["a<br", "/>b\n"], "each record is a text of its own"


def test_line_breaks_of_html_are_read_everywhere_and_kept_in_the_folder(tokenizer: Tokenizer, tmp_path: Path) -> None:
    build(tokenizer, html_line_breaks=True).save(tmp_path / "run")
    broken, plain = load(tmp_path / "run", device="cpu"), build(tokenizer)
    assert (broken.html_line_breaks, plain.html_line_breaks) == (True, False)
    scores = {}
    for name, text in (("broken", TEXT.replace("\n", "<br />")), ("lines", TEXT)):
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
        scores[name] = DataOptions(str(tmp_path / f"{name}.txt"), valid_fraction=0.0, test_fraction=0.0)
    assert np.array_equal(
        broken.tokenize(load_text(scores["broken"]).split("train")).ids,
        plain.tokenize(load_text(scores["lines"]).split("train")).ids,
    )
    assert "html_line_breaks:true" in broken.evaluate(scores["broken"], "train").signature
    for task, prompt in ((broken, "boats<br>"), (plain, "boats\n")):
        assert task.generate(prompt, max_tokens=9, options=GREEDY) == plain.generate(
            "boats\n", max_tokens=9, options=GREEDY
        )
        assert "".join(task.stream(prompt, max_tokens=9, options=GREEDY)) == "".join(
            plain.stream("boats\n", max_tokens=9, options=GREEDY)
        )
    with pytest.raises(UsageError, match="with the same --lowercase and --html-line-breaks"):
        compare(broken, plain)


@pytest.mark.parametrize("reads", [{}, {"lowercase": True, "html_line_breaks": True, "backward": True}])
def test_a_run_to_go_on_with_is_made_from_its_folder_without_weights(
    reads: dict[str, bool], tokenizer: Tokenizer, tmp_path: Path
) -> None:
    task = build(tokenizer, **reads)
    task.describe(tmp_path)
    again = resume_task(tmp_path, {"seed": 7})
    assert isinstance(again, LanguageModeling)
    assert again.model.options == task.model.options
    assert again.tokenizer.fingerprint() == tokenizer.fingerprint()
    names = ("lowercase", "html_line_breaks", "backward")
    assert again.config == {"seed": 7, **dict.fromkeys(names, False), **reads}


def test_a_classifier_to_go_on_with_has_the_labels_of_its_folder(tokenizer: Tokenizer, tmp_path: Path) -> None:
    reading = Reading(True, 8, True, True)
    sizes = ClassifierOptions(embedding_size=2, hidden_size=3, hierarchical=True)
    task = Classification.build(tokenizer, ["b", "a"], sizes, reading=reading)
    task.describe(tmp_path)
    again = resume_task(tmp_path, {"seed": 7})
    assert (again.labels, again.reading, again.model.options) == (("b", "a"), reading, sizes)
    assert (again.model.sentence_ends, again.config) == (task.model.sentence_ends, {"seed": 7})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "translation"}, "is no run of a language model or a classifier"),
        ({"model": {"num_layers": 10**6}}, "num_layers is 1000000"),
        ({"model": {"cell": "moon"}}, "describes no model"),
    ],
)
@pytest.mark.parametrize("kind", ["language_modeling", "classification"])
def test_what_cannot_be_gone_on_with_is_refused(
    kind: str, changes: dict[str, Any], message: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    if kind == "classification":
        Classification.build(tokenizer, ["a", "b"], ClassifierOptions(embedding_size=2, hidden_size=2)).save(tmp_path)
        message = message.replace("no model", "no classifier")
    else:
        build(tokenizer).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    model = config["model"] | changes.get("model", {})
    (tmp_path / "config.json").write_text(json.dumps(config | changes | {"model": model}))
    with pytest.raises(RunFolderError, match=message):
        resume_task(tmp_path, {})


def test_streamed_text_is_made_small_and_not_turned_round(tokenizer: Tokenizer, data: DataOptions) -> None:
    Path(data.data).write_text(TEXT * 40, encoding="utf-8")  # several blocks, of which the first are held out
    streamed = load_text(DataOptions(data.data, stream=True))
    lowered = Preparation(lowercase=True).splits(streamed)
    source = lowered.split("train")
    assert isinstance(source, StreamedSource)
    assert "".join(source) == "".join(streamed.split("train")).lower()
    documents, expected = (next(one.split("train").buffers(0))[1] for one in (lowered, streamed))
    assert documents == [document.lower() for document in expected]
    text = build(tokenizer, lowercase=True).tokenize_splits(streamed)["train"]
    assert text.unknown == 0
    with pytest.raises(UsageError, match="--backward reads a text from its end"):
        back_to_front(text)


def test_runs_that_read_otherwise_are_not_compared(tokenizer: Tokenizer, data: DataOptions) -> None:
    plain, small = build(tokenizer), build(tokenizer, lowercase=True)
    for other in (small, build(tokenizer, backward=True)):
        with pytest.raises(UsageError, match="compare where both read forward"):
            compare(plain, other, data)
    assert compare(small, build(tokenizer, 1, lowercase=True), data).text()
