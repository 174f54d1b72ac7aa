"""`nlp-lstm translate`: lines in and out, every flag, odd input, and the conversation."""

from __future__ import annotations

import builtins
import io
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from nlp_lstm.cli import _lines, _translate, main
from nlp_lstm.cli._lines import line_blocks
from nlp_lstm.data import PairSplit
from nlp_lstm.decoding import BeamOptions
from nlp_lstm.errors import UsageError
from nlp_lstm.models import EncoderDecoder, EncoderDecoderOptions
from nlp_lstm.tasks import Search, Translated, Translation, train_tokenizers
from nlp_lstm.tasks._translated import Attended

Translate = Callable[..., tuple[int, str, str]]


class FakeTranslator:
    """Says what it was asked: upper case, and the options that the test looks at."""

    kind = "translation"

    def __init__(self) -> None:
        self.searches: list[Search] = []
        self.blocks: list[list[str]] = []
        self.averaged = 0

    def ensemble(self, *others: Any) -> FakeTranslator:
        self.averaged = len(others) + 1
        return self

    def translate_n_best(self, texts: list[str], options: Any = None, search: Any = None) -> list[list[Translated]]:
        self.searches.append(search)
        self.blocks.append(list(texts))
        return [self.one(text, search.options.n_best) for text in texts]

    def one(self, text: str, count: int) -> list[Translated]:
        if "impossible" in text:
            return [Translated("", -math.inf, -math.inf)]
        if not text.strip():
            return [Translated("", 0.0, 0.0, parts=0)]
        words = text.split()
        identity = [[float(row == column) for column in range(len(words))] for row in range(len(words))]
        view = lambda: Attended(words, words, identity)  # noqa: E731
        parts, cut = len(words) // 9 + 1, "endless" in text
        return [
            Translated(f"{text.upper()}{'!' * rank}", -0.5 - rank, -2.5, parts, cut, (view,)) for rank in range(count)
        ]


@pytest.fixture
def translator(monkeypatch: pytest.MonkeyPatch) -> FakeTranslator:
    translator = FakeTranslator()
    monkeypatch.setattr("nlp_lstm.tasks.load", lambda folder: translator)
    return translator


