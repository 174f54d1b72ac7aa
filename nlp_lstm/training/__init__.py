"""The one fit loop, its optimisers and schedules, the run folder and resuming."""

from typing import TYPE_CHECKING

from nlp_lstm._lazy import lazy_names
from nlp_lstm.training._options import BUDGETS, TrainingOptions

if TYPE_CHECKING:
    from nlp_lstm.training._fit import FitResult, fit
    from nlp_lstm.training._objective import LanguageModelObjective, Objective
    from nlp_lstm.training._report import report
    from nlp_lstm.training._run import Run, start_run
    from nlp_lstm.training._run_folder import flat_settings

__all__ = [
    "BUDGETS",
    "FitResult",
    "LanguageModelObjective",
    "Objective",
    "Run",
    "TrainingOptions",
    "fit",
    "flat_settings",
    "report",
    "start_run",
]

__getattr__ = lazy_names(
    __name__,
    {
        "FitResult": "_fit",
        "LanguageModelObjective": "_objective",
        "Objective": "_objective",
        "Run": "_run",
        "fit": "_fit",
        "flat_settings": "_run_folder",
        "report": "_report",
        "start_run": "_run",
    },
)
