"""The end of a run: its scores on stdout, its model card, and how to use it."""

from __future__ import annotations

import shlex
from typing import Any, Protocol

from nlp_lstm.tasks import Task, write_text
from nlp_lstm.training._progress import clock
from nlp_lstm.training._run import Described, Run, say
from nlp_lstm.training._trainer import FitResult


class Scores(Protocol):
    """Scores that print themselves, such as `LanguageModelScores`."""

    def text(self) -> str:
        """Give the scores for people, a line each."""


def report(
    run: Run, task: Task[Any], data: Described, split: str, scores: Scores, result: FitResult, sample: str
) -> None:
    """Say what came out of a run: `scores` of its best weights on `split`, and a `sample` of what it does.

    Prints both on stdout, writes the model card README.md, and says on stderr how to go on.
    """
    trained = (
        f"{task.parameter_count:,} parameters; {result.steps:,} steps, {result.items:,} {task.item}s "
        f"in {clock(result.seconds)} ({result.items / max(result.seconds, 1e-9):,.0f} {task.item}s/s)"
    )
    use = shlex.join(["nlp-lstm", task.command, str(run.folder)])
    purpose = "Score a text with it" if task.command == "evaluate" else "Talk to it"
    print(f"{split} split of {data.description}\n{scores.text()}\n\n{sample}\n", flush=True)
    write_text(run.folder / "README.md", _card(run, task, data, split, scores.text(), trained, sample, use))
    say(f"{trained}\nThe run is in {run.folder}. {purpose}:  {use}")


def _card(
    run: Run, task: Task[Any], data: Described, split: str, scores: str, trained: str, sample: str, use: str
) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in run.config["versions"].items())
    chips = ", ".join(filter(None, (run.config["processor"], run.config["accelerator"])))
    notes = "".join(f" {note}" for note in data.notes)
    return (
        f"---\nlibrary_name: nlp_lstm\npipeline_tag: {task.pipeline_tag}\ntags: [lstm, {run.recipe}]\n---\n\n"
        f"# {run.folder.name}\n\n{task.description} trained by the recipe `{run.recipe}` of nlp_lstm.\n\n"
        f"- Data: {data.description}.{notes}\n- Command: `{run.config['command']}`\n- Training: {trained}\n"
        f"- Machine: {run.config['device']}, {run.config['precision']}, {run.config['threads']} threads; {chips}; "
        f"{versions}\n"
        f"- Seed: {run.options.seed}\n\n## Scores on the {split} split\n\n```\n{scores}\n```\n\n"
        f"## A sample\n\n```\n{sample}\n```\n\n## Use\n\n```\n{use}\n```\n"
    )