@pytest.fixture
def translate(
    translator: FakeTranslator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Translate:
    """Run `nlp-lstm translate run ...` on bytes; return exit code, stdout and stderr."""

    def call(data: bytes, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        code = main(["translate", "run", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_one_line_in_gives_one_line_out(translate: Translate) -> None:
    assert translate("é one\n\ntwo\r\n \nlast".encode()) == (0, "É ONE\n\nTWO\n\nLAST\n", "")
    assert translate(b"") == (0, "", "")
    assert translate(b"\n\n") == (0, "\n\n", "")
    assert translate(b"a\x0bb\x0cc\xc2\x85d\n")[1].count("\n") == 1  # other line ends are no line ends here


def test_every_flag_reaches_the_search(translate: Translate, translator: FakeTranslator) -> None:
    flags = ["--beam-size=7", "--n_best=2", "--length-penalty=0.3", "--coverage-penalty=0.2", "--min-length=3"]
    flags += [
        "--max-length=40",
        "--max-length-ratio=1.5",
        "--no-repeat-ngram-size=3",
        "--required",
        "a b",
        "--required=c",
        "--prefix=The",
    ]
    assert translate(b"x\n", *flags)[0] == 0
    (search,) = translator.searches
    options = search.options
    assert (options.beam_size, options.n_best, options.length_penalty) == (7, 2, 0.3)
    assert (options.coverage_penalty, options.min_length, options.max_length) == (0.2, 3, 40)
    assert options.max_length_ratio == 1.5
    assert options.no_repeat_ngram_size == 3
    assert (search.required, search.prefix, search.sampling) == (("a b", "c"), "The", None)


def test_sampling_flags_reach_the_search(translate: Translate, translator: FakeTranslator) -> None:
    flags = ["--sample", "--temperature=0.5", "--top-k=4", "--top-p=0.9", "--seed=3", "--n-best=8"]
    assert translate(b"x\n", *flags)[0] == 0
    (search,) = translator.searches
    assert (search.sampling.temperature, search.sampling.top_k, search.sampling.top_p) == (0.5, 4, 0.9)
    assert (search.seed, search.options.n_best) == (3, 8)


def test_n_best_lines_carry_number_and_score(translate: Translate) -> None:
    out = translate(b"a\n\nb\n", "--n-best", "2")[1]
    assert out == "1\t-0.5000\tA\n1\t-1.5000\tA!\n2\t0.0000\t\n3\t-0.5000\tB\n3\t-1.5000\tB!\n"


def test_alignments_follow_a_tab(translate: Translate) -> None:
    assert translate(b"a b\n\n", "--alignments")[1] == "A B\t0-0 1-1\n\t\n"


def test_json_is_one_object_a_line(translate: Translate) -> None:
    lines = translate("é b\nimpossible\n".encode(), "--json", "--n-best=2")[1].splitlines()
    first, second = map(json.loads, lines)
    assert first == {
        "line": 1,
        "source": "é b",
        "translations": [
            {
                **{"text": text, "score": score, "log_probability": -2.5, "cut": False},
                **{"alignment": [[0, 0], [1, 1]]},
                **{"source_words": ["é", "b"], "target_words": ["é", "b"]},
            }
            for text, score in (("É B", -0.5), ("É B!", -1.5))
        ],
    }
    assert "é" in lines[0]
    nothing: dict[str, Any] = {"text": "", "score": None, "log_probability": None, "cut": False}
    nothing |= {"alignment": [], "source_words": [], "target_words": []}
    assert second["translations"] == [nothing]
    assert json.loads(translate(b"endless\n", "--json")[1])["translations"][0]["cut"] is True


def test_long_lines_and_impossible_ones_are_named(translate: Translate) -> None:
    code, out, error = translate(b"short\n" + b"w " * 20 + b"\nimpossible\n")
    assert (code, out.count("\n")) == (0, 3)
    assert "Line 2 is longer than what the model was trained on; it was translated in 3 parts." in error
    assert "Line 3: no translation meets the conditions; the line is left empty." in error


def test_what_was_asked_of_a_line_in_parts_is_said(translate: Translate) -> None:
    error = translate(b"w " * 20 + b"\n", "--prefix=The", "--required=a")[2]
    assert "it was translated in 3 parts. --prefix and --required were asked of the first." in error
    assert "parts. --required was asked of the first." in translate(b"w " * 20 + b"\n", "--required=a")[2]


def test_the_closing_note_counts_what_was_cut_and_control_characters(translate: Translate) -> None:
    code, out, error = translate(b"one\nendless\n\x1b[2J\x00\ta\nendless\nb\x07\n")
    assert (code, out.count("\n")) == (0, 5)
    assert error.splitlines() == [
        "2 translations were cut at the limit of length, the first in line 2. "
        "--max-length N or --max-length-ratio X raises it.",
        "3 control characters were read as a space, the first in line 3.",
    ]
    error = translate(b"\x07endless")[2]
    assert "1 translation was cut at the limit" in error
    assert "1 control character was read as a space, the first in line 1." in error


def test_lines_are_printed_block_by_block(
    translate: Translate, translator: FakeTranslator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_translate, "_LINES_AT_ONCE", 2)
    assert translate(b"a\nb\nc\nd\ne", "--sample", "--seed=3")[1] == "A\nB\nC\nD\nE\n"
    assert translator.blocks == [["a", "b"], ["c", "d"], ["e"]]
    assert [search.seed for search in translator.searches] == [3, 5, 7]
    whole = translator.translate_n_best

    def interrupted(texts: list[str], **options: Any) -> list[list[Translated]]:
        if "c" in texts:
            raise KeyboardInterrupt
        return whole(texts, **options)

    monkeypatch.setattr(translator, "translate_n_best", interrupted)
    code, out, error = translate(b"a\nendless\nc\n")
    assert (code, out) == (130, "A\nENDLESS\n"), "Ctrl-C loses what was done"
    assert "1 translation was cut" in error
    assert _translate._LINES_AT_ONCE <= 1000


def test_the_first_translation_is_drawn(translate: Translate, tmp_path: Path) -> None:
    for ending, beginning in ((".png", b"\x89PNG"), (".svg", b"<?xml")):
        file = tmp_path / f"map{ending}"
        code, out, error = translate(b"\none two\nthree\n", "--picture", str(file))
        assert (code, out) == (0, "\nONE TWO\nTHREE\n")
        assert error == f"The picture is in {file}.\n"
        assert file.read_bytes().startswith(beginning)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.png", "map.svg"]
    for name, message in (
        (str(file), f"--picture: {file} is already there. Name another file."),
        ("map.gif", "--picture: map.gif must end in .png, .svg or .pdf."),
        (str(tmp_path / "none" / "a.png"), f"--picture: there is no folder {tmp_path / 'none'}."),
    ):
        code, out, error = translate(b"one\n", "--picture", name)
        assert (code, out) == (2, "")
        assert message in error


def test_a_picture_that_fails_is_said_and_the_lines_go_on(
    translate: Translate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "map.png"
    code, out, error = translate(b"w " * 401 + b"\ntwo\n", "--picture", str(file))
    assert (code, out.splitlines()[1:]) == (0, ["TWO"])
    assert "No picture was drawn. A picture of 401 source and 401 target tokens is too large" in error

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nlp_lstm.cli._translate_picture.save_picture", full)
    assert translate(b"one\ntwo\n", "--picture", str(file)) == (
        0,
        "ONE\nTWO\n",
        f"No picture was drawn: {file} cannot be written: No space left on device.\n",
    )
    for lines in (b"", b"\n \n"):
        error = translate(lines, "--picture", str(file))[2]
        assert error == "No picture was drawn: no line has a translation.\n"
    assert not any(tmp_path.iterdir())


def test_maps_go_to_stderr_and_lines_stay_one_for_one(translate: Translate, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, error = translate(b"ab cd\n\nimpossible\nef\n", "--map")
    assert (code, out) == (0, "AB CD\n\n\nEF\n")
    lines = [line.rstrip() for line in error.splitlines()]
    assert lines[0] == "Line 1:"
    assert lines[3:5] == ["ab ██", "cd   ██"]
    assert [line for line in lines if line.startswith("Line")] == [
        *("Line 1:", "Line 3: no translation meets the conditions; the line is left empty.", "Line 4:")
    ]
    monkeypatch.setenv("LC_ALL", "C")
    out, error = translate(b"ab\n", "--map", "--n-best=2")[1:]
    assert out.count("\n") == 2
    assert error.splitlines()[-1] == "ab ##", "the best alone has a map"
    assert translate(b"ab\n")[2] == ""


def test_runs_are_averaged(translate: Translate, translator: FakeTranslator) -> None:
    assert translate(b"x\n", "--ensemble", "run2", "--ensemble", "run3")[0] == 0
    assert translator.averaged == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--beam-size", "0"], "--beam-size is 0; it must be"),
        (["--n-best", "9"], "--n-best 9 asks for more than a beam of 5 holds"),
        (["--seed", "3"], "--seed says how to draw. Add --sample"),
        (["--sample", "--seed=-3"], "--seed must be 0 or more, not -3."),
        (["--required", " "], "--required is empty."),
        (["--sample", "--required", "a"], "Required words need a beam search"),
        (["--sample", "--top-p", "2"], "--top-p is 2.0; it must be"),
        (["--beam", "3"], "There is no option --beam. Did you mean --beam-size?"),
        (
            ["--max-length", "99999999999999999999"],
            "--max-length is 99999999999999999999; it must be a whole number from 1 to 1,000,000.",
        ),
        (["--max-length-ratio", "1e30"], "--max-length-ratio is 1e+30; it must be above 0 and at most 1,000."),
        (["--max-length", "many"], "--max-length must be a whole number, not 'many'."),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_code_2(arguments: list[str], message: str, translate: Translate) -> None:
    code, out, error = translate(b"x\n", *arguments)
    assert (code, out) == (2, "")
    assert error.startswith(f"nlp-lstm: {message}")
    assert error.count("\n") == 1


def test_a_run_of_another_kind_is_refused(translate: Translate, translator: FakeTranslator) -> None:
    translator.kind = "language_modeling"  # type: ignore[misc]
    code, _, error = translate(b"x\n")
    assert code == 2
    assert "run holds a model for language modeling; translate takes a translator." in error


def test_what_is_not_utf8_is_replaced_and_its_lines_named(translate: Translate) -> None:
    code, out, error = translate(b"good\nab\xff\r\n\nkept\n\xe2\x82")
    assert (code, out) == (0, "GOOD\nAB\ufffd\n\nKEPT\n\ufffd\n")
    assert error == (
        "Standard input, line 2: not UTF-8 text; what is not was read as U+FFFD. Convert it with "
        "`iconv -f latin1 -t utf-8` or whatever it is in.\n"
        "Standard input, line 5: not UTF-8 text; what is not was read as U+FFFD. Convert it with "
        "`iconv -f latin1 -t utf-8` or whatever it is in.\n"
    )
    code, out, error = translate(b"caf\xe9\n" * 1_200)
    assert (code, out) == (0, "CAF\ufffd\n" * 1_200)
    assert error.count("\n") == 1, "a file in another encoding floods nobody"
    assert error.startswith("Standard input, lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 1,190 more: not UTF-8 text")


def blocks(descriptor: int) -> Iterator[list[str]]:
    with os.fdopen(descriptor, encoding="utf-8") as stream:
        yield from line_blocks(stream)


def test_a_dialogue_goes_line_by_line_and_what_is_there_goes_at_once() -> None:
    reader, writer = os.pipe()
    found = blocks(reader)
    os.write(writer, b"first\n")
    assert next(found) == ["first"]
    os.write(writer, b"second\nthird\nfour")
    assert next(found) == ["second", "third"]
    os.write(writer, b"th\n")
    os.close(writer)
    assert list(found) == [["fourth"]]


def test_a_character_cut_between_two_reads_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lines, "_BYTES_AT_ONCE", 1)
    monkeypatch.setattr(_lines, "_BYTES_A_BLOCK", 1)
    reader, writer = os.pipe()
    os.write(writer, "aé\r\n漢".encode())
    os.close(writer)
    assert list(blocks(reader)) == [["aé"], ["漢"]]


def test_large_files_come_in_blocks(tmp_path: Path) -> None:
    lines = [f"line {number} é" for number in range(200_000)]
    (tmp_path / "large").write_text("\n".join(lines), encoding="utf-8")
    with (tmp_path / "large").open(encoding="utf-8") as stream:
        found = list(line_blocks(stream))
    assert len(found) > 2
    assert [line for block in found for line in block] == lines


def test_where_nothing_can_be_asked_each_read_is_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("only sockets")

    monkeypatch.setattr(_lines.select, "select", refuse)
    reader, writer = os.pipe()
    os.write(writer, b"a\nb\n")
    os.close(writer)
    assert list(blocks(reader)) == [["a", "b"]]


def test_no_stdin_at_all() -> None:
    with pytest.raises(UsageError, match="There is no stdin to read from"):
        next(line_blocks(None))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def talk(
    translator: FakeTranslator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[str, str]]:
    """Hold a conversation of the given entries; an exception among them is raised where it stands."""

    def hold(*entries: str | BaseException, options: tuple[str, ...] = (), code: int = 0) -> tuple[str, str]:
        said = iter([*entries, EOFError()])

        def answer(prompt: str = "") -> str:
            entry = next(said)
            if isinstance(entry, BaseException):
                raise entry
            return entry

        monkeypatch.setattr(sys, "stdin", Terminal())
        monkeypatch.setattr(builtins, "input", answer)
        assert main(["translate", "run", *options]) == code
        captured = capsys.readouterr()
        return captured.out, captured.err

    return hold


def test_a_conversation_translates_entry_by_entry(talk: Callable[..., tuple[str, str]]) -> None:
    out, error = talk("one two", "", "three", ":quit", "never")
    assert out == "ONE TWO\nTHREE\n"
    assert ":help lists the commands" in error


def test_a_conversation_shows_the_map_of_attention(
    talk: Callable[..., tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, error = talk(":map", "ab cd", ":map")
    assert "Nothing is translated yet." in error
    lines = out.splitlines()
    assert lines[0] == "AB CD"
    assert [line.rstrip() for line in lines[-2:]] == ["ab ██", "cd   ██"]
    monkeypatch.setenv("LC_ALL", "C")
    assert talk("ab", ":map")[0].splitlines()[-1] == "ab ##"


def test_a_conversation_draws_a_picture(talk: Callable[..., tuple[str, str]], tmp_path: Path) -> None:
    file = tmp_path / "map.pdf"
    entries = (f":picture {file}", "ab cd", ":picture", ":picture map.txt", f":picture {file}", f":picture {file}")
    _, error = talk(*entries)
    assert file.read_bytes().startswith(b"%PDF")
    said = [line.lstrip("> ") for line in error.splitlines() if "icture" in line or "Nothing" in line]
    assert said == [
        "Nothing is translated yet. Type a text first.",
        "Name the file: :picture FILE.",
        ":picture: map.txt must end in .png, .svg or .pdf.",
        f"The picture is in {file}.",
        f":picture: {file} is already there. Name another file.",
    ]
    _, error = talk("a", options=("--picture", "a.png"), code=2)
    assert "in the conversation, :picture FILE draws" in error
    assert "in the conversation, :map shows it" in talk("a", options=("--map",), code=2)[1]


def test_a_picture_that_cannot_be_written_is_told_in_the_conversation(
    talk: Callable[..., tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nlp_lstm.cli._translate_conversation.save_picture", full)
    file = tmp_path / "map.png"
    out, error = talk("ab", f":picture {file}", "cd")
    assert out == "AB\nCD\n"
    assert f"{file} cannot be written: No space left on device. Name another file." in error


def test_a_picture_without_matplotlib_is_refused_before_anything_is_translated(
    translate: Translate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, error = translate(b"one\n", "--picture", str(tmp_path / "map.png"))
    assert (code, out) == (2, "")
    assert "pip install 'nlp-lstm[plot]'" in error


def test_a_conversation_changes_how_it_searches(
    talk: Callable[..., tuple[str, str]], translator: FakeTranslator
) -> None:
    out, error = talk(":n-best 7", "a", ":beam_size 9", ":beam-size", "b", ":n-best x", ":n-best 0", ":nonsense")
    assert out.splitlines()[0].split() == ["-0.500", "A"]
    assert len(out.splitlines()) == 14
    assert [(search.options.beam_size, search.options.n_best) for search in translator.searches] == [(7, 7), (9, 7)]
    assert "beam-size is 9" in error
    assert ":n-best takes a whole number, not 'x'." in error
    assert ":n-best is 0; it must be" in error
    assert "There is no command named ':nonsense'" in error


def test_a_conversation_survives_ctrl_c_and_says_what_is_long(talk: Callable[..., tuple[str, str]]) -> None:
    out, error = talk(KeyboardInterrupt(), "w " * 12, ":help", "endless", "impossible")
    assert out == "W " * 12 + "\nENDLESS\n"
    assert "Cut at the limit of length. Leave and start again with --max-length N to raise it." in error
    assert "No translation meets the conditions." in error
    assert "Ctrl-D or :quit leaves" in error
    assert "translated in 2 parts" in error
    assert ":map           what the words" in error


def test_a_saved_run_translates_in_a_process_of_its_own(tmp_path: Path) -> None:
    pairs = PairSplit("train", ["one two three", "two"], ["uno due three", "due"])
    source, target = train_tokenizers("word", pairs)
    options = EncoderDecoderOptions(embedding_size=4, encoder_size=3, decoder_size=6)
    torch.manual_seed(0)
    model = EncoderDecoder(source.vocab_size, target.vocab_size, options)
    with torch.no_grad():
        model.output.bias[3] = 4.0  # it ends before its limit of length
    task = Translation(model.eval(), source, target)
    task.save(tmp_path / "run")
    command = [*("-X", "importtime", "-m", "nlp_lstm"), "translate", str(tmp_path / "run"), "--beam-size=1"]
    done = subprocess.run(
        [sys.executable, *command], input="one two\n\ntwo\n", capture_output=True, text=True, check=False
    )
    lines = done.stderr.splitlines()
    assert (done.returncode, [line for line in lines if not line.startswith("import time:")]) == (0, [])
    imported = {line.rpartition("|")[2].strip() for line in lines}
    assert "torch" in imported
    assert imported & {"torch._dynamo", "torch._inductor", "sympy"} == set()  # take longer to import than torch
    assert done.stdout.splitlines() == task.translate(["one two", "", "two"], BeamOptions(beam_size=1))
