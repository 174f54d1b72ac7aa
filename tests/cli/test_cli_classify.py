"""`nlp-lstm classify`: one line in, one line out, explanations as colours, brackets, JSON and HTML, a conversation."""

from __future__ import annotations

import html
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nlp_lstm.cli import _classify, _classify_conversation, _colours, _entries, _terminal, main
from nlp_lstm.cli._lines import line_blocks
from nlp_lstm.errors import DataError
from nlp_lstm.tasks import Explanation, Reading

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


class FakeClassifier:
    """What `nlp_lstm.load` returns for a classifier: the label is the first word, "neg" speaks against it."""

    kind = "classification"
    labels = ("other", "x<y")
    reading = Reading(max_words=4)

    def __init__(self, several: bool = False) -> None:
        self.several = several
        self.calls: list[list[str]] = []

    def classify(self, texts: list[str]) -> list[dict[str, float]]:
        self.calls.append(texts)
        if self.several:
            return [{"a": 0.9, "b": 0.5, "c": 0.1} if text == "two" else {"a": 0.2} for text in texts]
        return [{text.split()[0]: 0.75, "other": 0.25} for text in texts]

    def classify_and_count(self, texts: list[str]) -> tuple[list[dict[str, float]], int]:
        return self.classify(texts), sum(len(text.split()) > 4 for text in texts)

    def explain(self, text: str, method: str) -> Explanation:
        if "fails" in text:
            raise DataError("No\nexplanation.")
        words = tuple(re.split(r"(?<=\S)(?= )", text))
        contributions = tuple(-1.0 if "neg" in word else 0.5 for word in words)
        return Explanation(text.split()[0], 0.75, words, contributions, 0.0, 1.0, method)


@pytest.fixture
def classifier(monkeypatch: pytest.MonkeyPatch) -> FakeClassifier:
    task = FakeClassifier()
    tasks = ModuleType("nlp_lstm.tasks")
    tasks.load = lambda folder: print("a library talks") or task
    tasks.METHODS = ("integrated-gradients", "leave-one-out")
    monkeypatch.setitem(sys.modules, "nlp_lstm.tasks", tasks)
    return task


