"""The one fit loop, its optimisers and schedules, the run folder and resuming."""

from typing import TYPE_CHECKING

from nlp_lstm._lazy import lazy_names
from nlp_lstm.training._options import BUDGETS, TrainingOptions

if TYPE_CHECKING:
    from nlp_lstm.training._checkpoint import newest_checkpoint
    from nlp_lstm.training._classification import ClassificationObjective, describe_error
    from nlp_lstm.training._finite import repeat_failed_step
    from nlp_lstm.training._fit import fit
    from nlp_lstm.training._machine import processor
    from nlp_lstm.training._memory import keep_freed_memory
    from nlp_lstm.training._objective import LanguageModelObjective, Objective
    from nlp_lstm.training._report import report
    from nlp_lstm.training._run import Run, start_run
    from nlp_lstm.training._run_folder import flat_settings, metrics_lines
    from nlp_lstm.training._trainer import FitResult
    from nlp_lstm.training._translation import TranslationObjective

__all__ = [
    "BUDGETS",
    "ClassificationObjective",
    "FitResult",
    "LanguageModelObjective",
    "Objective",
    "Run",
    "TrainingOptions",
    "TranslationObjective",
    "describe_error",
    "fit",
    "flat_settings",
    "keep_freed_memory",
    "metrics_lines",
    "newest_checkpoint",
    "processor",
    "repeat_failed_step",
    "report",
    "start_run",
]

__getattr__ = lazy_names(
    __name__,
    {
        "ClassificationObjective": "_classification",
        "describe_error": "_classification",
        "FitResult": "_trainer",
        "LanguageModelObjective": "_objective",
        "Objective": "_objective",
        "Run": "_run",
        "fit": "_fit",
        "flat_settings": "_run_folder",
        "keep_freed_memory": "_memory",
        "metrics_lines": "_run_folder",
        "newest_checkpoint": "_checkpoint",
        "processor": "_machine",
        "repeat_failed_step": "_finite",
        "report": "_report",
        "TranslationObjective": "_translation",
        "start_run": "_run",
    },
)
