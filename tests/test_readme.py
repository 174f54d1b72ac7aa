"""What the README tells the reader to type works: its commands are run, small, and none is passed over in silence.

Every `nlp-lstm` command and recipe of the ```bash blocks runs in one empty folder, in the README's order: `train` with
`--smoke`, on made-up data where `--data` names what is not there; a run folder written in capitals (RUN) stands for the
latest run. The ```python blocks run after them, as one program. Set-up (venv, pip) is checked, not run.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
SENTENCES = "The grey heron waits by the river. A small boat drifts past, and nobody speaks.\nIt rains again.\n"
SET_UP = re.compile(r"(python3? -m venv|pip install|git clone|cd|source|\.|pytest|ruff|mypy|\.ci/run|export)( |$)")
TAKES_RUN = {"generate", "evaluate", "compare", "translate", "classify", "shrink"}
FILTERS = {"echo", "printf", "cat", "head", "tail", "wc", "tee", "sort"}
LONGEST = 180  # seconds, for one command: it stops what hangs, and is no verdict on speed


def blocks(text: str) -> list[tuple[str, str]]:
    """Return (language, content) of the fenced blocks, in order."""
    return re.findall(r"^```(\w*)[^\n]*\n(.*?)^```\s*$", text, re.DOTALL | re.MULTILINE)


def statements(block: str) -> Iterator[list[str]]:
    """Yield the words of each pipeline in a bash block; `&&`, `;` and line ends separate pipelines."""
    for line in block.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in lexer:
            if word in {"&&", ";"}:
                yield words
                words = []
            else:
                words.append(word)
        if words:
            yield words


def kind_of(words: list[str]) -> str:
    """Sort a pipeline into "run", "set-up" or "benchmark"; "unknown" makes a test fail."""
    programs = [re.sub(r"^\S*/bin/", "", command) for command in " ".join(words).split(" | ")]
    starts = [re.sub(r"^(\w+=\S+ )+", "", program) for program in programs]
    if all(SET_UP.match(start) for start in starts):
        return "set-up"
    if len(starts) == 1 and re.match(r"python3? (\S*/)?benchmarks/\S+\.py", starts[0]):
        return "benchmark"
    ours = [bool(re.match(r"(nlp-lstm|python3? (-m nlp_lstm|recipes/\S+\.py))( |$)", start)) for start in starts]
    known = [one or start.split()[0] in FILTERS for one, start in zip(ours, starts, strict=True)]
    return "run" if any(ours) and all(known) else "unknown"


class Small:
    """The README's commands made small and pointed into one folder, which each command leaves for the next."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def rewrite(self, words: list[str]) -> str:
        """Return the bash command that stands for a pipeline of the README."""
        parts: list[list[str]] = [[]]
        for word in words:
            if set(word) <= set("|<>&"):
                parts.extend([[word], []])
            else:
                parts[-1].append(word)
        for sign, file in zip(parts[1::2], parts[2::2], strict=True):
            if sign == ["<"]:
                self.make(file[0])
        return " ".join(part[0] if set(part[0]) <= set("|<>&") else self.command(part) for part in parts if part)

    def command(self, words: list[str]) -> str:
        """Return one command of a pipeline, made small; the variables that stand before it stay."""
        first = next(place for place, word in enumerate(words) if "=" not in word)
        variables, program, rest = words[:first], re.sub(r"^\S*/bin/", "", words[first]), words[first + 1 :]
        if program == "nlp-lstm":
            small = [program, *self.call(rest)]
        elif program.startswith("python") and rest[:2] == ["-m", "nlp_lstm"]:
            small = [sys.executable, *rest[:2], *self.call(rest[2:])]
        elif program.startswith("python"):
            small = [sys.executable, str(ROOT / rest[0]), *self.call(["train", *rest])[2:]]
        else:
            small = [program, *rest]
        return shlex.join([*variables, *small])

    def call(self, call: list[str]) -> list[str]:
        """Make one call of the command line small."""
        call = list(call)
        self.option(call, "--data", lambda value: self.make(value, self.value(call, "--text-field")))
        for flag in ("--hypotheses", "--references"):
            self.option(call, flag, self.make)
        self.option(call, "--max-steps", lambda value: str(min(int(value), 5)))
        self.option(call, "--max-time", lambda value: "1s")
        self.option(call, "--max-tokens", lambda value: str(min(int(value), 50)))
        name = call[0] if call else ""
        if name == "train" and not {"--smoke", "--help", "--print-config"} & set(call):
            call = [*call, "--smoke"]
        if name == "generate" and "--max-tokens" not in call:
            call = [*call, "--max-tokens", "20"]
        if name in TAKES_RUN:
            call = [call[0], *(str(self.latest_run()) if word == "RUN" else word for word in call[1:])]
        return call

    @staticmethod
    def value(call: list[str], flag: str) -> str | None:
        return call[call.index(flag) + 1] if flag in call else None

    def option(self, call: list[str], flag: str, change: Callable[[str], str]) -> None:
        if flag in call:
            place = call.index(flag) + 1
            call[place] = change(call[place])

    def latest_run(self) -> Path:
        runs = [path.parent for path in self.folder.rglob("config.json") if "checkpoints" not in path.parts]
        return max(runs, key=lambda path: path.stat().st_mtime).relative_to(self.folder)

    def make(self, name: str, text_field: str | None = None) -> str:
        """Make the data that a command names, unless it is built in or there; return the name to use."""
        path = self.folder / Path(name).name
        if re.fullmatch(r"\w+", name) or (self.folder / name).exists():
            return name
        if not Path(name).is_absolute() and ".." not in name and Path(name).suffix:
            path = self.folder / name
        text = SENTENCES * 200
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in {".txt", ""} and text_field is None:
            files = [path] if path.suffix else [path / f"{split}.txt" for split in ("train", "valid", "test")]
            for file in files:
                file.parent.mkdir(exist_ok=True)
                file.write_text(text, encoding="utf-8")
        elif path.suffix in {".jsonl", ""}:
            path = path.with_suffix(".jsonl")
            lines = [json.dumps({text_field or "text": line}) for line in text.splitlines()]
            path.write_text("\n".join(lines), encoding="utf-8")
        elif path.suffix in {".csv", ".tsv"}:
            lines = [text_field or "text", *(f'"{line}"' for line in text.splitlines())]
            path.write_text("\n".join(lines), encoding="utf-8")
        else:
            pytest.fail(f"this test cannot make data for {name}: teach it")
        return str(path.relative_to(self.folder))


