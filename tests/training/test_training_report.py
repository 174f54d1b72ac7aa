"""The end of a run: what stands on stdout, on stderr and on the model card."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import nlp_lstm as nl
from nlp_lstm.data import DataOptions, TextData, load_text, tokenize_splits
from nlp_lstm.models import LanguageModel, LanguageModelOptions
from nlp_lstm.tasks import LanguageModeling
from nlp_lstm.tokenization import train_tokenizer
from nlp_lstm.training import FitResult, Run, report, start_run

TEXT = "The ferry left at nine.\nNobody waved from the quay, and the gulls were quiet.\n" * 60


@dataclass(frozen=True)
class Reported:
    """What a report was made of, and what came out."""

    run: Run
    task: LanguageModeling
    data: TextData
    out: str
    error: str
    card: str


@pytest.fixture
def reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Reported]:
    def make(tokenizer_name: str = "character", backward: bool = False, **fractions: float) -> Reported:
        (tmp_path / "ferry.txt").write_text(TEXT)
        options = DataOptions(str(tmp_path / "ferry.txt"), **fractions)

        @dataclass(frozen=True)
        class Config:
            data: DataOptions = options
            training: nl.TrainingOptions = nl.TrainingOptions(
                run=str(tmp_path / "run"), max_steps=7, seed=4, precision="fp32", device="cpu", threads=1
            )

        monkeypatch.setattr(sys, "argv", ["nlp-lstm", "train", "char_lm", "--data", "ferry.txt"])
        threads = torch.get_num_threads()
        run = start_run("char_lm.py", Config())
        data = load_text(options)
        tokenizer = train_tokenizer(tokenizer_name, data.split("train"))
        model = LanguageModel(tokenizer.vocab_size, LanguageModelOptions(embedding_size=4, hidden_size=8))
        task = LanguageModeling(model, tokenizer, {**run.config, "backward": backward})
        run.create()
        capsys.readouterr()
        texts = tokenize_splits(data, tokenizer)
        split = "test" if "test" in texts else "valid"
        result = FitResult(steps=1234, seconds=65.0, items=650_000, best=1.0)
        report(run, task, data, split, task.score(texts[split]), result, task.sample(4))
        torch.set_num_threads(threads)
        shown = capsys.readouterr()
        card = (run.folder / "README.md").read_text(encoding="utf-8")
        return Reported(run, task, data, shown.out, shown.err, card)

    return make


def test_stdout_has_the_scores_and_a_sample_alone(reported: Callable[..., Reported]) -> None:
    result = reported()
    scores = result.task.evaluate().text()
    sample = result.task.generate(max_tokens=300, seed=4)[0].strip("\n")
    assert result.out == f"test split of file ferry.txt\n{scores}\n\n{sample}\n\n"
    assert "signature" in scores
    assert "bits_per_char" in scores


def test_stderr_says_how_it_was_trained_and_how_to_go_on(reported: Callable[..., Reported]) -> None:
    result = reported()
    assert result.error == (
        f"{result.task.parameter_count:,} parameters; 1,234 steps, 650,000 tokens in 1:05 (10,000 tokens/s)\n"
        f"The run is in {result.run.folder}. Talk to it:  nlp-lstm generate {result.run.folder}\n"
    )


def test_the_card_says_what_it_takes_to_judge_and_repeat_the_run(reported: Callable[..., Reported]) -> None:
    result = reported()
    (note,) = result.data.notes
    versions, processor = result.run.config["versions"], result.run.config["processor"]
    for part in (
        "library_name: nlp_lstm",
        "# run\n",
        f"- Data: file ferry.txt. {note}\n",
        "- Command: `nlp-lstm train char_lm --data ferry.txt`\n",
        "1,234 steps, 650,000 tokens in 1:05",
        f"- Machine: cpu, fp32, 1 threads; {processor}; nlp_lstm {versions['nlp_lstm']}, torch ",
        "- Seed: 4\n",
        f"## Scores on the test split\n\n```\n{result.task.evaluate().text()}\n```\n",
        f"nlp-lstm generate {result.run.folder}\n",
    ):
        assert part in result.card, part
    assert {path.name for path in result.run.folder.iterdir()} == {"README.md", "checkpoints"}  # no half-written card


def test_what_reads_backward_is_scored_and_not_talked_to(reported: Callable[..., Reported]) -> None:
    result = reported(backward=True)
    use = f"nlp-lstm evaluate {result.run.folder}\n"
    assert result.error.endswith(f"Score a text with it:  {use}")
    assert f"## Use\n\n```\n{use}```\n" in result.card
    assert "generate" not in result.card + result.error


def test_the_split_that_was_scored_is_named(reported: Callable[..., Reported]) -> None:
    result = reported(test_fraction=0.0, valid_fraction=0.2)
    scores = result.task.evaluate(split="valid").text()
    assert result.out.startswith(f"valid split of file ferry.txt\n{scores}\n")
    assert "## Scores on the valid split\n" in result.card


@pytest.mark.parametrize(("name", "tokens"), [("byte", 300), ("word", 60)])
def test_the_sample_is_as_long_as_a_person_reads(reported: Callable[..., Reported], name: str, tokens: int) -> None:
    result = reported(name)
    sample = result.task.generate(max_tokens=tokens, seed=4)[0].strip("\n")
    assert result.out.endswith(f"\n\n{sample}\n\n")