@pytest.fixture
def classify(classifier: FakeClassifier, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run `nlp-lstm classify run ARGUMENTS` on the bytes of stdin; gives exit code, stdout and stderr."""

    def run(data: bytes, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        code = main(["classify", "run", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_one_line_in_gives_one_line_out_and_blank_lines_stay(classify: Any) -> None:
    code, out, error = classify("é one\n\n \t\nthree\r\nno line end".encode())
    assert (code, out) == (0, "é\t0.7500\n\n\nthree\t0.7500\nno\t0.7500\n")
    assert error == "a library talks\n"


def test_texts_that_are_cut_are_counted_at_the_end(classify: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    error = classify(b"a b c d e\nx\n\nf g h i j\n")[2]
    expected = "Longer than what is read: {} of the texts. Of longer texts the first 2 and the last 2 words are read.\n"
    assert error.endswith(expected.format(2))
    monkeypatch.setattr(_classify, "line_blocks", lambda stream: iter([["a b c d e"], ["fails"]]))
    code, out, error = classify(b"", "--explain")
    assert (code, out) == (1, "a\t0.7500\ta[+0.50] b[+0.50] c[+0.50] d[+0.50] e[+0.50]\n")
    assert expected.format(1) in error, "what was read before a fault counts as well"


def test_nothing_in_gives_nothing_out(classify: Any, classifier: FakeClassifier) -> None:
    assert classify(b"")[:2] == (0, "")
    assert classify(b"\n\n")[:2] == (0, "\n\n")
    assert classifier.calls == []


def test_json_has_all_probabilities_and_words(classify: Any) -> None:
    out = classify("é neg\n\n".encode(), "--json", "--explain", "leave-one-out")[1]
    first, blank = out.split("\n")[:2]
    assert blank == ""
    assert json.loads(first) == {
        "label": "é",
        "probability": 0.75,
        "probabilities": {"é": 0.75, "other": 0.25},
        "explained": "é",
        "method": "leave-one-out",
        "words": [["é", 0.5], [" neg", -1.0]],
    }
    assert json.loads(classify(b"a\n", "--json")[1]) == {
        "label": "a",
        "probability": 0.75,
        "probabilities": {"a": 0.75, "other": 0.25},
    }


def test_several_labels_are_joined_and_none_is_empty(classify: Any, classifier: FakeClassifier) -> None:
    classifier.several = True
    assert classify(b"two\nnone\n")[1] == "a,b\t0.9000,0.5000\n\t\n"
    two, none = map(json.loads, classify(b"two\nnone\n", "--json")[1].splitlines())
    assert (two["labels"], none["labels"]) == (["a", "b"], [])
    assert two["probabilities"] == {"a": 0.9, "b": 0.5, "c": 0.1}


def test_explanations_are_numbers_in_brackets_where_no_person_looks(classify: Any) -> None:
    assert classify(b"so neg\n", "--explain")[1] == "so\t0.7500\tso[+0.50] neg[-1.00]\n"


@pytest.mark.parametrize(("no_color", "colours"), [(None, True), ("", True), ("1", False)])
def test_a_terminal_gets_colours_unless_it_asks_for_none(
    no_color: str | None, colours: bool, classify: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)
    for module in (_terminal, _colours):
        monkeypatch.setattr(module, "is_terminal", lambda stream: stream is sys.stdout)
    out = classify(b"so neg \x1b[2J\n", "--explain")[1]
    assert bool(ESCAPE.search(out)) == colours
    if colours:
        assert out == (
            "so\t0.7500\t\x1b[30;48;5;153mso\x1b[0m \x1b[30;48;5;208mneg\x1b[0m \x1b[30;48;5;153m\u241b[2J\x1b[0m\n"
        )
    else:
        assert out == "so\t0.7500\tso[+0.50] neg[-1.00] \u241b[2J[+0.50]\n"


def test_weak_words_stay_plain() -> None:
    explanation = Explanation("x", 0.5, ("a", " b", " c"), (1.0, 0.05, 0.3), 0.0, 0.0, "leave-one-out")
    assert _colours.coloured(explanation) == "\x1b[30;48;5;75ma\x1b[0m b \x1b[30;48;5;195mc\x1b[0m"


def test_html_is_a_page_of_all_texts_escaped(classify: Any, tmp_path: Path) -> None:
    file = tmp_path / "why.html"
    code, out, error = classify(b"x<y neg & <script>\n\nsecond\n", "--html", str(file))
    assert code == 0
    assert out.count("\n") == 3
    assert f"The explanations are in {file}." in error
    page = file.read_text(encoding="utf-8")
    assert "<script>" not in page
    paragraphs = re.findall(r'<p class="explanation">.*?</p>', page)
    assert [html.unescape(re.sub("<[^>]*>", "", one)) for one in paragraphs] == [
        "x<y 0.7500x<y neg & <script>",
        "second 0.7500second",
    ]
    assert list(tmp_path.iterdir()) == [file]


def test_what_is_not_utf8_is_replaced_and_its_line_named(classify: Any) -> None:
    code, out, error = classify(b"good\n\nab\xff\nkept\n")
    assert (code, out) == (0, "good\t0.7500\n\nab\ufffd\t0.7500\nkept\t0.7500\n")
    assert "Standard input, line 3: not UTF-8 text; what is not was read as U+FFFD." in error


def test_lines_come_as_soon_as_they_are_there_and_many_at_once() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, encoding="utf-8") as stream:
        os.write(writing, b"first\n")
        groups = line_blocks(stream)
        assert next(groups) == ["first"]  # although the other end is open
        os.write(writing, b"a\nb\nhal")
        assert next(groups) == ["a", "b"]
        os.write(writing, b"f\n\nlast")
        assert next(groups) == ["half", ""]
        os.close(writing)
        assert list(groups) == [["last"]]


def test_a_long_line_comes_in_one_piece() -> None:
    line = "word " * 500_000
    assert list(line_blocks(io.TextIOWrapper(io.BytesIO(f"{line}\nend\n".encode())))) == [[line, "end"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--explain", "gradients"], "--explain must be one of integrated-gradients, leave-one-out"),
        (["--html", "no-such-folder/x.html"], "--html: there is no folder no-such-folder."),
        (["--html", __file__], "is already there. Name another file."),
        (["--jsn"], "There is no option --jsn. Did you mean --json?"),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_code_2(arguments: list[str], message: str, classify: Any) -> None:
    code, out, error = classify(b"a\n", *arguments)
    assert (code, out) == (2, "")
    assert message in error
    assert error.count("\n") == 1


def test_no_stdin_at_all(classify: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["classify", "run"]) == 2
    assert "Give them with < FILE." in capsys.readouterr().err


def test_a_run_of_another_kind_is_refused(classify: Any, classifier: FakeClassifier) -> None:
    classifier.kind = "language_modeling"
    code, out, error = classify(b"a\n")
    assert (code, out) == (2, "")
    assert "run holds a model for language modeling; classify takes a classifier." in error


@pytest.fixture
def talk(classifier: FakeClassifier, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Hold a conversation on a terminal, with Ctrl-D at the end; gives stdout and stderr."""

    def hold(*entries: str | BaseException, colour: bool = False) -> tuple[str, str]:
        remaining: Iterator[str | BaseException] = iter(entries)

        def read(prompt: str = "") -> str:
            entry = next(remaining, EOFError())
            if isinstance(entry, BaseException):
                raise entry
            return entry

        monkeypatch.setattr("builtins.input", read)
        monkeypatch.setattr(_entries, "is_terminal", lambda stream: True)
        monkeypatch.setattr(_classify, "is_terminal", lambda stream: True)
        monkeypatch.setattr(_classify_conversation, "wants_colour", lambda stream: colour)
        assert main(["classify", "run"]) == 0
        assert next(remaining, None) is None
        captured = capsys.readouterr()
        return captured.out, captured.err

    return hold


def test_entries_get_labels_and_coloured_words(talk: Any) -> None:
    assert talk("so neg", "")[0] == "so\t0.7500\nother\t0.2500\nso[+0.50] neg[-1.00]\n\n"
    assert ESCAPE.sub("", talk("so neg", colour=True)[0]).endswith("\nso neg\n")


def test_commands_of_the_conversation(talk: Any) -> None:
    out, error = talk(":help", ":labels", ":method leave-one-out", ":method x", ":mehtod", KeyboardInterrupt(), ":quit")
    assert out == ""
    assert ":method NAME" in error
    assert "other, x<y\n" in error
    assert "There is no method named 'x'." in error
    assert "There is no command named ':mehtod'. Did you mean ':method'?" in error
    assert "Ctrl-D or :quit leaves" in error


def test_the_method_is_kept(talk: Any, classifier: FakeClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    methods = []
    explain = classifier.explain
    monkeypatch.setattr(classifier, "explain", lambda text, method: methods.append(method) or explain(text, method))
    talk("a", ":method leave-one-out", "b", "c")
    assert methods == ["integrated-gradients", "leave-one-out", "leave-one-out"]


def test_what_goes_wrong_is_one_line_and_the_conversation_goes_on(talk: Any) -> None:
    out, error = talk("fails", "fine")
    assert "\nNo explanation.\n" in error
    assert out.endswith("fine[+0.50]\n")


def test_help_comes_without_torch() -> None:
    program = (
        "import sys; from nlp_lstm.cli import main\n"
        "try: main(['classify', '--help'])\n"
        "finally: assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "label TAB probability" in done.stdout
