"""What every task is beside its own work: a model that is described, saved and counted."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch

from nlp_lstm.data import DataOptions, LabelledOptions, PairOptions
from nlp_lstm.errors import DataError
from nlp_lstm.models import has_fast_bf16
from nlp_lstm.tasks._weights import Model, write_weights

Options = TypeVar("Options", DataOptions, LabelledOptions, PairOptions)


class Task(Generic[Model]):
    """A model with its tokenizer, as a user holds it. `config` is what config.json of its run folder holds."""

    kind: ClassVar[str]
    """What config.json calls the task."""
    pipeline_tag: ClassVar[str]
    """What the hub calls it."""
    description: ClassVar[str]
    """What was trained, such as "A recurrent language model"."""
    command: ClassVar[str]
    """The subcommand of nlp-lstm that uses a run."""
    item: ClassVar[str]
    """What training counts, such as "token"."""
    model: Model
    config: dict[str, Any]

    @property
    def parameter_count(self) -> int:
        """Number of trained weights, a tied or shared table counted once."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def device(self) -> torch.device:
        """Where the model's weights are."""
        return next(self.model.parameters()).device

    @property
    def precision(self) -> str:
        """Of the products where the model is used: "bf16" where it was trained in that and the device is good at it.

        What was trained so loses nothing when it is used so.
        """
        return "bf16" if self.config.get("precision") == "bf16" and has_fast_bf16(self.device) else "fp32"

    def own_data(self, kind: type[Options]) -> Options:
        """Return the options of the data that the run was trained on; raises DataError where it does not say.

        What another version of the package wrote beside the options of this `kind` is left out.
        """
        names = {field.name for field in fields(kind)}
        try:
            return kind(**{name: value for name, value in self.config["data"].items() if name in names})
        except (KeyError, TypeError, AttributeError):
            raise DataError("The run does not say what data it was trained on. Name some with --data.") from None

    def describe(self, folder: str | Path) -> None:
        """Write config.json and the tokenizer's files into `folder`: all of a run but its weights."""
        raise NotImplementedError

    def save_weights(self, folder: str | Path, *, half: bool = False) -> None:
        """Write model.safetensors into `folder`, under its name only when it is whole; with `half` as float16.

        Raises UsageError where a weight is beyond float16, OSError where the file cannot be written.
        """
        write_weights(Path(folder) / "model.safetensors", self.model, half=half)

    def save(self, folder: str | Path, *, half: bool = False) -> None:
        """Write config.json, model.safetensors and the tokenizer's files into `folder`; `nlp_lstm.load` reads them.

        With `half` the weights are rounded to float16, in half of the bytes; `load` makes fp32 of them again. Raises as
        `save_weights` does; where a weight is beyond float16 nothing is written.
        """
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.save_weights(folder, half=half)
        self.describe(folder)
