"""The one fit loop, its optimisers and schedules, the run folder and resuming."""

from typing import TYPE_CHECKING

from nlp_lstm._lazy import lazy_names
from nlp_lstm.training._options import BUDGETS, TrainingOptions

if TYPE_CHECKING:
    from nlp_lstm.training._fit import FitResult, fit
    from nlp_lstm.training._objective import LanguageModelObjective, Objective
    from nlp_lstm.training._report import report
    from nlp_lstm.training._run import Run, start_run

__all__ = [
    "BUDGETS",
    "FitResult",
    "LanguageModelObjective",
    "Objective",
    "Run",
    "TrainingOptions",
    "fit",
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
        "report": "_report",
        "start_run": "_run",
    },
)
