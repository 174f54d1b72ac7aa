"""The metrics of a run for TensorBoard, beside metrics.jsonl."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nlp_lstm.errors import UsageError

FOLDER = "tensorboard"
"""Where they are in a run folder: `tensorboard --logdir RUN`."""


def require_tensorboard() -> None:
    """Raise UsageError with the command that installs tensorboard where it is missing."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError:
        raise UsageError(
            "--tensorboard needs tensorboard, which is not installed: pip install 'nlp-lstm[tensorboard]'"
        ) from None


class TensorBoard:
    """Writes numbers by step; what a stopped run wrote there after step `after` is hidden."""

    def __init__(self, run_folder: Path, after: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(run_folder / FOLDER, purge_step=after + 1)

    def record(self, values: Mapping[str, float | int | str | None]) -> None:
        """Write the numbers among `values`, which has the step too."""
        for name, value in values.items():
            if name != "step" and isinstance(value, int | float):
                self._writer.add_scalar(name, value, values["step"])
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()
