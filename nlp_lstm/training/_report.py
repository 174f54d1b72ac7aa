"""The end of a run: its scores on stdout, its model card, and how to use it."""

from __future__ import annotations

import shlex

from nlp_lstm.data import TextData, TokenizedText
from nlp_lstm.tasks import LanguageModeling, write_text
from nlp_lstm.training._fit import FitResult
from nlp_lstm.training._progress import clock
from nlp_lstm.training._run import Run, say

_SAMPLE_TOKENS = {"word": 60, "character": 300, "byte": 300}


def report(
    run: Run, task: LanguageModeling, data: TextData, texts: dict[str, TokenizedText], result: FitResult
) -> None:
    """Score the best weights once, on the test split (or validation where there is none), and say what came out.

    Prints scores and a sample on stdout, writes the model card README.md, and says on stderr how to go on.
    """
    split = "test" if "test" in texts else "valid"
    scores = task.score(texts[split])
    length = _SAMPLE_TOKENS.get(task.tokenizer.name, 120)
    sample = task.generate(max_tokens=length, seed=run.options.seed)[0].strip("\n")
    trained = (
        f"{task.parameter_count:,} parameters; {result.steps:,} steps, {result.items:,} tokens "
        f"in {clock(result.seconds)} ({result.items / max(result.seconds, 1e-9):,.0f} tokens/s)"
    )
    print(f"{split} split of {data.description}\n{scores.text()}\n\n{sample}\n", flush=True)
    write_text(run.folder / "README.md", _card(run, data, split, scores.text(), trained, sample))
    say(f"{trained}\nThe run is in {run.folder}. Talk to it:  {_talk(run)}")


def _talk(run: Run) -> str:
    return shlex.join(["nlp-lstm", "generate", str(run.folder)])


def _card(run: Run, data: TextData, split: str, scores: str, trained: str, sample: str) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in run.config["versions"].items())
    notes = "".join(f" {note}" for note in data.notes)
    return (
        f"---\nlibrary_name: nlp_lstm\npipeline_tag: text-generation\ntags: [lstm, {run.recipe}]\n---\n\n"
        f"# {run.folder.name}\n\nA recurrent language model trained by the recipe `{run.recipe}` of nlp_lstm.\n\n"
        f"- Data: {data.description}.{notes}\n- Command: `{run.config['command']}`\n- Training: {trained}\n"
        f"- Machine: {run.config['device']}, {run.config['precision']}, {run.config['threads']} threads; {versions}\n"
        f"- Seed: {run.options.seed}\n\n## Scores on the {split} split\n\n```\n{scores}\n```\n\n"
        f"## A sample\n\n```\n{sample}\n```\n\n## Use\n\n```\n{_talk(run)}\n```\n"
    )
