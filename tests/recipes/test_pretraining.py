"""From a language model to a classifier: both stages of pretraining, in two directions, by the commands of a user."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import nlp_lstm
from nlp_lstm.cli import main

pytestmark = pytest.mark.usefixtures("torch_threads")
SMALL = ["--threads", "1", "--max-steps", "3", "--validations", "1"]
SENTENCES = "The {} boats came home to the harbour, and I liked it.\nNobody liked the {} soup.\n"


def train(recipe: str, run: Path, *options: str) -> dict:
    assert main(["train", recipe, "--run", str(run), *SMALL, *options]) == 0
    return json.loads((run / "config.json").read_text(encoding="utf-8"))


def test_two_stages_and_two_directions_to_a_classifier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "many.txt").write_text("".join(SENTENCES.format(n, n) for n in range(200)), encoding="utf-8")
    (tmp_path / "own.txt").write_text("".join(SENTENCES.format("small", "warm") for _ in range(200)), encoding="utf-8")
    rows = [f"{'I liked the soup' if n % 2 else 'Nobody liked boat'} {n}\t{n % 2}\n" for n in range(60)]
    (tmp_path / "labelled.tsv").write_text("".join(rows), encoding="utf-8")
    sizes = ["--hidden-size", "7", "--embedding-size", "6", "--tied", "false", "--sequence-length", "8"]
    last = []
    for direction, options in (("ahead", []), ("back", ["--backward", "true"])):
        first, second = tmp_path / f"{direction}1", tmp_path / f"{direction}2"
        data = ["--data", str(tmp_path / "many.txt"), "--lowercase", "true", "--min-frequency", "1"]
        train("word_lm", first, *data, *sizes, *options)
        config = train("word_lm", second, "--data", str(tmp_path / "own.txt"), "--pretrained", str(first))
        assert (config["model"]["hidden_size"], config["lowercase"], config["backward"]) == (7, True, bool(options))
        assert (second / "tokenizer.json").read_bytes() == (first / "tokenizer.json").read_bytes()
        last.append(second)
    assert main(["generate", str(last[1]), "--prompt", "boats"]) == 2
    assert "This model reads backward" in capsys.readouterr().err
    labelled = ["--data", str(tmp_path / "labelled.tsv"), "--pretrained", str(last[0])]
    both = [*labelled, "--pretrained-backward", str(last[1]), "--unfreeze-epochs", "100"]
    model = train("sentiment", tmp_path / "classifier", *both)["model"]
    assert (model["embedding_size"], model["separate_directions"], model["lowercase"]) == (12, True, True)
    assert model["boundaries"]
    assert "Of the 4 layers the lowest 3 stay as they were" in (tmp_path / "classifier/README.md").read_text()
    task = nlp_lstm.load(tmp_path / "classifier", device="cpu")
    # The output alone was trained so far: all below is as the language models were.
    for layers, run in zip((task.model.encoder.layers, task.model.encoder.backward_layers), last, strict=True):
        given = nlp_lstm.load(run, device="cpu").model.layers.state_dict()
        assert all(torch.equal(value, given[name]) for name, value in layers.state_dict().items())
    one = train("sentiment", tmp_path / "one", *labelled)["model"]
    assert (one["embedding_size"], one["bidirectional"]) == (6, False)


def test_a_character_model_goes_on_from_another(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("".join(SENTENCES.format(n, n) for n in range(200)), encoding="utf-8")
    data = ["--data", str(tmp_path / "text.txt"), "--sequence-length", "8"]
    train("char_lm", tmp_path / "first", *data, "--hidden-size", "7", "--lowercase", "true")
    config = train("char_lm", tmp_path / "second", *data, "--pretrained", str(tmp_path / "first"))
    assert (config["model"]["hidden_size"], config["lowercase"]) == (7, True)
    assert not any(map(str.isupper, nlp_lstm.load(tmp_path / "second").sample(0)))


@pytest.fixture
def labelled(tmp_path: Path) -> list[str]:
    """Options for labelled texts."""
    rows = [f"{'I liked the soup<br />' if n % 2 else 'Nobody liked boat'} {n}\t{n % 2}\n" for n in range(60)]
    (tmp_path / "labelled.tsv").write_text("".join(rows), encoding="utf-8")
    return ["--data", str(tmp_path / "labelled.tsv")]


@pytest.fixture
def word_model(tmp_path: Path) -> Path:
    """The run of a word model in small letters, with line breaks of HTML as line ends."""
    text = "".join(SENTENCES.format(n, n) for n in range(200)).replace("\n", "<br />")
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    sizes = ["--hidden-size", "7", "--embedding-size", "6", "--tied", "false", "--sequence-length", "8"]
    options = ["--lowercase", "true", "--html-line-breaks", "true", "--min-frequency", "1", *sizes]
    config = train("word_lm", tmp_path / "first", "--data", str(tmp_path / "text.txt"), *options)
    assert config["html_line_breaks"] is True
    return tmp_path / "first"


def refusal(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    capsys.readouterr()
    assert main(["train", *options, *SMALL]) == 2
    return capsys.readouterr().err


def test_line_breaks_of_html_are_the_language_models_affair(
    tmp_path: Path, word_model: Path, labelled: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = ["--data", str(tmp_path / "text.txt"), "--sequence-length", "8"]
    second = train("word_lm", tmp_path / "second", *text, "--pretrained", str(word_model))
    assert second["html_line_breaks"] is True
    assert "<br" not in (tmp_path / "second" / "tokenizer.json").read_text(encoding="utf-8")
    model = train("sentiment", tmp_path / "classifier", *labelled, "--pretrained", str(tmp_path / "second"))["model"]
    assert (model["html_line_breaks"], model["lowercase"]) == (True, True)
    train("char_lm", tmp_path / "plain", *text, "--hidden-size", "7")
    said = refusal(
        capsys, "sentiment", *labelled, "--pretrained", str(tmp_path / "plain"), "--html-line-breaks", "true"
    )
    assert "leave out --html-line-breaks true (it has false)." in said
    assert "--html-line-breaks true: the pretrained run was trained without" in refusal(
        capsys, "char_lm", *text, "--pretrained", str(tmp_path / "plain"), "--html-line-breaks", "true"
    )


def test_what_a_pretrained_run_overrules_is_refused_in_one_sentence(
    tmp_path: Path, word_model: Path, labelled: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    start = ["--run", str(tmp_path / "run"), "--pretrained", str(word_model)]
    text = ["--data", str(tmp_path / "text.txt")]
    tokens = nlp_lstm.load(word_model).tokenizer.vocab_size
    for recipe, options, said in [
        (
            "sentiment",
            "--lowercase false --cell gru --hidden-size 9",
            "--cell gru (it has lstm), --hidden-size 9 (it has",
        ),
        ("sentiment", "--lowercase false", "leave out --lowercase false (it has true)."),
        (
            "sentiment",
            "--vocab-size 9 --tokenizer bpe",
            f"--tokenizer bpe (it has word), --vocab-size 9 (it has {tokens})",
        ),
        ("sentiment", "--embedding-size 8 --num-layers 3", "--num-layers 3 (it has 2)"),
        ("sentiment", "--last-hidden-size 5 --separate-directions true", "--separate-directions true (it has false)"),
        ("sentiment", "--min-frequency 3", "--min-frequency 3 (its tokenizer is trained)"),
        ("sentiment", "--word-vectors some.txt", "--word-vectors and --pretrained both fill the embedding"),
        ("word_lm", "--tied false --hidden-size 9 --cell gru", "--cell gru (it has lstm), --hidden-size 9 (it has 7)"),
        ("word_lm", "--vocab-size 9", f"--vocab-size 9 (it has {tokens})"),
        ("word_lm", "--pretokenized true", "--pretokenized true (its tokenizer is trained)"),
        ("char_lm", "--tokenizer byte", "--tokenizer byte (it has word)"),
    ]:
        error = refusal(capsys, recipe, *start, *(labelled if recipe == "sentiment" else text), *options.split())
        assert said in error, (recipe, options)
        assert error.strip().count(". ") <= 1, "no traceback"
    assert not (tmp_path / "run").exists()
    same = "--lowercase true --hidden-size 7 --embedding-size 6 --num-layers 2 --min-frequency 1 --vocab-size 900"
    train("sentiment", tmp_path / "same", *labelled, "--pretrained", str(word_model), *same.split())
    smoke = ["--smoke", "--run", str(tmp_path / "smoke"), "--threads", "1"]
    assert main(["train", "sentiment", *smoke, *labelled, "--pretrained", str(word_model)]) == 0


def test_a_run_goes_on_without_what_it_was_started_from(tmp_path: Path, word_model: Path, labelled: list[str]) -> None:
    text = ["--data", str(tmp_path / "text.txt"), "--sequence-length", "8"]
    train("word_lm", tmp_path / "second", *text, "--pretrained", str(word_model))
    train("sentiment", tmp_path / "classifier", *labelled, "--pretrained", str(word_model), "--unfreeze-epochs", "100")
    given = nlp_lstm.load(word_model, device="cpu").model.layers.state_dict()
    word_model.rename(tmp_path / "elsewhere")
    path = tmp_path / "classifier" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    assert config["model"]["labels"] == ["0", "1"]
    config["model"]["labels"] = ["1", "0"]  # as an older version may have had them
    path.write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "classifier" / "model.safetensors").unlink()
    for recipe, run in (("word_lm", "second"), ("sentiment", "classifier")):
        again = ["train", recipe, "--run", str(tmp_path / run), "--resume", "--max-steps", "5"]
        assert main(again) == 0
        lines = (tmp_path / run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        assert json.loads(lines[-1])["step"] == 5
    task = nlp_lstm.load(tmp_path / "classifier", device="cpu")
    assert task.labels == ("1", "0")
    assert (task.reading.boundaries, task.reading.lowercase, task.model.options.hidden_size) == (True, True, 7)
    assert all(torch.equal(value, given[name]) for name, value in task.model.encoder.layers.state_dict().items())
    second = nlp_lstm.load(tmp_path / "second", device="cpu")
    assert (second.lowercase, second.html_line_breaks, second.model.options.hidden_size) == (True, True, 7)


def test_settings_of_training_are_at_work_in_the_recipe(
    tmp_path: Path, labelled: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--hidden-size", "4", "--embedding-size", "4", "--max-words", "5", "--crop", "true"]
    model = train("sentiment", tmp_path / "run", *labelled, *small, "--html-line-breaks", "true")["model"]
    assert (model["max_words"], model["html_line_breaks"], model["boundaries"]) == (5, True, False)
    card = (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    assert "\nOf longer texts the first 3 and the last 2 words are read.\n" in card
    # Each is refused where it arrives, and nowhere else.
    for options, said in [
        ("--crop true", "--crop needs --max-words"),
        ("--word-dropout 1", "--word-dropout 1.0 must be at least 0 and below 1"),
        ("--label-smoothing 1", "--label-smoothing 1.0 must be at least 0 and below 1"),
    ]:
        assert said in refusal(capsys, "sentiment", "--run", str(tmp_path / "no"), *labelled, *options.split())