def run_in_bash(command: str, folder: Path) -> tuple[str, str | None]:
    """Run a command with the tests' own environment first on the path; return its stdout and what went wrong."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        cwd=folder,
        env=environment,
        input="The river\n",
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    if result.returncode or "Traceback" in result.stderr:
        return result.stdout, f"{command}\nexit {result.returncode}\n{result.stdout[-2000:]}\n{result.stderr[-2000:]}"
    if not result.stdout and ">" not in command and " copy " not in command:
        return result.stdout, f"{command}\nprints nothing"
    if "--json" in command.split() and ">" not in command and "|" not in command:
        for line in result.stdout.splitlines():
            json.loads(line)
    return result.stdout, None


@pytest.fixture(scope="module")
def readme() -> str:
    assert README.is_file(), "README.md is missing"
    return README.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pipelines(readme: str) -> list[list[str]]:
    return [words for language, block in blocks(readme) if language == "bash" for words in statements(block)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reader")


def test_each_block_says_its_language(readme: str) -> None:
    languages = [language for language, _ in blocks(readme)]
    assert set(languages) <= {"bash", "python", "text", "yaml", "json"}
    assert len(re.findall(r"^\s*```", readme, re.MULTILINE)) == 2 * len(languages)


def test_the_first_two_commands_set_everything_up(readme: str) -> None:
    first, second = [block for language, block in blocks(readme) if language == "bash"][:2]
    train, test = ([" ".join(words) for words in statements(block)] for block in (first, second))
    assert train[0] == test[0] == "python3 -m venv .venv"
    assert train[1] == ".venv/bin/pip install -e ."
    assert re.match(r"\.venv/bin/nlp-lstm train char_lm\b", train[-1])
    assert test[1] == ".venv/bin/pip install -e .[test]"
    assert test[-1] == ".venv/bin/pytest"
    assert len(train) == len(test) == 3
    assert [len(block.replace("\\\n", " ").strip().splitlines()) for block in (first, second)] == [1, 1]


def test_every_command_is_of_a_known_kind(pipelines: list[list[str]]) -> None:
    assert [words for words in pipelines if kind_of(words) == "unknown"] == []


def test_extras_that_are_installed_exist(readme: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    groups = re.findall(r"pip install [^\n]*\[([\w, -]+)\]", readme)
    named = {name.strip() for group in groups for name in group.split(",")}
    assert "test" in named
    assert named <= set(extras)


def test_every_command_runs(readme: str, pipelines: list[list[str]], folder: Path) -> None:
    bash = "\n".join(block for language, block in blocks(readme) if language == "bash")
    mentioned = len(re.findall(r"^(?!\s*#)(?:[^#\n]*?[\s/|])?nlp-lstm\s", bash, re.MULTILINE))
    runnable = [words for words in pipelines if kind_of(words) == "run"]
    ours = [words for words in runnable if any(word.endswith("nlp-lstm") for word in words)]
    assert len(ours) >= mentioned > 3
    small = Small(folder)
    faults = []
    for words in runnable:
        _, fault = run_in_bash(small.rewrite(words), folder)
        faults += [fault] if fault else []
    assert not faults, "\n\n".join(faults)
    used = {words[place + 1] for words in ours for place, word in enumerate(words[:-1]) if word.endswith("nlp-lstm")}
    assert {"train", "generate", "evaluate"} <= used


def test_benchmarks_take_the_options_that_are_shown(pipelines: list[list[str]], folder: Path) -> None:
    for words in pipelines:
        if kind_of(words) == "benchmark":
            script = next(word for word in words if word.startswith("benchmarks/"))
            printed, fault = run_in_bash(shlex.join([sys.executable, str(ROOT / script), "--help"]), folder)
            assert fault is None, fault
            assert [word for word in words if word.startswith("--") and word.partition("=")[0] not in printed] == []


def test_the_python_blocks_run(readme: str, folder: Path) -> None:
    programs = [block for language, block in blocks(readme) if language == "python"]
    assert len(programs) >= 1
    program = "\n".join(programs)
    small = Small(folder)
    for name in re.findall(r'"([\w./-]+\.(?:txt|csv|tsv|jsonl))"', program):
        assert small.make(name) == name
    (folder / "readme.py").write_text(program, encoding="utf-8")
    _, fault = run_in_bash(shlex.join([sys.executable, "readme.py"]), folder)
    assert fault is None, fault


@pytest.mark.parametrize(
    ("line", "kinds"),
    [
        ("python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/nlp-lstm train a", ["set-up"] * 2 + ["run"]),
        ("# nothing to do\nnlp-lstm recipes  # a line each", ["run"]),
        ("echo The | nlp-lstm generate RUN > out.txt", ["run"]),
        ("python recipes/char_lm.py --seed 1", ["run"]),
        ("python benchmarks/speed.py --json", ["benchmark"]),
        ("OMP_NUM_THREADS=2 nlp-lstm train \\\n  char_lm", ["run"]),
        ("make all", ["unknown"]),
        ("nlp-lstm recipes | xargs rm", ["unknown"]),
    ],
)
def test_commands_are_told_apart(line: str, kinds: list[str]) -> None:
    assert [kind_of(words) for words in statements(line)] == kinds


def test_commands_are_made_small(tmp_path: Path) -> None:
    small = Small(tmp_path)
    (words,) = statements(".venv/bin/nlp-lstm train char_lm --data my/own.txt --max-steps 900 --max-time 3m")
    assert small.rewrite(words) == "nlp-lstm train char_lm --data my/own.txt --max-steps 5 --max-time 1s --smoke"
    assert (tmp_path / "my" / "own.txt").stat().st_size > 10_000
    (words,) = statements("python recipes/char_lm.py --data someone/something --text-field body")
    assert small.rewrite(words).endswith("recipes/char_lm.py --data something.jsonl --text-field body --smoke")
    assert json.loads((tmp_path / "something.jsonl").read_text(encoding="utf-8").splitlines()[0])["body"]
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "config.json").touch()
    (words,) = statements('nlp-lstm generate RUN --prompt "The river" < lines.txt > out.txt')
    expected = "nlp-lstm generate runs/a --prompt 'The river' --max-tokens 20 < lines.txt > out.txt"
    assert small.rewrite(words) == expected
    assert (tmp_path / "lines.txt").is_file()


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("nlp-lstm no-such-command", "exit 2"),
        ("nlp-lstm no-such-command | cat", "exit 2"),
        ("nlp-lstm evaluate runs/missing", "exit 1"),
        ("true", "prints nothing"),
        ("echo Traceback >&2", "Traceback"),
    ],
)
def test_a_command_that_fails_is_found(command: str, fault: str, tmp_path: Path) -> None:
    assert fault in (run_in_bash(command, tmp_path)[1] or "")
